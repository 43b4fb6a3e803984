"""Objects as bytes in the store: keys, envelope, optimistic writes, allocations."""
