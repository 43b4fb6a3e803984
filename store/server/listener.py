"""The gRPC server: which addresses, with which certificates and limits, and which services on it."""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult

import grpc
import grpc.aio
from raftsman.etcd import rpc_pb2_grpc
from raftsman.store import flags
from raftsman.store.lessor import Lessor
from raftsman.store.replica import PENDING_MAX

from . import cluster, kv, lease, maintenance, refusals, watch
from .answers import Answers

MESSAGE_BYTES_MAX = 16 << 20
STREAMS_MAX = 10_000

_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_concurrent_streams", STREAMS_MAX),
    # grpc cancels at random what waits beyond 1,000 calls; the replica has bounds of its own, which it answers for.
    ("grpc.server.max_pending_requests", PENDING_MAX),
    ("grpc.server.max_pending_requests_hard_limit", PENDING_MAX),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_time_ms", 7_200_000),
)


class Listener:
    """The server and the services that must hear of its end."""

    def __init__(self, answers: Answers, lessor: Lessor) -> None:
        self.watch = watch.Watch(answers)
        self._server = grpc.aio.server(options=_OPTIONS)
        rpc_pb2_grpc.add_KVServicer_to_server(kv.KV(answers), self._server)
        rpc_pb2_grpc.add_WatchServicer_to_server(self.watch, self._server)
        rpc_pb2_grpc.add_LeaseServicer_to_server(lease.Lease(answers, lessor), self._server)
        partial: tuple[tuple[str, Any, object], ...] = (
            ("Cluster", rpc_pb2_grpc.add_ClusterServicer_to_server, cluster.Cluster(answers)),
            ("Maintenance", rpc_pb2_grpc.add_MaintenanceServicer_to_server, maintenance.Maintenance(answers)),
            ("Auth", rpc_pb2_grpc.add_AuthServicer_to_server, refusals.Auth()),
        )
        for service, add, servicer in partial:
            refusals.refuse_rest(service, servicer)
            add(servicer, self._server)

    async def start(self, urls: tuple[SplitResult, ...], tls: flags.Tls | None) -> None:
        """Listen. Raises RuntimeError when an address cannot be had."""
        for url in urls:
            secure = url.scheme in ("https", "unixs")
            address = f"unix:{url.netloc}{url.path}" if url.scheme.startswith("unix") else url.netloc
            if secure:
                assert tls is not None
                self._server.add_secure_port(address, _credentials(tls))
            else:
                self._server.add_insecure_port(address)
        await self._server.start()

    async def stop(self, grace_s: float) -> None:
        self.watch.close()
        await self._server.stop(grace_s)


def _credentials(tls: flags.Tls) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key.read_bytes(), tls.cert.read_bytes())],
        root_certificates=tls.ca.read_bytes() if tls.ca else None,
        require_client_auth=tls.client_certificates,
    )
