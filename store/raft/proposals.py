"""Operations that wait to become a log entry, here or at the leader.

They come in chunks that were encoded where they were proposed, and leave joined. Bounds: WAITING_MAX operations and
WAITING_BYTES_MAX of them; an entry is at most ENTRY_BYTES, or one chunk, and about ENTRY_OPERATIONS_MAX operations.
"""

from __future__ import annotations

from collections import deque

from raftsman.store import commands

from . import clock

ENTRY_BYTES = 128 << 10
ENTRY_OPERATIONS_MAX = 4096
WAITING_MAX = 50_000
WAITING_BYTES_MAX = 256 << 20
OPERATION_S = 8.0
"""How long an operation waits for a leader, beside two elections: longer than anybody waits for its answer."""


class Proposals:
    """Operations that wait for an entry, in the order in which they came."""

    def __init__(self, *, election_s: float) -> None:
        self._seconds = OPERATION_S + 2 * election_s
        self._chunks: deque[tuple[float, commands.Chunk]] = deque()
        self._count = 0
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._chunks)

    @property
    def many(self) -> bool:
        """Whether what waits is half an entry, or more."""
        return self._bytes >= ENTRY_BYTES // 2

    def add(self, chunk: commands.Chunk) -> None:
        """What exceeds the bounds is dropped: whoever waits for it hears that its outcome is not known."""
        if self._count + chunk.operations <= WAITING_MAX and self._bytes + len(chunk.data) <= WAITING_BYTES_MAX:
            self._chunks.append((clock.now(), chunk))
            self._count += chunk.operations
            self._bytes += len(chunk.data)

    def take(self) -> list[commands.Chunk]:
        """The oldest, within an entry's bounds; those that nobody waits for any more are left out."""
        taken: list[commands.Chunk] = []
        size = count = 0
        stale = clock.now() - self._seconds
        while self._chunks and count < ENTRY_OPERATIONS_MAX:
            since, chunk = self._chunks[0]
            if taken and size + len(chunk.data) > ENTRY_BYTES:
                break
            self._chunks.popleft()
            self._count -= chunk.operations
            self._bytes -= len(chunk.data)
            if since > stale:
                taken.append(chunk)
                size += len(chunk.data)
                count += chunk.operations
        return taken
