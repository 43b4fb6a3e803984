"""What takes bytes from outside, fuzzed: targets, nearly right trees, and the runner that is guided by coverage."""
