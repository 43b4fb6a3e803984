"""What every RPC shares: the header of an answer, and errors as gRPC statuses. Reads the replica."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import grpc.aio
from raftsman.etcd import rpc_pb2
from raftsman.store import errors
from raftsman.store.cluster import Cluster
from raftsman.store.replica import Replica

from .identity import Identity

REQUEST_BYTES_MAX = 3 << 19
"""1.5 MiB, etcd's own default: larger requests are refused."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_Method = TypeVar("_Method", bound=Callable[..., Awaitable[Any]])


class Answers:
    """Completes answers with what only this member knows."""

    def __init__(self, replica: Replica, cluster: Cluster, identity: Identity) -> None:
        self.replica = replica
        self.cluster = cluster
        self.identity = identity

    def complete(self, header: rpc_pb2.ResponseHeader) -> None:
        """Fill in a header; a revision that is there already (a write's own) stays."""
        header.cluster_id = self.cluster.id
        header.member_id = self.cluster.me.id
        header.raft_term = self.replica.role.term
        if not header.revision:
            header.revision = self.replica.state.revision

    def header(self) -> rpc_pb2.ResponseHeader:
        header = rpc_pb2.ResponseHeader()
        self.complete(header)
        return header


def unary(method: _Method) -> _Method:
    """A unary RPC: StoreError becomes its status."""

    @functools.wraps(method)
    async def wrapped(self: object, request: Any, context: Context) -> Any:
        try:
            return await method(self, request, context)
        except errors.StoreError as error:
            await context.abort(error.code, error.text)

    return wrapped  # type: ignore[return-value]
