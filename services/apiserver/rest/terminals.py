"""exec over a WebSocket, in Kubernetes' channel protocols (KEP-4006): the first byte of a message is its channel.

0 input   1 output   2 errors   3 the end, a Status   4 the terminal's size, as JSON   255 (v5) closes a channel
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
from raftsman import codec, errors
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.rpc import Call
from raftsman.services.apiserver.verbs import streams

from . import documents, websocket
from .http import Exchange, Request
from .paths import Target
from .requests import flag

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255


async def exec_(
    api: Api, agents: streams.Agents, call: Call, request: Request, exchange: Exchange, target: Target
) -> None:
    """Run a command in a container. What forbids it is answered before the connection is upgraded."""
    protocol = websocket.protocol_of(request, PROTOCOLS)
    start = _start(request, target)
    channel = await streams.exec_channel(api, agents, call, start)
    socket = websocket.Socket(request, exchange, protocol)
    try:
        await streams.exec_through(channel, start, _input(socket), lambda piece: _output(socket, piece))
    except errors.ApiError as error:
        await socket.send(bytes((ERROR,)) + documents.dumped(codec.to_json(error.status)))
    finally:
        socket.close()


def _start(request: Request, target: Target) -> core.ExecStart:
    return core.ExecStart(
        namespace=target.namespace, name=target.name, container=request.first("container"),
        command=request.query.get("command", []), stdin=flag(request, "stdin"), stdout=flag(request, "stdout"),
        stderr=flag(request, "stderr"), tty=flag(request, "tty"),
    )  # fmt: skip


async def _input(socket: websocket.Socket) -> AsyncIterator[bytes]:
    """What the client sends, as messages of the Exec stream, until it closes."""
    while (message := await socket.receive()) is not None:
        if not message:
            continue
        channel, data = message[0], message[1:]
        if channel == STDIN and data:
            yield core.ExecRequest(stdin=data).SerializeToString()
        elif channel == CLOSE and data == bytes((STDIN,)):
            yield core.ExecRequest(stdin_closed=True).SerializeToString()
        elif channel == RESIZE:
            size = _size(data)
            if size is not None:
                yield core.ExecRequest(size=size).SerializeToString()


def _size(data: bytes) -> core.TerminalSize | None:
    try:
        tree = orjson.loads(data)
        return core.TerminalSize(columns=int(tree["Width"]), rows=int(tree["Height"]))
    except (ValueError, TypeError, KeyError):
        return None


async def _output(socket: websocket.Socket, piece: bytes) -> None:
    answer = core.ExecResponse.FromString(piece)
    kind = answer.WhichOneof("message")
    if kind == "stdout":
        await socket.send(bytes((STDOUT,)) + answer.stdout)
    elif kind == "stderr":
        await socket.send(bytes((STDERR,)) + answer.stderr)
    elif kind == "exit":
        await socket.send(bytes((ERROR,)) + documents.dumped(codec.to_json(_ended(answer.exit))))


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
