"""Counts and times of requests and watches, for `/metrics`."""

from __future__ import annotations

import prometheus_client as prometheus

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

REQUESTS = prometheus.Counter(
    "apiserver_request", "Calls answered, by verb, resource and gRPC code.", ("verb", "resource", "code")
)
DURATION = prometheus.Histogram(
    "apiserver_request_duration_seconds", "From arrival to answer.", ("verb", "resource"), buckets=_BUCKETS
)
WATCHES = prometheus.Gauge("apiserver_longrunning_requests", "Watches open now.", ("resource",))
CONNECTIONS = prometheus.Gauge("apiserver_connections", "TLS connections open now.")


class Request:
    """The metrics of one method, looked up when it is first called."""

    __slots__ = ("_codes", "_duration", "_labels")

    def __init__(self, verb: str, resource: str) -> None:
        self._labels = (verb, resource)
        self._duration: prometheus.Histogram | None = None
        self._codes: dict[str, prometheus.Counter] = {}

    def done(self, code: str, seconds: float) -> None:
        counter = self._codes.get(code)
        if counter is None:
            counter = self._codes[code] = REQUESTS.labels(*self._labels, code)
        counter.inc()
        if self._duration is None:
            self._duration = DURATION.labels(*self._labels)
        self._duration.observe(seconds)
