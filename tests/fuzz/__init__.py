"""Bytes of all kinds against the parsers: `scripts/fuzz` looks for what breaks them, the tests keep it found."""
