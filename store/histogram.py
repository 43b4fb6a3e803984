"""Durations counted by how long they were: cheap enough for the log's every sync. Single-threaded; read from others."""

from __future__ import annotations

from bisect import bisect_left


class Histogram:
    """`counts[i]` durations were at most `bounds[i]` and above the bound before; the last count has no bound."""

    def __init__(self, *, first_s: float, buckets: int) -> None:
        """Bounds double from `first_s` on."""
        self.bounds = [first_s * 2**place for place in range(buckets)]
        self.counts = [0] * (buckets + 1)
        self.sum_s = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum_s += seconds
