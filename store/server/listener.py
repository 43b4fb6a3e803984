"""The gRPC server: which addresses, with which certificates and limits, and which services on it."""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult

import grpc
import grpc.aio
from raftsman.etcd import election_pb2_grpc, lock_pb2_grpc, rpc_pb2_grpc
from raftsman.kv.v1 import batch_pb2_grpc
from raftsman.store import flags
from raftsman.store.lessor import Lessor
from raftsman.store.pending import PENDING_MAX
from raftsman.store.tls import grpc_credentials

from . import auth, batch, cluster, election, identity, kv, lease, lock, maintenance, queues, refusals, watch
from .answers import Answers

MESSAGE_BYTES_MAX = 16 << 20
NO_LEADER_ELECTIONS = 3
"""Election time-outs without a leader, after which streams that ask for one are ended."""
HANDSHAKE_S = 10.0
"""How long a connection may take to become one: what says nothing, or half of it, is closed."""


def _options(limits: flags.Limits) -> list[tuple[str, int]]:
    options = [
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", limits.streams),
        # grpc cancels at random what waits beyond 1,000 calls; the replica has bounds of its own, which it answers for.
        ("grpc.server.max_pending_requests", PENDING_MAX),
        ("grpc.server.max_pending_requests_hard_limit", PENDING_MAX),
        ("grpc.so_reuseport", 0),
        ("grpc.server_handshake_timeout_ms", int(HANDSHAKE_S * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", int(limits.ping_min_s * 1000)),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", int(limits.ping_min_s * 1000)),
        ("grpc.http2.max_ping_strikes", 0),
    ]
    if limits.ping_every_s:
        options.append(("grpc.keepalive_time_ms", int(limits.ping_every_s * 1000)))
        options.append(("grpc.keepalive_timeout_ms", int(limits.ping_timeout_s * 1000)))
    return options


class Listener:
    """The server and the services that must hear of its end."""

    def __init__(
        self, answers: Answers, lessor: Lessor, *, limits: flags.Limits, progress_s: float, election_s: float
    ) -> None:
        self._identity = answers.identity
        self.watch = watch.Watch(answers, progress_s=progress_s, no_leader_s=NO_LEADER_ELECTIONS * election_s)
        self.batch = batch.Batch(answers)
        self._server = grpc.aio.server(options=_options(limits))
        batch_pb2_grpc.add_BatchServicer_to_server(self.batch, self._server)
        kv.KV(answers).add_to(self._server)
        self.watch.add_to(self._server)
        rpc_pb2_grpc.add_LeaseServicer_to_server(lease.Lease(answers, lessor), self._server)
        rpc_pb2_grpc.add_AuthServicer_to_server(auth.Auth(answers), self._server)
        waiting = queues.Queues(answers)
        lock_pb2_grpc.add_LockServicer_to_server(lock.Lock(answers, waiting), self._server)
        election_pb2_grpc.add_ElectionServicer_to_server(election.Election(answers, waiting), self._server)
        partial: tuple[tuple[str, Any, object], ...] = (
            ("Cluster", rpc_pb2_grpc.add_ClusterServicer_to_server, cluster.Cluster(answers)),
            ("Maintenance", rpc_pb2_grpc.add_MaintenanceServicer_to_server, maintenance.Maintenance(answers)),
        )
        for service, add, servicer in partial:
            refusals.refuse_rest(service, servicer)
            identity.guard(service, servicer, answers.identity)
            add(servicer, self._server)

    async def start(self, urls: tuple[SplitResult, ...], tls: flags.Tls | None) -> None:
        """Listen. Raises RuntimeError when an address cannot be had."""
        for url in urls:
            secure = url.scheme in ("https", "unixs")
            address = f"unix:{url.netloc}{url.path}" if url.scheme.startswith("unix") else url.netloc
            if secure:
                assert tls is not None
                self._server.add_secure_port(address, grpc_credentials(tls))
            else:
                self._server.add_insecure_port(address)
        await self._server.start()

    async def stop(self, grace_s: float) -> None:
        self.watch.close()
        self.batch.close()
        await self._server.stop(grace_s)
        self._identity.close()
