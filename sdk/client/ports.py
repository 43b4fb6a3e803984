"""One connection to a port of a pod."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from types import TracebackType

from raftsman.core import v1 as core

from .transport import Transport

SERVICE = "raftsman.core.v1.Pods"
WAITING_MAX = 16
CHUNK_BYTES = 64 * 1024


class PodConnection:
    """Use as a context manager: enter connects, leave cuts. One reader, one writer."""

    def __init__(self, transport: Transport, start: core.PortForwardStart) -> None:
        self._transport, self._start = transport, start
        self._waiting: asyncio.Queue[core.PortForwardRequest | None] = asyncio.Queue(WAITING_MAX)
        self._answers: AsyncGenerator[core.PortForwardResponse, None] | None = None
        self._over = False

    async def __aenter__(self) -> PodConnection:
        """errors.ApiError says why there is no connection."""
        self._answers = self._transport.duplex(f"/{SERVICE}/PortForward", self._requests(), core.PortForwardResponse)
        try:
            await anext(self._answers)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def send(self, data: bytes) -> None:
        """Returns when it may be followed by more. Silent once the pod's side has ended."""
        for at in range(0, len(data), CHUNK_BYTES):
            await self._put(core.PortForwardRequest(data=data[at : at + CHUNK_BYTES]))

    async def finish(self) -> None:
        """Nothing more from us."""
        await self._put(core.PortForwardRequest(closed=True))

    async def receive(self) -> bytes:
        """What came next; empty at the end. errors.ApiError if the connection broke."""
        assert self._answers is not None, "entered"
        try:
            answer = await anext(self._answers, None)
        except BaseException:
            self._end()
            raise
        if answer is None or answer.closed:
            self._end()
            return b""
        return answer.data

    async def _put(self, request: core.PortForwardRequest) -> None:
        if not self._over:
            await self._waiting.put(request)

    async def _requests(self) -> AsyncGenerator[core.PortForwardRequest, None]:
        yield core.PortForwardRequest(start=self._start)
        while (request := await self._waiting.get()) is not None:
            yield request

    def _end(self) -> None:
        """Let a writer go on that waits for room."""
        self._over = True
        while not self._waiting.empty():
            self._waiting.get_nowait()
        with contextlib.suppress(asyncio.QueueFull):
            self._waiting.put_nowait(None)

    async def _close(self) -> None:
        self._end()
        if self._answers is not None:
            await self._answers.aclose()
