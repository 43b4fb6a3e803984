"""gRPC without sockets: a client's call reaches a member's servicer, and its answer comes back, or not.

A call is late both ways as the links between client and member say. A member that ends before it answered, or an answer
that is lost, leaves the client with an unknown outcome, as does the client's own time-out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from .loop import Loop, now_here
from .machine import Machine, Parts
from .network import Network

CALL_S = 9.0
SILENCE_S = 2.0
"""After which a client looks whether its stream is still there."""
LOST = 0.01


class CallFailed(Exception):
    """What a client's gRPC library would raise."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class Context:
    """The servicer's side of a call."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[Any] = asyncio.Queue()

    async def abort(self, code: grpc.StatusCode, text: str = "", trailing_metadata: object = ()) -> None:
        raise CallFailed(code, text)

    async def write(self, message: Any) -> None:
        self.sent.put_nowait(message)
        await asyncio.sleep(0)

    def invocation_metadata(self) -> tuple[Any, ...]:
        return ()

    def auth_context(self) -> dict[str, Any]:
        return {}

    def peer(self) -> str:
        return "sim"

    def cancelled(self) -> bool:
        return False


class Channel:
    """One client's way to one incarnation of a member."""

    def __init__(self, network: Network, client: Loop, machine: Machine) -> None:
        self._network, self._client, self._machine = network, client, machine
        self._parts: Parts | None = machine.parts if machine.serving else None
        self.name = client.process.name

    def _up(self) -> bool:
        parts = self._parts
        return parts is not None and parts.process.alive and parts.serving

    async def call(self, service: str, method: str, request: Any, *, seconds: float = CALL_S) -> Any:
        """One unary call. Raises CallFailed."""
        answer: asyncio.Future[Any] = self._client.create_future()
        if not self._up():
            raise CallFailed(grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses")
        self._pass(lambda: self._serve(service, method, request, answer), to_member=True)
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            raise CallFailed(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded") from None

    def _pass(self, what: Any, *, to_member: bool) -> None:
        """Over the link, if it is there; whatever is lost is lost for good, its sender waits for nothing."""
        network, there = self._network, self._machine.name
        link = network.link(self.name, there) if to_member else network.link(there, self.name)
        if not link.cut and network.random.random() >= LOST:
            assert self._parts is not None
            sender, receiver = (self._client, self._parts.main) if to_member else (self._parts.main, self._client)
            sent = now_here(network.world)

            def arrive() -> None:
                if sent <= sender.process.died_at:
                    receiver.call_soon(what)

            network.world.at(sent + network.delay(link), arrive)

    def _serve(self, service: str, method: str, request: Any, answer: asyncio.Future[Any]) -> None:
        assert self._parts is not None
        if self._up():
            copied = type(request).FromString(request.SerializeToString())
            self._parts.main.create_task(self._run(service, method, copied, answer), name=method)

    async def _run(self, service: str, method: str, request: Any, answer: asyncio.Future[Any]) -> None:
        assert self._parts is not None
        result: Any = None
        error: CallFailed | None = None
        try:
            result = await getattr(self._parts.services[service], method)(request, Context())
            result = type(result).FromString(result.SerializeToString())
        except CallFailed as failed:
            error = failed
        self._pass(lambda: _settle(answer, result, error), to_member=False)

    # -- streams

    async def stream(self, service: str, method: str, requests: Any) -> AsyncIterator[Any]:
        """A stream's answers, until it breaks: CallFailed. `requests` is a list; the stream stays open after them."""
        if not self._up():
            raise CallFailed(grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses")
        assert self._parts is not None
        parts, arrived = self._parts, asyncio.Queue[Any]()
        stream = _Stream(self, parts, arrived)
        self._network.world.after(
            self._network.delay(self._network.link(self.name, self._machine.name)),
            lambda: parts.main.call_soon(stream.open, getattr(parts.services[service], method), requests),
        )
        try:
            while True:
                try:
                    async with asyncio.timeout(SILENCE_S):
                        message = await arrived.get()
                except TimeoutError:
                    if not self._up() or self._cut():
                        raise CallFailed(grpc.StatusCode.UNAVAILABLE, "keepalive timed out") from None
                    continue
                if isinstance(message, CallFailed):
                    raise message
                yield message
        finally:
            if parts.process.alive:
                parts.main.call_soon(stream.cancel)

    def _cut(self) -> bool:
        network, there = self._network, self._machine.name
        return network.link(self.name, there).cut or network.link(there, self.name).cut


class _Stream:
    """The member's side of a stream: in order, and broken for good once something is lost."""

    def __init__(self, channel: Channel, parts: Parts, arrived: asyncio.Queue[Any]) -> None:
        self._channel, self._parts, self._arrived = channel, parts, arrived
        self._task: asyncio.Task[None] | None = None
        self._last = 0.0
        self._broken = False

    def open(self, method: Any, requests: Any) -> None:
        if self._parts.process.alive and self._parts.serving:
            self._task = self._parts.main.create_task(self._run(method, requests), name="stream")

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self, method: Any, requests: Any) -> None:
        context = Context()
        pump = self._parts.main.create_task(self._pump(context), name="pump")
        failed = CallFailed(grpc.StatusCode.UNKNOWN, "the stream ended")
        try:
            await method(_kept_open(requests), context)
        except CallFailed as error:
            failed = error
        finally:
            pump.cancel()
        self._send(failed)

    async def _pump(self, context: Context) -> None:
        while True:
            self._send(await context.sent.get())

    def _send(self, message: Any) -> None:
        channel = self._channel
        network = channel._network
        if self._broken or channel._cut():
            self._broken = True
            return
        if not isinstance(message, CallFailed):
            message = type(message).FromString(message.SerializeToString())
        link = network.link(channel._machine.name, channel.name)
        sent = now_here(network.world)
        self._last = max(self._last, sent + network.delay(link))

        def arrive() -> None:
            if sent <= self._parts.process.died_at:
                channel._client.call_soon(self._arrived.put_nowait, message)

        network.world.at(self._last, arrive)


async def _kept_open(requests: Any) -> AsyncIterator[Any]:
    for request in requests:
        yield type(request).FromString(request.SerializeToString())
    await asyncio.Event().wait()


def _settle(answer: asyncio.Future[Any], result: Any, error: CallFailed | None) -> None:
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(result)
