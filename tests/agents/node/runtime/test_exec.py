"""Commands inside containers, the quick way and the way of users."""

from __future__ import annotations

import asyncio
import time

import pytest
from raftsman.agents.node import runtime as node_runtime

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def everything(stream: node_runtime.Stream) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while (piece := await asyncio.wait_for(stream.read(), 5)) is not None:
        found[piece[0]] = found.get(piece[0], b"") + piece[1]
    return found


async def test_a_probes_command_gives_its_output_and_code(node):
    container = await node.run("sleep", "100", env={"A": "seen"})
    result = await node.runtime.containers.exec(
        container.id, ["sh", "-c", "echo $A; echo bad >&2; exit 3"], timeout_s=5
    )
    assert (result.code, sorted(result.output.split())) == (3, [b"bad", b"seen"])
    long = await node.runtime.containers.exec(
        container.id, ["sh", "-c", "yes | head -c 200000"], timeout_s=5, output_max=1000
    )
    assert (long.code, len(long.output)) == (0, 1000)


async def test_a_probes_command_is_killed_when_its_time_is_up(node):
    container = await node.run("sleep", "100")
    began = time.monotonic()
    with pytest.raises(node_runtime.ExecTimeout):
        await node.runtime.containers.exec(container.id, ["sleep", "77"], timeout_s=0.3)
    assert time.monotonic() - began < 2
    left = await node.runtime.containers.exec(container.id, ["ps"], timeout_s=5)
    assert b"sleep 77" not in left.output


async def test_a_command_that_does_not_exist_cannot_be_executed(node):
    container = await node.run("sleep", "100")
    with pytest.raises(node_runtime.ExecFault, match="no-such"):
        await node.runtime.containers.exec(container.id, ["no-such"], timeout_s=5)
    stream = await node.runtime.containers.open_exec(container.id, ["no-such"], tty=False, stdin=False)
    assert b"no-such" in (await everything(stream))[2]
    assert await stream.wait() == 127
    await stream.aclose()


async def test_a_user_sees_both_channels_and_the_exit_code(node):
    container = await node.run("sleep", "100")
    stream = await node.runtime.containers.open_exec(
        container.id, ["sh", "-c", "echo out; echo err >&2; exit 5"], tty=False, stdin=False
    )
    assert await everything(stream) == {1: b"out\n", 2: b"err\n"}
    assert await stream.wait() == 5
    await stream.aclose()


async def test_stdin_reaches_the_command_and_its_end_too(node):
    container = await node.run("sleep", "100")
    stream = await node.runtime.containers.open_exec(container.id, ["cat"], tty=False, stdin=True)
    await stream.write(b"hello\n" * 50_000)
    reader = asyncio.create_task(everything(stream))
    await stream.close_stdin()
    assert len((await reader)[1]) == 300_000
    assert await stream.wait() == 0
    await stream.aclose()


async def test_a_terminal_has_the_size_that_it_is_given(node):
    container = await node.run("sleep", "100")
    stream = await node.runtime.containers.open_exec(container.id, ["sh"], tty=True, stdin=True)
    await stream.resize(123, 45)
    await stream.write(b"stty size; exit 4\n")
    assert b"45 123" in (await everything(stream))[1]
    assert await stream.wait() == 4
    await stream.aclose()


async def test_attaching_shows_what_the_container_prints_from_now_on(node):
    container = await node.run("sh", "-c", "read line; echo got $line", stdin=True)
    stream = await node.runtime.containers.attach(container.id)
    await stream.write(b"this\n")
    assert await everything(stream) == {1: b"got this\n"}
    await stream.aclose()
