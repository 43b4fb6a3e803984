"""CRI log files: what readers, followers and the rotation do."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raftsman.agents.node.runtime import logs
from raftsman.agents.node.runtime.specs import LogQuery

STAMP = "2026-01-02T03:04:{:02d}.123456789+00:00"


def write(path: Path, *texts: str, tag: str = "F", first: int = 0) -> None:
    with open(path, "a", encoding="utf-8") as file:
        for offset, text in enumerate(texts):
            file.write(f"{STAMP.format(first + offset)} stdout {tag} {text}\n")


async def read(path: Path, **query: object) -> str:
    return b"".join([chunk async for chunk in logs.read_log(path, LogQuery(**query), finished=lambda: True)]).decode()


async def test_lines_lose_their_stamps_and_parts_are_joined(tmp_path):
    path = tmp_path / "0.log"
    write(path, "one")
    write(path, "two-", tag="P")
    write(path, "half")
    write(path, "")
    assert await read(path) == "one\ntwo-half\n\n"


async def test_timestamps_since_tail_and_limit(tmp_path):
    path = tmp_path / "0.log"
    write(path, *(f"line{number}" for number in range(10)))
    assert await read(path, tail_lines=2) == "line8\nline9\n"
    assert await read(path, tail_lines=0) == ""
    assert await read(path, tail_lines=99) == await read(path)
    assert await read(path, since=datetime(2026, 1, 2, 3, 4, 9, tzinfo=UTC)) == "line9\n"
    assert await read(path, limit_bytes=7) == "line0\nl"
    assert await read(path, tail_lines=1, timestamps=True) == "2026-01-02T03:04:09.123456789Z line9\n"


async def test_rotated_files_are_read_first_and_count_for_the_tail(tmp_path):
    path = tmp_path / "0.log"
    write(path, "a", "b")
    path.rename(tmp_path / "0.log.1000")
    write(path, "c")
    assert await read(path) == "a\nb\nc\n"
    assert await read(path, tail_lines=2) == "b\nc\n"


async def test_a_follower_sees_growth_survives_rotation_and_ends(tmp_path):
    path = tmp_path / "0.log"
    write(path, "first")
    over = asyncio.Event()
    seen: list[bytes] = []

    async def follow() -> None:
        async for chunk in logs.read_log(path, LogQuery(follow=True), finished=over.is_set):
            seen.append(chunk)

    task = asyncio.create_task(follow())
    await asyncio.sleep(0.1)
    write(path, "before")
    path.rename(tmp_path / "0.log.1000")
    write(path, "after")
    await asyncio.sleep(2.5 * logs.FOLLOW_S)
    write(path, "last")
    over.set()
    await asyncio.wait_for(task, 2)
    assert b"".join(seen) == b"first\nbefore\nafter\nlast\n"


async def test_a_log_that_is_not_there_is_an_error_only_without_follow(tmp_path):
    with pytest.raises(FileNotFoundError):
        await read(tmp_path / "none.log")
    assert await read(tmp_path / "none.log", follow=True) == ""


@given(st.lists(st.tuples(st.text("ab", max_size=4), st.sampled_from("PF")), max_size=30), st.integers(0, 12))
def test_a_tail_is_the_end_of_the_whole(tmp_path_factory, lines, tail):
    path = tmp_path_factory.mktemp("tail") / "0.log"
    path.touch()
    for text, tag in [*lines, ("end", "F")]:
        write(path, text, tag=tag)
    whole = asyncio.run(read(path)).splitlines(keepends=True)
    assert asyncio.run(read(path, tail_lines=tail)) == "".join(whole[len(whole) - min(tail, len(whole)) :])


@pytest.mark.asyncio(loop_scope="module")
async def test_rotation_loses_nothing_and_keeps_a_bounded_number_of_files(node):
    container = await node.run("sh", "-c", "i=0; while [ $i -lt 400 ]; do echo line$i; i=$((i+1)); usleep 2000; done")
    rotation = logs.Rotation(node.runtime.layout, size_max=2000, files_max=50)
    while node.runtime.containers.inspect(container.id).exit is None:
        rotation.run(node.runtime.containers.list(container.pod_uid))
        await asyncio.sleep(0.05)
    assert len(logs.generations(container.log_path)) > 2
    assert (await read(container.log_path)).split() == [f"line{number}" for number in range(400)]
    few = logs.Rotation(node.runtime.layout, size_max=1, files_max=2)
    other = await node.run("sh", "-c", "while :; do echo x; usleep 1000; done")
    for _ in range(5):
        await asyncio.sleep(0.05)
        few.run([node.runtime.containers.inspect(other.id)])
    assert len(logs.generations(other.log_path)) <= 2
    await node.runtime.containers.remove(other.id)
