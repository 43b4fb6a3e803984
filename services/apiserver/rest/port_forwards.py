"""port-forward over REST: connections to a pod's ports.

Over SPDY, plain or inside a WebSocket (`SPDY/3.1+portforward.k8s.io`), a client opens two streams for each connection,
`error` and `data`, which its `requestID` holds together; `port` says to where. Both must come within CREATION_S; at
most CONNECTIONS_MAX connections are open. A connection that fails is told so in its error stream; the others go on.
The older WebSocket protocol is in port_channels.
"""

from __future__ import annotations

import asyncio
import contextlib

from raftsman import errors
from raftsman.services.apiserver.rpc import Call
from raftsman.services.apiserver.verbs import pod_ports, streams
from raftsman.services.apiserver.verbs.pod_ports import Pod

from . import port_channels, spdy, spdy_session, websocket
from .http import Exchange, Request
from .paths import Target
from .spdy_session import Session, Stream

PROTOCOL = "portforward.k8s.io"
TUNNEL = f"SPDY/3.1+{PROTOCOL}"
CREATION_S = 30.0
CONNECTIONS_MAX = 200


async def serve(service: streams.Service, call: Call, request: Request, exchange: Exchange, target: Target) -> None:
    """Serve `target`'s portforward."""
    channel = await streams.port_channel(service, call, target.namespace, target.name)
    pod = Pod(target.namespace, target.name, channel)
    if spdy_session.wanted(request):
        session = spdy_session.upgraded(exchange, spdy_session.protocol_of(request, (PROTOCOL,)))
        await _serve_session(session, pod)
    elif not websocket.wanted(request):
        raise errors.BadRequest("Upgrade request required: portforward is served over WebSocket and SPDY/3.1")
    elif TUNNEL in websocket.offered(request):
        await _tunnelled(request, exchange, pod)
    else:
        await port_channels.serve(request, exchange, pod)


# -- SPDY


async def _tunnelled(request: Request, exchange: Exchange, pod: Pod) -> None:
    pipe = _Tunnel()
    # The WebSocket's own pings find a client that vanished.
    session = Session(pipe, ping=False)

    def received(message: bytes | None) -> None:
        # An empty message is none of the stream's bytes; empty bytes are its end.
        if message is None or message:
            session.received(message or b"")

    socket = pipe.socket = websocket.Socket(request, exchange, TUNNEL, received)
    try:
        await _serve_session(session, pod)
    finally:
        socket.close()


class _Tunnel:
    """A pipe whose bytes are a WebSocket's messages."""

    socket: websocket.Socket

    async def send(self, data: bytes) -> None:
        await self.socket.send(data)

    def send_soon(self, data: bytes) -> None:
        self.socket.send_soon(data)

    def pause(self) -> None:
        self.socket.pause()

    def resume(self) -> None:
        self.socket.resume()


async def _serve_session(session: Session, pod: Pod) -> None:
    """Until the client has gone. What it left half open goes with it."""
    waiting: dict[str, _Pair] = {}
    tasks: set[asyncio.Task[None]] = set()
    try:
        while (stream := await session.accept()) is not None:
            key, kind = _place(stream)
            if kind not in ("error", "data") or (key not in waiting and len(tasks) + len(waiting) >= CONNECTIONS_MAX):
                stream.reset(spdy.REFUSED_STREAM)
                continue
            pair = waiting.get(key)
            if pair is None:
                pair = waiting[key] = _Pair(key, waiting)
            pair.take(kind, stream)
            if pair.whole:
                task = asyncio.create_task(_connected(pair, pod))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
    finally:
        for pair in list(waiting.values()):
            pair.settle()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        session.close()


def _place(stream: Stream) -> tuple[str, str]:
    """(which connection, which stream of it). Clients that give no number open the error stream just before."""
    kind = stream.headers.get("streamtype", "")
    number = stream.headers.get("requestid", "")
    if number:
        return number, kind
    return f"stream {stream.number - (2 if kind == 'data' else 0)}", kind


class _Pair:
    """The two streams of a connection, as they come."""

    def __init__(self, key: str, waiting: dict[str, _Pair]) -> None:
        self._key, self._waiting = key, waiting
        self.streams: dict[str, Stream] = {}
        self._timer = asyncio.get_running_loop().call_later(CREATION_S, self._late)

    def take(self, kind: str, stream: Stream) -> None:
        if kind in self.streams:
            return stream.reset(spdy.PROTOCOL_ERROR)
        self.streams[kind] = stream
        if kind == "error":
            stream.ignore()
        if self.whole:
            self.settle()
        return None

    @property
    def whole(self) -> bool:
        return len(self.streams) == 2

    def settle(self) -> None:
        self._timer.cancel()
        self._waiting.pop(self._key, None)

    def _late(self) -> None:
        self.settle()
        for stream in self.streams.values():
            stream.reset(spdy.CANCEL)


async def _connected(pair: _Pair, pod: Pod) -> None:
    """One connection, from its two streams to its end."""
    error, data = pair.streams["error"], pair.streams["data"]
    try:
        port = port_channels.port_of(data.headers.get("port", ""))
        async with pod_ports.connected(pod, port) as connection:
            await _both_ways(data, connection)
    except errors.ApiError as failed:
        with contextlib.suppress(spdy_session.Gone):
            await error.send(failed.message.encode())
    except spdy_session.Gone:
        return
    finally:
        with contextlib.suppress(spdy_session.Gone):
            await error.finish()
            await data.finish()
        # The client may go on sending to nobody.
        data.ignore()


async def _both_ways(data: Stream, connection: pod_ports.Connection) -> None:
    """Until the pod's side ends, or the client breaks off."""

    async def sending() -> None:
        while (piece := await data.receive()) is not None:
            await connection.send(piece)
        if data.broken:
            connection.cancel()
        else:
            await connection.finish()

    forward = asyncio.create_task(sending())
    try:
        while (piece := await connection.receive()) is not None:
            await data.send(piece)
    finally:
        forward.cancel()
        await asyncio.gather(forward, return_exceptions=True)
