"""Prometheus metrics, with etcd's names, types and meanings where there is the same thing to measure.

Most are read from where they are kept when somebody asks, so idling costs nothing; this is an observer of the replica
for what happens in between. What etcd measures of its backend file, of peers' round trips and of proxies has nothing
here that means the same, and no metric. Counts are this process': they begin at 0.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import resource
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from raftsman.store.raft import events
from raftsman.store.server.maintenance import CLUSTER_VERSION, ETCD_VERSION

if TYPE_CHECKING:
    from raftsman.store.histogram import Histogram
    from raftsman.store.lessor import Lessor
    from raftsman.store.pages import Pages
    from raftsman.store.replica import Replica
    from raftsman.store.server.answers import Answers
    from raftsman.store.server.watch import Watch

REGISTER_S = 5.0
_Value = tuple[str, str, float]


class Metrics:
    """What one member says about itself; a collector for prometheus_client."""

    def __init__(self, answers: Answers, *, watch: Watch, lessor: Lessor, pages: Pages, quota_bytes: int) -> None:
        self._answers = answers
        self._replica: Replica = answers.replica
        self._watch = watch
        self._lessor = lessor
        self._pages = pages
        self._quota_bytes = quota_bytes
        self._leader: str | None = None
        self._leader_changes = self._granted = self._revoked = 0
        self._replica.observers.append(self)

    async def register(self) -> None:
        """Join the default registry, REGISTER_S after the start: the import takes 50 ms of CPU."""
        await asyncio.sleep(REGISTER_S)
        client = await asyncio.to_thread(importlib.import_module, "prometheus_client")
        client.REGISTRY.register(self)

    # -- replica.Observer

    def led(self, role: events.Role) -> None:
        if role.leader is not None and role.leader != self._leader:
            self._leader = role.leader
            self._leader_changes += 1

    def lease_changed(self, lease_id: int) -> None:
        if self._replica.state.leases.get(lease_id) is None:
            self._revoked += 1
        else:
            self._granted += 1

    def changed(self, first: int, last: int) -> None:
        """The state counts these."""

    def compacted(self, revision: int) -> None:
        """And knows this."""

    def replaced(self) -> None:
        """Counts go on."""

    # -- prometheus_client's collector

    def collect(self) -> Iterator[Any]:
        from prometheus_client import core

        for name, text, value in self._gauges():
            yield core.GaugeMetricFamily(name, text, value=float(value))
        for name, text, value in self._counters():
            yield core.CounterMetricFamily(name, text, value=float(value))
        for name, text, value in (
            ("etcd_server_health_success", "Health checks that passed.", self._pages.healthy),
            ("etcd_server_health_failures", "Health checks that failed.", self._pages.unhealthy),
        ):
            yield core.UnknownMetricFamily(name, text, value=float(value))
        for name, text, label, said in (
            ("etcd_server_version", "Which API is spoken.", "server_version", ETCD_VERSION),
            ("etcd_cluster_version", "Which API all members speak.", "cluster_version", CLUSTER_VERSION),
            ("etcd_server_id", "This member.", "server_id", f"{self._answers.cluster.member:x}"),
        ):
            family = core.GaugeMetricFamily(name, text, labels=[label])
            family.add_metric([said], 1.0)
            yield family
        yield self._handled(core)
        yield from self._traffic(core)
        for name, text, measured in (
            ("etcd_disk_wal_fsync_duration_seconds", "Of the log.", self._replica.driver.sync_seconds),
            ("etcd_debugging_snap_save_total_duration_seconds", "Of snapshots.", self._replica.snapshot_seconds),
        ):
            yield _histogram(core, name, text, measured)

    def _gauges(self) -> Iterator[_Value]:
        replica, state, driver = self._replica, self._replica.state, self._replica.driver
        yield "etcd_server_has_leader", "Whether a leader is known.", replica.role.leader is not None
        yield "etcd_server_is_leader", "Whether this member leads.", replica.role.leading
        yield "etcd_server_is_learner", "Whether this member does not vote yet.", self._answers.learner
        yield "etcd_server_quota_backend_bytes", "What the state may grow to; 0: no limit.", self._quota_bytes
        # gauges with a counter's name, as in etcd: they are indexes
        yield "etcd_server_proposals_applied_total", "Index of the last applied entry.", replica.applied
        yield "etcd_server_proposals_committed_total", "Index of the last committed entry.", driver.committed
        yield "etcd_server_proposals_pending", "Requests that wait for the log.", replica.pending
        yield "etcd_mvcc_db_total_size_in_bytes", "Size of the state, as the quota counts it.", state.bytes
        yield "etcd_mvcc_db_total_size_in_use_in_bytes", "The same: nothing is held in reserve.", state.bytes
        yield "etcd_debugging_mvcc_current_revision", "Revision of the store.", state.revision
        yield "etcd_debugging_mvcc_compact_revision", "Oldest revision that can be read.", state.compacted
        yield "etcd_debugging_mvcc_keys_total", "Live keys.", len(state.index)
        yield "etcd_debugging_mvcc_watcher_total", "Watches.", self._watch.count
        yield "etcd_debugging_mvcc_watch_stream_total", "Streams of watches.", self._watch.streams
        yield "etcd_debugging_lease_total", "Leases.", len(state.leases)
        yield "etcd_debugging_auth_revision", "Changes of users and roles.", state.auth.revision
        yield "raftsman_store_log_bytes", "Disk taken by the log.", driver.log_bytes
        yield "raftsman_store_disk_full", "Whether the disk has no room for more of the log.", replica.room.short
        yield "os_fd_used", "Open files of this process.", len(os.listdir("/proc/self/fd"))
        yield "os_fd_limit", "How many it may open.", resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    def _counters(self) -> Iterator[_Value]:
        replica, counts, lessor = self._replica, self._replica.counts, self._lessor
        yield "etcd_server_leader_changes_seen_total", "Changes of leader.", self._leader_changes
        yield "etcd_server_proposals_failed_total", "Requests that nobody answered in time.", counts.proposals_failed
        yield "etcd_server_read_indexes_failed_total", "Reads that nobody confirmed in time.", counts.reads_failed
        yield "etcd_server_slow_apply_total", "Batches of entries that took over 100 ms.", counts.slow_applies
        yield "etcd_debugging_lease_granted_total", "Leases granted.", self._granted
        yield "etcd_debugging_lease_revoked_total", "Leases revoked.", self._revoked
        yield "etcd_debugging_lease_renewed_total", "Keep-alives, at the leader.", lessor.renewed
        yield "etcd_debugging_server_lease_expired_total", "Leases that ran out, at the leader.", lessor.expired
        yield "raftsman_store_log_syncs_total", "Syncs of the log.", replica.driver.syncs

    def _traffic(self, core: Any) -> Iterator[Any]:
        sent = core.CounterMetricFamily("etcd_network_peer_sent_bytes_total", "Bytes to a peer.", labels=["To"])
        received = core.CounterMetricFamily(
            "etcd_network_peer_received_bytes_total", "Bytes from a peer.", labels=["From"]
        )
        for peer, traffic in sorted(self._replica.driver.traffic.items()):
            sent.add_metric([peer], float(traffic.sent))
            received.add_metric([peer], float(traffic.received))
        yield from (sent, received)

    def _handled(self, core: Any) -> Any:
        family = core.CounterMetricFamily(
            "grpc_server_handled_total",
            "Unary calls by what became of them.",
            labels=["grpc_code", "grpc_method", "grpc_service", "grpc_type"],
        )
        for (service, method, code), count in sorted(self._answers.handled.items()):
            family.add_metric([_spelled(code), method, f"etcdserverpb.{service}", "unary"], float(count))
        return family


def _spelled(code: str) -> str:
    """Go's name of a gRPC code."""
    if code in ("OK", "CANCELLED"):
        return {"OK": "OK", "CANCELLED": "Canceled"}[code]
    return "".join(word.title() for word in code.split("_"))


def _histogram(core: Any, name: str, text: str, measured: Histogram) -> Any:
    total = 0
    buckets = []
    for bound, count in zip([*map(str, measured.bounds), "+Inf"], measured.counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return core.HistogramMetricFamily(name, text, buckets=buckets, sum_value=measured.sum_s)
