"""Whole clusters in one process on simulated time, network and disks, each run replayed from its seed."""
