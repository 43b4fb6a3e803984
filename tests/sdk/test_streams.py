"""Logs and exec: bytes in both directions, ended properly from either side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from raftsman import Client, ClientConfig, errors
from raftsman.core import v1 as core


class Pods(grpc.GenericRpcHandler):
    """Logs: three lines, or NotFound. Exec: upper-cases its input until that ends, and notes what it was sent."""

    def __init__(self) -> None:
        self.sent: list[core.ExecRequest] = []
        self.open = 0

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        if details.method.endswith("/Logs"):
            return grpc.unary_stream_rpc_method_handler(
                self._logs, core.LogsRequest.FromString, core.LogsResponse.SerializeToString
            )
        return grpc.stream_stream_rpc_method_handler(
            self._exec, core.ExecRequest.FromString, core.ExecResponse.SerializeToString
        )

    async def _logs(self, request: core.LogsRequest, context: Any) -> AsyncIterator[core.LogsResponse]:
        if request.name == "none":
            error = errors.NotFound('pods "none" not found')
            await context.abort(error.grpc_code, error.message, ((errors.DETAILS_KEY, error.to_details()),))
        for line in (b"one\n", b"two\n", b"three\n")[-request.tail_lines if request.HasField("tail_lines") else 0 :]:
            yield core.LogsResponse(data=line)
        if request.follow:
            await asyncio.Event().wait()

    async def _exec(self, requests: AsyncIterator[core.ExecRequest], context: Any) -> AsyncIterator[core.ExecResponse]:
        self.open += 1
        try:
            yield core.ExecResponse()
            async for request in requests:
                self.sent.append(request)
                kind = request.WhichOneof("message")
                if kind == "stdin":
                    yield core.ExecResponse(stdout=request.stdin.upper())
                if kind == "stdin_closed" or (kind == "start" and not request.start.stdin):
                    yield core.ExecResponse(exit=core.ExecExit(code=3))
                    return
        finally:
            self.open -= 1


@pytest_asyncio.fixture
async def pods(tmp_path: Path) -> AsyncIterator[tuple[Pods, Client]]:
    handler, server = Pods(), grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"unix:{tmp_path}/s")
    await server.start()
    async with Client(ClientConfig(target=f"unix:{tmp_path}/s", plaintext=True)) as client:
        yield handler, client
    await server.stop(None)


async def test_logs_come_as_they_were_written(pods: tuple[Pods, Client]) -> None:
    _, client = pods
    assert b"".join([data async for data in client.logs("p")]) == b"one\ntwo\nthree\n"
    assert b"".join([data async for data in client.logs("p", tail_lines=1)]) == b"three\n"


async def test_logs_of_a_pod_that_is_not_there_are_an_error(pods: tuple[Pods, Client]) -> None:
    _, client = pods
    with pytest.raises(errors.NotFound, match='"none" not found'):
        await anext(client.logs("none"))


async def test_following_ends_when_the_reader_does(pods: tuple[Pods, Client]) -> None:
    _, client = pods
    stream = client.logs("p", follow=True)
    assert await anext(stream) == b"one\n"
    await stream.aclose()


async def test_a_command_without_input_gives_its_exit_code(pods: tuple[Pods, Client]) -> None:
    handler, client = pods
    answers = [answer async for answer in client.exec("p", ["true"], container="c")]
    assert answers[-1].exit.code == 3
    start = handler.sent[0].start
    assert (start.name, list(start.command), start.container, start.stdin) == ("p", ["true"], "c", False)
    assert (start.stdout, start.stderr, start.tty) == (True, True, False)


async def test_input_reaches_the_command_and_its_end_too(pods: tuple[Pods, Client]) -> None:
    handler, client = pods

    async def typed() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"cd"

    answers = [answer async for answer in client.exec("p", ["cat"], stdin=typed())]
    assert b"".join(answer.stdout for answer in answers) == b"ABCD"
    assert handler.sent[-1].stdin_closed


async def test_terminal_sizes_are_passed_on_and_nothing_is_left_running(pods: tuple[Pods, Client]) -> None:
    handler, client = pods
    before = len(asyncio.all_tasks())

    async def never() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def sizes() -> AsyncIterator[core.TerminalSize]:
        yield core.TerminalSize(columns=80, rows=24)
        yield core.TerminalSize(columns=90, rows=24)

    stream = client.exec("p", ["sh"], stdin=never(), tty=True, sizes=sizes())
    reading = asyncio.ensure_future(anext(stream))
    async with asyncio.timeout(5):
        while len(handler.sent) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert handler.sent[0].start.size.columns == 80
        assert handler.sent[1].size.columns == 90
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await stream.aclose()
        while handler.open or len(asyncio.all_tasks()) > before:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_terminal_has_its_size_from_the_start(pods: tuple[Pods, Client]) -> None:
    handler, client = pods

    async def sizes() -> AsyncIterator[core.TerminalSize]:
        yield core.TerminalSize(columns=132, rows=43)

    async for _ in client.exec("web", ["sh"], namespace="default", tty=True, sizes=sizes()):
        pass
    assert (handler.sent[0].start.size.columns, handler.sent[0].start.size.rows) == (132, 43)


async def test_a_command_does_not_wait_for_a_size_that_never_comes(pods: tuple[Pods, Client]) -> None:
    handler, client = pods

    async def sizes() -> AsyncIterator[core.TerminalSize]:
        await asyncio.Event().wait()
        yield core.TerminalSize()

    async with asyncio.timeout(5):
        async for _ in client.exec("web", ["sh"], namespace="default", tty=True, sizes=sizes()):
            pass
    assert not handler.sent[0].start.HasField("size")
