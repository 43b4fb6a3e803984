"""One connection to a port of a pod, through the agent of its node."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
from raftsman import errors
from raftsman.core import v1 as core

from . import agents


@dataclass(frozen=True, slots=True)
class Pod:
    """Whose ports, and the way to its agent."""

    namespace: str
    name: str
    channel: Any


class Connection:
    """One reader, one writer."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def send(self, data: bytes) -> None:
        """Returns when there is room for more. Silent once the pod's side has ended."""
        await self._write(core.PortForwardRequest(data=data))

    async def finish(self) -> None:
        """Nothing more from us."""
        await self._write(core.PortForwardRequest(closed=True))

    async def _write(self, request: core.PortForwardRequest) -> None:
        try:
            await self._stream.write(request.SerializeToString())
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            # The reader is told why.
            return

    async def receive(self) -> bytes | None:
        """What came next; None at the end. errors.ApiError."""
        try:
            piece = await self._stream.read()
        except grpc.aio.AioRpcError as error:
            raise agents.told(error) from None
        if piece is agents.EOF:
            return None
        answer = core.PortForwardResponse.FromString(piece)
        return None if answer.closed else answer.data

    def cancel(self) -> None:
        """Break it off."""
        self._stream.cancel()


@contextlib.asynccontextmanager
async def connected(pod: Pod, port: int) -> AsyncIterator[Connection]:
    """A connection that stands, cut at the end. errors.ApiError says why there is none."""
    stream = pod.channel.stream_stream(f"{agents.SERVICE}/PortForward")()
    try:
        start = core.PortForwardStart(namespace=pod.namespace, name=pod.name, port=port)
        try:
            await stream.write(core.PortForwardRequest(start=start).SerializeToString())
            first = await stream.read()
        except grpc.aio.AioRpcError as error:
            raise agents.told(error) from None
        if first is agents.EOF:
            raise errors.InternalError("the node's agent ended the connection before it stood")
        yield Connection(stream)
    finally:
        stream.cancel()
