"""Raftsman's SDK: the typed, async client and what controllers are built from."""
