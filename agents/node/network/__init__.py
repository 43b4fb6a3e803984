"""The pod network of one node: addresses, veth pairs, routes, and masquerading to the outside."""
