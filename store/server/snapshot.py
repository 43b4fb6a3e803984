"""Maintenance.Snapshot: a backup of the state at one revision, streamed while the member goes on serving.

The state is captured once this member is up to date, poured into a process that makes etcd's database of it
(see raftsman.store.export), and sent in pieces as they come, the SHA-256 of all of them last. Bounds: EXPORTS_MAX at
once, PIECE_BYTES a message; the process and its files are gone when the call ends, however it ends.
"""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO, cast

from raftsman import logs
from raftsman.etcd import rpc_pb2
from raftsman.store import errors, export, snapshot

from .answers import Answers, Context
from .departures import ends_with_its_client

EXPORTS_MAX = 2
PIECE_BYTES = 1 << 18
_PIPE_BYTES = 1 << 18

log = logs.get(__name__)


class Snapshots:
    """The backups under way on this member. `folder` takes what they need of the disk."""

    def __init__(self, answers: Answers, folder: Path) -> None:
        self._answers = answers
        self._folder = folder
        self._running = 0

    @ends_with_its_client
    async def Snapshot(self, request: rpc_pb2.SnapshotRequest, context: Context) -> None:
        try:
            if self._running >= EXPORTS_MAX:
                raise errors.too_many_requests()
            self._running += 1
            try:
                await self._send(context)
            finally:
                self._running -= 1
        except errors.StoreError as error:
            await context.abort(error.code, error.text)

    async def _send(self, context: Context) -> None:
        await self._answers.replica.up_to_date()
        capture = await self._answers.replica.capture()
        digest = hashlib.sha256()
        exporting = await _Export.start(self._folder)
        try:
            await exporting.pour(capture)
            left = await exporting.size()
            while left:
                piece = await exporting.read(min(left, PIECE_BYTES))
                left -= len(piece)
                digest.update(piece)
                await context.write(rpc_pb2.SnapshotResponse(remaining_bytes=left, blob=piece))
        finally:
            exporting.end()
        await context.write(rpc_pb2.SnapshotResponse(blob=digest.digest()))
        log.info("backup sent", revision=capture.head.revision)


class _Export:
    """The process that makes the database. Its pipes are used in threads: a read ends when the process does."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._in, self._out, self._complaints = cast(BinaryIO, process.stdin), process.stdout, process.stderr

    @classmethod
    async def start(cls, folder: Path) -> _Export:
        command = [sys.executable, "-m", export.__name__, str(folder)]
        pipe = subprocess.PIPE
        starting = asyncio.to_thread(
            subprocess.Popen, command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=_PIPE_BYTES
        )
        return cls(await starting)

    async def pour(self, capture: snapshot.Capture) -> None:
        def pour() -> None:
            with self._in:
                snapshot.pour(self._in, capture)

        try:
            await asyncio.to_thread(pour)
        except BrokenPipeError:
            await self._fail()

    async def size(self) -> int:
        return int.from_bytes(await self.read(export.SIZE_BYTES), "big")

    async def read(self, count: int) -> bytes:
        piece = await asyncio.to_thread(self._out.read, count)
        if len(piece) < count:
            await self._fail()
        return piece

    async def _fail(self) -> None:
        complaint = await asyncio.to_thread(self._complaints.read)
        log.error("backup failed", error=complaint.decode(errors="replace").strip())
        raise errors.backup_failed()

    def end(self) -> None:
        """Not awaited: the call may be cancelled again, and the process must be reaped all the same."""
        self._process.kill()
        asyncio.get_running_loop().run_in_executor(None, self._reap)

    def _reap(self) -> None:
        self._process.wait()
        for pipe in (self._out, self._complaints):
            pipe.close()
