"""The byte streams of a running pod: its logs, a command run in it, and its containers' own streams."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

from raftsman.core import v1 as core

from .transport import Transport

SERVICE = "raftsman.core.v1.Pods"
INPUT_MESSAGES_MAX = 16
# How long a command waits for its terminal's first size.
FIRST_SIZE_S = 0.5


async def logs(transport: Transport, request: core.LogsRequest) -> AsyncGenerator[bytes, None]:
    """The bytes of a container's output, as they were written."""
    stream = transport.stream(f"/{SERVICE}/Logs", request, core.LogsResponse)
    async with contextlib.aclosing(stream) as responses:
        async for response in responses:
            yield response.data


async def execute(
    transport: Transport, start: core.ExecStart, stdin: AsyncIterator[bytes] | None,
    sizes: AsyncIterator[core.TerminalSize] | None, *, method: str = "Exec",
) -> AsyncGenerator[core.ExecResponse, None]:  # fmt: skip
    """Exec or Attach; output as it comes, then one message with `exit`. The first of `sizes` goes with the start."""
    requests: asyncio.Queue[core.ExecRequest | None] = asyncio.Queue(INPUT_MESSAGES_MAX)
    begun = asyncio.Event()
    pumps: list[asyncio.Future[Any]] = []
    try:
        if stdin is not None:
            pumps.append(asyncio.create_task(_pump_stdin(stdin, requests)))
        if sizes is not None:
            first = asyncio.ensure_future(anext(aiter(sizes), None))
            pumps.append(first)
            known, _ = await asyncio.wait({first}, timeout=FIRST_SIZE_S)
            if known and (size := first.result()) is not None:
                start.size.CopyFrom(size)
            pumps.append(asyncio.create_task(_pump_sizes(None if known else first, sizes, requests)))
        stream = transport.duplex(f"/{SERVICE}/{method}", _requests(start, requests, begun), core.ExecResponse)
        async with contextlib.aclosing(stream) as responses:
            async for response in responses:
                begun.set()
                kind = response.WhichOneof("message")
                if kind == "exit":
                    await _stop(pumps, requests)
                if kind is not None:
                    yield response
    finally:
        await _stop(pumps, requests)


async def _stop(pumps: Sequence[asyncio.Future[Any]], requests: asyncio.Queue[core.ExecRequest | None]) -> None:
    """Nothing more from us."""
    for pump in pumps:
        pump.cancel()
    await asyncio.gather(*pumps, return_exceptions=True)
    while not requests.empty():
        requests.get_nowait()
    requests.put_nowait(None)


async def _requests(
    start: core.ExecStart, queue: asyncio.Queue[core.ExecRequest | None], begun: asyncio.Event
) -> AsyncGenerator[core.ExecRequest, None]:
    yield core.ExecRequest(start=start)
    # What meets a call that was refused would make gRPC forget why.
    await begun.wait()
    while (request := await queue.get()) is not None:
        yield request


async def _pump_stdin(stdin: AsyncIterator[bytes], queue: asyncio.Queue[core.ExecRequest | None]) -> None:
    async for data in stdin:
        await queue.put(core.ExecRequest(stdin=data))
    await queue.put(core.ExecRequest(stdin_closed=True))


async def _pump_sizes(
    first: asyncio.Future[core.TerminalSize | None] | None, sizes: AsyncIterator[core.TerminalSize],
    queue: asyncio.Queue[core.ExecRequest | None],
) -> None:  # fmt: skip
    if first is not None and (late := await first) is not None:
        await queue.put(core.ExecRequest(size=late))
    async for size in sizes:
        await queue.put(core.ExecRequest(size=size))


def start_of(
    name: str, command: Sequence[str], *, namespace: str, container: str, stdin: bool, tty: bool
) -> core.ExecStart:
    return core.ExecStart(
        namespace=namespace, name=name, container=container, command=list(command),
        stdin=stdin, stdout=True, stderr=not tty, tty=tty,
    )  # fmt: skip
