"""Containers' logs in CRI format: read, followed and rotated.

    2026-01-02T03:04:05.678901234+00:00 stdout F a whole line
    2026-01-02T03:04:05.678901234+00:00 stderr P the first part of a long

A log is <path> and what was rotated away from it, <path>.<time>, oldest first. A line in parts is put together by
leaving out the breaks between. Files are read in blocks in threads; a follower looks for growth every FOLLOW_S.
Rotation renames the file and asks conmon to open a new one: nothing is lost, at most FILES_MAX files of about
SIZE_MAX bytes stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from raftsman import logs

from .layout import Layout
from .specs import Container, LogQuery, Phase

log = logs.get(__name__)

SIZE_MAX = 10 * 1024 * 1024
FILES_MAX = 5
BLOCK = 64 * 1024
FOLLOW_S = 0.2
LINE_MAX = 1024 * 1024
REOPEN = b"2 0 0\n"


async def read_log(path: Path, query: LogQuery, *, finished: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Log text in chunks. With `follow`, until `finished()` says that nothing more will be written.

    FileNotFoundError if there is no log and nothing to wait for.
    """
    files = await asyncio.to_thread(generations, path)
    if not files and not query.follow:
        raise FileNotFoundError(path)
    budget = query.limit_bytes
    async for chunk in _chunks(path, files, query, finished):
        if budget is None:
            yield chunk
            continue
        if chunk[:budget]:
            yield chunk[:budget]
        budget -= len(chunk)
        if budget <= 0:
            return


def generations(path: Path) -> list[Path]:
    """The files of one log, oldest first."""
    rotated = sorted(path.parent.glob(f"{path.name}.*"))
    return [*rotated, path] if path.exists() else rotated


def render(lines: Iterable[bytes], query: LogQuery) -> Iterator[bytes]:
    """What a reader sees of whole CRI lines (without their line breaks)."""
    for line in lines:
        stamp, _, rest = line.partition(b" ")
        _, _, rest = rest.partition(b" ")
        tag, _, text = rest.partition(b" ")
        if query.since is not None and not _recent(stamp, query.since):
            continue
        # conmon writes the offset out; readers of Kubernetes' logs expect UTC's letter.
        head = stamp.replace(b"+00:00", b"Z") + b" " if query.timestamps else b""
        yield head + text + (b"" if tag == b"P" else b"\n")


def tail_start(path: Path, lines: int) -> tuple[int, int]:
    """Where the last `lines` complete lines of a file begin, and how many there are (fewer in a short file).

    Reads the file once: rotation keeps it small.
    """
    starts: deque[int] = deque(maxlen=lines)
    begin = position = count = 0
    with open(path, "rb") as file:
        for line in file:
            position += len(line)
            if _ends_line(line):
                starts.append(begin)
                begin, count = position, min(count + 1, lines)
    if count < lines:
        return 0, count
    return (starts[0] if starts else position), count


class Rotation:
    """Rotates the logs of running containers that have grown past SIZE_MAX."""

    def __init__(self, layout: Layout, *, size_max: int = SIZE_MAX, files_max: int = FILES_MAX) -> None:
        self._layout, self._size_max, self._files_max = layout, size_max, files_max

    def run(self, containers: Iterable[Container]) -> int:
        """Blocks for microseconds a container; gives how many were rotated."""
        due = [one for one in containers if one.phase is Phase.RUNNING and _size(one.log_path) > self._size_max]
        for container in due:
            try:
                self._rotate(container)
            except OSError as refused:
                log.warning("log not rotated", container=container.name, pod=container.pod_uid, error=refused)
        return len(due)

    def _rotate(self, container: Container) -> None:
        path = container.log_path
        path.rename(path.with_name(f"{path.name}.{time.time_ns()}"))
        control = self._layout.graph_root / "overlay-containers" / container.id / "userdata" / "ctl"
        descriptor = os.open(control, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(descriptor, REOPEN)
        finally:
            os.close(descriptor)
        old = sorted(path.parent.glob(f"{path.name}.*"))
        for surplus in old[: max(0, len(old) - (self._files_max - 1))]:
            surplus.unlink(missing_ok=True)


async def _chunks(path: Path, files: list[Path], query: LogQuery, finished: Callable[[], bool]) -> AsyncIterator[bytes]:
    starts = await asyncio.to_thread(_starts, files, query.tail_lines)
    live = _Cursor()
    for file, start in starts:
        live.close()
        live = _Cursor(file, start)
        while lines := await asyncio.to_thread(live.lines):
            yield b"".join(render(lines, query))
    try:
        while query.follow:
            over = finished()
            if await asyncio.to_thread(live.moved, path):
                live.close()
                live = _Cursor(path, 0)
            grown = False
            while lines := await asyncio.to_thread(live.lines):
                grown = True
                yield b"".join(render(lines, query))
            if over and not grown:
                return
            if not over:
                await asyncio.sleep(FOLLOW_S)
    finally:
        live.close()


class _Cursor:
    """A place in one file; gives whole lines only."""

    def __init__(self, path: Path | None = None, start: int = 0) -> None:
        self._file = None
        self._rest = b""
        if path is not None:
            with contextlib.suppress(FileNotFoundError):
                self._file = open(path, "rb")  # noqa: SIM115
                self._file.seek(start)

    def lines(self) -> list[bytes]:
        """The next whole lines, at least one unless there is none now."""
        while self._file is not None:
            data = self._file.read(BLOCK)
            if not data:
                return []
            *whole, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) > LINE_MAX:
                whole, self._rest = [*whole, self._rest], b""
            if whole:
                return whole
        return []

    def moved(self, path: Path) -> bool:
        """Whether `path` is another file by now and this one is read to its end."""
        try:
            there = path.stat()
        except FileNotFoundError:
            return False
        if self._file is None:
            return True
        here = os.fstat(self._file.fileno())
        return here.st_ino != there.st_ino and self._file.tell() >= here.st_size

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _starts(files: list[Path], tail: int | None) -> list[tuple[Path, int]]:
    if tail is None:
        return [(file, 0) for file in files]
    chosen: list[tuple[Path, int]] = []
    left = tail
    for file in reversed(files):
        start, found = tail_start(file, left)
        chosen.append((file, start))
        left -= found
        if left <= 0:
            break
    return chosen[::-1]


def _ends_line(line: bytes) -> bool:
    fields = line.split(b" ", 3)
    return len(fields) >= 3 and fields[2] != b"P"


def _recent(stamp: bytes, since: datetime) -> bool:
    return instant(stamp.decode(errors="replace")) >= since


def instant(stamp: str) -> datetime:
    """A CRI timestamp (nanoseconds, Z or an offset); the beginning of time if it is none."""
    head, dot, tail = stamp.partition(".")
    digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
    zone = tail[len(digits) :] if dot else ""
    try:
        moment = datetime.fromisoformat(f"{head}.{digits[:6]:0<6}{zone}" if dot else head)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
