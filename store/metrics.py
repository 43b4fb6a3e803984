"""Prometheus metrics, with etcd's names where they mean the same. Collected when asked: idling costs nothing."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raftsman.store.replica import Replica
    from raftsman.store.server.watch import Watch

REGISTER_S = 5.0


class _Collector:
    def __init__(self, replica: Replica, watch: Watch) -> None:
        self._replica = replica
        self._watch = watch

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        replica = self._replica
        for name, text, value in (
            ("etcd_server_has_leader", "Whether a leader is known.", replica.role.leader is not None),
            ("etcd_server_is_leader", "Whether this member leads.", replica.role.leading),
            ("etcd_server_proposals_applied_total", "Index of the last applied entry.", replica.applied),
            ("etcd_server_proposals_pending", "Requests that wait for the log.", replica.pending),
            ("etcd_debugging_mvcc_current_revision", "Revision of the store.", replica.state.revision),
            ("etcd_debugging_mvcc_compact_revision", "Oldest revision that can be read.", replica.state.compacted),
            ("etcd_debugging_mvcc_keys_total", "Live keys.", len(replica.state.index)),
            ("etcd_debugging_mvcc_watcher_total", "Watches.", self._watch.count),
            ("etcd_debugging_lease_total", "Leases.", len(replica.state.leases)),
            ("etcd_mvcc_db_total_size_in_bytes", "Disk taken by the log.", replica.driver.log_bytes),
            ("raftsman_store_log_syncs_total", "Syncs of the log.", replica.driver.syncs),
        ):
            yield GaugeMetricFamily(name, text, value=float(value))


async def register(replica: Replica, watch: Watch) -> None:
    """Add the store's metrics to the default registry, REGISTER_S after the start: the import takes 50 ms of CPU."""
    await asyncio.sleep(REGISTER_S)
    client = await asyncio.to_thread(importlib.import_module, "prometheus_client")
    client.REGISTRY.register(_Collector(replica, watch))
