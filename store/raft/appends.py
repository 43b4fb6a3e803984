"""What each follower is sent of the log, and how much of that is on its way: nobody else waits for one that lags.

A message holds MESSAGE_BYTES of entries, or one larger entry. Bounds: a follower has WINDOW_BYTES on its way, or one
entry more, until it acknowledges some of it; so much is encoded and buffered at once, however long the log is that it
lacks. While a snapshot is on its way it is only told that the leader lives.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pysyncobj.node import Node

if TYPE_CHECKING:
    from .kernel import Kernel

MESSAGE_BYTES = 512 << 10
WINDOW_BYTES = 2 << 20


class Appends:
    """The leader's side of append messages, for every follower."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._windows: dict[Node, _Window] = {}

    def send(self, node: Node, *, heartbeat: bool) -> None:
        """Send what a connected follower lacks, as far as its window goes; a `heartbeat` goes without anything, too."""
        kernel = self._kernel
        journal, window = kernel.journal, self._windows.setdefault(node, _Window())
        while kernel.isNodeConnected(node):
            index = kernel.next_index(node)
            assert index is not None, node
            if index <= journal.first_index:
                if heartbeat:
                    kernel.snapshot_wanted(node)
                    self._say(node, window, {"serialized": None})
                return
            entries = journal.entries_from(index, bytes_max=MESSAGE_BYTES) if window.open(kernel, node) else []
            if not entries and not heartbeat:
                return
            if entries:
                kernel.set_next_index(node, entries[-1][1] + 1)
                window.add(entries[-1][1], sum([len(entry[0]) for entry in entries]))
            place = {"prevLogIdx": index - 1, "prevLogTerm": journal.term_at(index - 1)}
            self._say(node, window, {"entries": entries, **place})
            heartbeat = False

    def _say(self, node: Node, window: _Window, more: dict[str, object]) -> None:
        commit = self._kernel.raftCommitIndex
        term = self._kernel.raftCurrentTerm
        if self._kernel.send({"type": "append_entries", "term": term, "commit_index": commit, **more}, to=node):
            window.commit = commit

    def send_owed(self) -> None:
        """Go on with those whose windows opened."""
        last = self._kernel.journal.last_index
        for node in self._kernel.peers:
            index = self._kernel.next_index(node)
            if index is not None and index <= last:
                self.send(node, heartbeat=False)

    def all_know(self, commit: int) -> bool:
        """Whether everybody connected was sent word that entries up to `commit` are committed."""
        return all(
            node in self._windows and self._windows[node].commit >= commit
            for node in self._kernel.peers
            if self._kernel.isNodeConnected(node)
        )

    def forget(self, node: Node) -> None:
        """Its connection is gone, and what was on its way."""
        self._windows.pop(node, None)


class _Window:
    """Entries on their way to one follower: the last index of each message, and its bytes."""

    __slots__ = ("_bytes", "_sent", "commit")

    def __init__(self) -> None:
        self._sent: deque[tuple[int, int]] = deque()
        self._bytes = 0
        self.commit = 0

    def add(self, last: int, size: int) -> None:
        self._sent.append((last, size))
        self._bytes += size

    def open(self, kernel: Kernel, node: Node) -> bool:
        """Whether more may be sent, by what was acknowledged."""
        sent, match = self._sent, kernel.match_index(node)
        if sent and kernel.next_index(node) != sent[-1][0] + 1:
            sent.clear()  # it begins again somewhere else
            self._bytes = 0
        while sent and sent[0][0] <= match:
            self._bytes -= sent.popleft()[1]
        return self._bytes < WINDOW_BYTES
