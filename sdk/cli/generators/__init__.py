"""What `create` makes from flags, by family. Each module's `add` puts its commands under `create`."""
