"""Prometheus metrics of controllers; without prometheus_client, which only servers install, nothing is counted."""

from __future__ import annotations

try:
    import prometheus_client
except ImportError:
    prometheus_client = None  # type: ignore[assignment]

if prometheus_client is not None:
    _DEPTH = prometheus_client.Gauge("workqueue_depth", "Keys that wait to be reconciled.", ["name"])
    _SECONDS = prometheus_client.Histogram(
        "controller_reconcile_seconds", "How long reconciling a key took.", ["controller"],
        buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60),
    )  # fmt: skip
    _ERRORS = prometheus_client.Counter("controller_reconcile_errors_total", "Reconciles that failed.", ["controller"])


def queue_depth(name: str, depth: int) -> None:
    if prometheus_client is not None:
        _DEPTH.labels(name).set(depth)


def reconciled(controller: str, seconds: float, *, failed: bool) -> None:
    if prometheus_client is not None:
        _SECONDS.labels(controller).observe(seconds)
        if failed:
            _ERRORS.labels(controller).inc()
