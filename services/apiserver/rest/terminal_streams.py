"""A terminal over SPDY: the client opens one stream each for what it wants, and says in `streamType` which it is.

    error (always)   stdin   stdout   stderr   resize (with a terminal, from v3 on; JSON, one size a line)

Protocols v4 to v1 differ in the error stream (a Status from v4 on, a text before) and in resize. The streams must come
within CREATION_S.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from raftsman import errors
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

from . import spdy_session
from .http import Exchange, Request
from .spdy_session import Session, Stream
from .terminal_channels import size_of, told_as

PROTOCOLS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
CREATION_S = 30.0
INPUT_MAX = 16
LINE_BYTES_MAX = 4096
TYPE_HEADER = "streamtype"
_KNOWN = ("error", "stdin", "stdout", "stderr", "resize")


async def opened(request: Request, exchange: Exchange, start: core.ExecStart) -> Streams:
    """The client's streams, once all have come. spdy_session.Gone if they do not."""
    protocol = spdy_session.protocol_of(request, PROTOCOLS)
    session = spdy_session.upgraded(exchange, protocol)
    wanted = {"error"} | {name for name in ("stdin", "stdout", "stderr") if getattr(start, name)}
    if start.tty and protocol in PROTOCOLS[:2]:
        wanted.add("resize")
    try:
        async with asyncio.timeout(CREATION_S):
            found = await _streams(session, wanted)
    except TimeoutError:
        session.close(status=1)
        raise spdy_session.Gone("the client did not open its streams in time") from None
    return Streams(session, found, protocol)


async def _streams(session: Session, wanted: set[str]) -> dict[str, Stream]:
    found: dict[str, Stream] = {}
    while wanted - found.keys():
        stream = await session.accept()
        if stream is None:
            raise spdy_session.Gone("the client has gone before it opened its streams")
        kind = stream.headers.get(TYPE_HEADER, "")
        if kind not in _KNOWN or kind in found:
            session.close(status=1)
            raise spdy_session.Gone(f"a stream of type {kind!r} was not expected")
        found[kind] = stream
        if kind not in wanted or kind not in ("stdin", "resize"):
            stream.ignore()
    return found


class Streams:
    """One client."""

    def __init__(self, session: Session, streams: dict[str, Stream], protocol: str) -> None:
        self.gone = session.gone
        self._session, self._streams, self._protocol = session, streams, protocol

    async def input(self) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[core.ExecRequest | None] = asyncio.Queue(INPUT_MAX)
        pumps = [
            asyncio.create_task(pump(stream, queue))
            for name, pump in (("stdin", _stdin), ("resize", _sizes))
            if (stream := self._streams.get(name)) is not None
        ]
        try:
            while (request := await queue.get()) is not None:
                yield request.SerializeToString()
        finally:
            for pump in pumps:
                pump.cancel()

    async def output(self, answer: core.ExecResponse) -> None:
        kind = answer.WhichOneof("message")
        stream = self._streams.get(str(kind))
        if stream is not None and not stream.over:
            await stream.send(answer.stderr if kind == "stderr" else answer.stdout)

    async def end(self, status: meta.Status) -> None:
        # In this order: clients read the error when their outputs have ended.
        for name in ("stdout", "stderr"):
            if name in self._streams:
                await self._streams[name].finish()
        error = self._streams["error"]
        if not error.over:
            await error.send(told_as(status, new=self._protocol == PROTOCOLS[0]))
        await error.finish()

    def close(self) -> None:
        self._session.close()


async def _stdin(stream: Stream, queue: asyncio.Queue[core.ExecRequest | None]) -> None:
    while (data := await stream.receive()) is not None:
        await queue.put(core.ExecRequest(stdin=data))
    await queue.put(core.ExecRequest(stdin_closed=True))


async def _sizes(stream: Stream, queue: asyncio.Queue[core.ExecRequest | None]) -> None:
    rest = b""
    while (data := await stream.receive()) is not None:
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > LINE_BYTES_MAX:
            raise errors.BadRequest(f"a size of more than {LINE_BYTES_MAX} bytes")
        for size in filter(None, map(size_of, lines)):
            await queue.put(core.ExecRequest(size=size))
