"""A cluster on this machine: `up` and `down`, and the small supervisor that keeps its processes running."""
