"""Raftsman's agents layer."""
