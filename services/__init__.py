"""Raftsman's services layer."""
