"""Whole clusters, driven as users drive them."""
