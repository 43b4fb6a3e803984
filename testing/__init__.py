"""Raftsman's testing layer."""
