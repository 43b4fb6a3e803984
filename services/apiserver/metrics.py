"""Counts and times of requests and watches, for `/metrics`, under the names and labels that Kubernetes gives them.

`component` is `apiserver` for REST and `apiserver-grpc` for gRPC; `code` is HTTP's for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import prometheus_client as prometheus
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from raftsman.resources import Resource

_BUCKETS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60)
_WHAT = ("verb", "group", "version", "resource", "subresource", "scope", "component")
_VERBS = {
    "get": "GET", "list": "LIST", "watch": "WATCH", "create": "POST", "update": "PUT", "patch": "PATCH",
    "apply": "APPLY", "delete": "DELETE", "deletecollection": "DELETECOLLECTION", "connect": "CONNECT",
    # gRPC's own.
    "updatestatus": "PUT",
}  # fmt: skip
READS = frozenset({"GET", "LIST", "WATCH"})
REST, GRPC = "apiserver", "apiserver-grpc"

REQUESTS = prometheus.Counter("apiserver_request", "Requests answered.", (*_WHAT, "code"))
DURATION = prometheus.Histogram(
    "apiserver_request_duration_seconds", "From arrival to answer.", _WHAT, buckets=_BUCKETS
)
RUNNING = prometheus.Gauge(
    "apiserver_current_inflight_requests", "Requests that are being answered now.", ("request_kind",)
)
WATCHES = prometheus.Gauge("apiserver_longrunning_requests", "Streams open now.", _WHAT)
WEBHOOKS = prometheus.Histogram(
    "apiserver_admission_webhook_admission_duration_seconds", "Of questions to webhooks, by what came of them.",
    ("name", "outcome"), buckets=_BUCKETS,
)  # fmt: skip
CONNECTIONS = prometheus.Gauge("apiserver_connections", "TLS connections open now.")
UNAVAILABLE = prometheus.Gauge(
    "aggregator_unavailable_apiservice", "1 for an aggregated API server that does not answer.", ("name",)
)
_BUILD = prometheus.Gauge(
    "kubernetes_build_info", "Always 1: which API is served.", ("major", "minor", "git_version", "platform")
)
READING = RUNNING.labels("readOnly")
CHANGING = RUNNING.labels("mutating")


class Request:
    """The metrics of one method on one resource, looked up when it is first called."""

    __slots__ = ("_codes", "_duration", "_labels", "running")

    def __init__(
        self, verb: str, resource: Resource, *, subresource: str = "", scope: str = "", component: str = REST
    ) -> None:
        self._labels = labels(verb, resource, subresource=subresource, scope=scope, component=component)
        self._duration: prometheus.Histogram | None = None
        self._codes: dict[str, prometheus.Counter] = {}
        # Counts it while it is being answered.
        self.running = READING if self._labels[0] in READS else CHANGING

    def done(self, code: str, seconds: float) -> None:
        counter = self._codes.get(code)
        if counter is None:
            counter = self._codes[code] = REQUESTS.labels(*self._labels, code)
        counter.inc()
        if self._duration is None:
            self._duration = DURATION.labels(*self._labels)
        self._duration.observe(seconds)


def labels(
    verb: str, resource: Resource, *, subresource: str = "", scope: str = "", component: str = REST
) -> tuple[str, ...]:
    """The values of the labels that say what a request is."""
    verb = _VERBS.get(verb.lower(), verb.upper())
    scope = scope or ("namespace" if resource.namespaced else "cluster")
    return verb, resource.group, resource.version, resource.name, subresource, scope, component


class Objects(Collector):
    """How many objects there are, counted when somebody asks."""

    def __init__(self, counted: Callable[[], Mapping[str, int]]) -> None:
        self._counted = counted

    def describe(self) -> Iterable[Metric]:
        return [GaugeMetricFamily("apiserver_storage_objects", "Objects stored, by resource.", labels=["resource"])]

    def collect(self) -> Iterator[Metric]:
        for family in self.describe():
            assert isinstance(family, GaugeMetricFamily)
            for resource, count in self._counted().items():
                family.add_metric([resource], count)
            yield family


def build(version: Mapping[str, str]) -> None:
    """Say which version is served: `version` is what /version answers."""
    _BUILD.labels(version["major"], version["minor"], version["gitVersion"], version["platform"]).set(1)


def webhook(name: str, outcome: str, seconds: float) -> None:
    """`outcome`: allowed, denied or error."""
    WEBHOOKS.labels(name, outcome).observe(seconds)
