"""Raftsman's store layer."""
