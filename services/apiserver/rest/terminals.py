"""exec and attach over REST: a command's or a container's streams, over a WebSocket or over SPDY.

What forbids it is answered before the connection is upgraded. A client that goes away ends it, on the node too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Protocol

from raftsman import errors
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.services.apiserver.rpc import Call
from raftsman.services.apiserver.verbs import streams

from . import spdy_session, terminal_channels, terminal_streams, websocket
from .http import Exchange, Request
from .paths import Target
from .requests import flag


class Terminal(Protocol):
    """How a client is reached, whatever it speaks."""

    gone: asyncio.Event

    def input(self) -> AsyncIterator[bytes]:
        """What the client sends, as messages of an Exec stream."""
        ...

    async def output(self, answer: core.ExecResponse) -> None: ...

    async def end(self, status: meta.Status) -> None:
        """The last that the client is told."""
        ...

    def close(self) -> None: ...


async def serve(service: streams.Service, call: Call, request: Request, exchange: Exchange, target: Target) -> None:
    """Serve `target`'s exec or attach."""
    method = "Attach" if target.subresource == "attach" else "Exec"
    start = _start(request, target)
    settled = await streams.terminal_channel(service, call, start, method=method)
    try:
        terminal = await _terminal(request, exchange, start)
    except spdy_session.Gone:
        return
    try:
        await until_gone(_through(settled, start, terminal, method), terminal.gone)
    except spdy_session.Gone:
        return
    finally:
        terminal.close()


async def until_gone(work: Awaitable[None], gone: asyncio.Event) -> None:
    """Do it, or stop when the client has gone."""
    running, leaving = asyncio.ensure_future(work), asyncio.ensure_future(gone.wait())
    try:
        await asyncio.wait({running, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        running.cancel()
        leaving.cancel()
        await asyncio.gather(running, leaving, return_exceptions=True)


async def _through(channel: Any, start: core.ExecStart, terminal: Terminal, method: str) -> None:
    async def write(piece: bytes) -> None:
        answer = core.ExecResponse.FromString(piece)
        if answer.WhichOneof("message") == "exit":
            await terminal.end(_ended(answer.exit))
        elif answer.WhichOneof("message") is not None:
            await terminal.output(answer)

    try:
        await streams.terminal_through(channel, start, terminal.input(), write, method=method)
    except errors.ApiError as error:
        await terminal.end(error.status)


async def _terminal(request: Request, exchange: Exchange, start: core.ExecStart) -> Terminal:
    if websocket.wanted(request):
        return terminal_channels.Channels(request, exchange, start)
    if spdy_session.wanted(request):
        return await terminal_streams.opened(request, exchange, start)
    raise errors.BadRequest("Upgrade request required: exec and attach are served over WebSocket and SPDY/3.1")


def _start(request: Request, target: Target) -> core.ExecStart:
    start = core.ExecStart(
        namespace=target.namespace, name=target.name, container=request.first("container"),
        command=request.query.get("command", []), stdin=flag(request, "stdin"), stdout=flag(request, "stdout"),
        stderr=flag(request, "stderr"), tty=flag(request, "tty"),
    )  # fmt: skip
    if target.subresource == "attach":
        # Without parameters: what the container says.
        start.stdout = start.stdout or "stdout" not in request.query
        start.stderr = (start.stderr or "stderr" not in request.query) and not start.tty
    if not (start.stdin or start.stdout or start.stderr):
        raise errors.BadRequest("you must specify at least 1 of stdin, stdout, stderr")
    if start.tty and start.stderr:
        # A terminal has one output; Kubernetes' clients ask for the other all the same.
        start.stderr = False
    return start


def _ended(exit_: core.ExecExit) -> meta.Status:
    """A command's end as clients read it: the exit code is a cause."""
    if exit_.message:
        return meta.Status(status="Failure", reason="InternalError", message=exit_.message, code=500)
    if not exit_.code:
        return meta.Status(status="Success")
    why = f"command terminated with non-zero exit code: exit status {exit_.code}"
    status = meta.Status(status="Failure", reason="NonZeroExitCode", message=why)
    status.details.causes.add(reason="ExitCode", message=str(exit_.code))
    return status
