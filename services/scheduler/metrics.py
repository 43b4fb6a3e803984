"""Prometheus metrics of the scheduler."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.05, 0.2, 1, 5, 30)

ATTEMPTS = Counter("scheduler_schedule_attempts_total", "Decisions, by result.", ["result"])
WAITING = Gauge("scheduler_pending_pods", "Pods that have no node yet.")
SECONDS = Histogram(
    "scheduler_pod_scheduling_seconds", "From a pod's arrival to its confirmed binding.", buckets=_BUCKETS
)
