"""Raft's rules that the library lacks, applied to every message before it sees it and to every answer it gives.

Only the message types below pass; each field is checked. Acks leave only after `release`, which the driver calls when
the log is synced, and carry the term that they were made in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pysyncobj.node import Node

from .kernel import Kernel

Message = dict[str, Any]
Send = Callable[[Node, Message], bool]

_FIELDS: dict[str, dict[str, type]] = {
    "append_entries": {"term": int, "commit_index": int},
    "next_node_idx": {"next_node_idx": int, "reset": bool, "success": bool, "term": int},
    "request_vote": {"term": int, "last_log_index": int, "last_log_term": int},
    "response_vote": {"term": int},
}


class BadMessage(Exception):
    """A peer sent what no member sends."""


class Guard:
    """Stands between the transport and the kernel, in both directions."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._receive: Callable[[Node, Message], None] | None = None
        self._kernel: Kernel | None = None
        self._held: dict[Node, Message] = {}
        self._ack_below: int | None = None
        self._votes_term = 0
        self._voted: set[Node] = set()

    def attach(self, kernel: Kernel, receive: Callable[[Node, Message], None]) -> None:
        self._kernel, self._receive = kernel, receive

    # -- out

    def outgoing(self, node: Node, message: Message) -> bool:
        """Send a message of the library; acks wait for `release`."""
        assert self._kernel is not None
        if message["type"] != "next_node_idx":
            return self._send(node, message)
        message["term"] = self._kernel.raftCurrentTerm
        if message["success"] and self._ack_below is not None:
            message["next_node_idx"] = min(message["next_node_idx"], self._ack_below)
        if not message["success"]:
            return self._send(node, message)
        self._held[node] = message
        return True

    def release(self) -> None:
        """The log is synced: what is held is true now. Acks are cumulative, the newest says it all."""
        if self._held:
            held, self._held = self._held, {}
            for node, message in held.items():
                self._send(node, message)

    # -- in

    def incoming(self, node: Node, message: Message) -> None:
        """Pass a message on as Raft's rules want it. Raises BadMessage."""
        assert self._kernel is not None
        kind = message.get("type")
        fields = _FIELDS.get(kind) if isinstance(kind, str) else None
        if fields is None or any(type(message.get(name)) is not kind for name, kind in fields.items()):
            raise BadMessage(f"message {kind!r}")
        if kind == "append_entries":
            self._append(node, message)
        elif kind == "next_node_idx":
            self._ack(node, message)
        elif kind == "response_vote":
            self._vote(node, message)
        else:
            self._pass(node, message)

    def _pass(self, node: Node, message: Message) -> None:
        assert self._receive is not None
        self._receive(node, message)

    def _vote(self, node: Node, message: Message) -> None:
        """The library counts messages: one vote a voter and term, however often it arrives."""
        kernel = self._kernel
        assert kernel is not None
        if message["term"] != self._votes_term:
            self._votes_term, self._voted = message["term"], set()
        if node in kernel.voters and node not in self._voted:
            self._voted.add(node)
            self._pass(node, message)

    def _append(self, node: Node, message: Message) -> None:
        kernel = self._kernel
        assert kernel is not None
        if message["term"] < kernel.raftCurrentTerm:
            self._send(node, {"type": "term", "term": kernel.raftCurrentTerm})
            return
        if "prevLogIdx" not in message:
            # A leader that sends a snapshot beside: alive, but it says nothing about the entries that are here.
            self._pass(node, {**_plain(message), "commit_index": kernel.raftCommitIndex, "serialized": None})
            return
        entries = [_entry(entry) for entry in message.get("entries", ())]
        previous, previous_term = message["prevLogIdx"], message["prevLogTerm"]
        if type(previous) is not int or type(previous_term) is not int:
            raise BadMessage("append_entries without a previous entry")
        message = {**_plain(message), "prevLogIdx": previous, "prevLogTerm": previous_term, "entries": entries}
        self._truncate_only_conflicts(node, message, entries)

    def _truncate_only_conflicts(self, node: Node, message: Message, entries: list[tuple[bytes, int, int]]) -> None:
        """The library drops everything behind prevLogIdx: hide what is there already and the same."""
        kernel = self._kernel
        assert kernel is not None
        log = kernel.journal
        previous = message["prevLogIdx"]
        if previous < log.first_index and entries and entries[-1][1] >= log.first_index:
            # What a snapshot covers is committed and the same: begin behind it.
            skip = log.first_index - previous
            message["prevLogIdx"] = previous = log.first_index
            message["prevLogTerm"] = entries[skip - 1][2]
            message["entries"] = entries = entries[skip:]
        if log.term_at(previous) != message["prevLogTerm"] or previous == log.last_index:
            self._pass(node, message)
            return
        same = 0
        while same < len(entries) and log.term_at(entries[same][1]) == entries[same][2]:
            same += 1
        if same < len(entries):
            message["entries"] = entries[same:]
            message["prevLogIdx"] = previous + same
            message["prevLogTerm"] = log.term_at(previous + same)
            self._pass(node, message)
            return
        verified = previous + len(entries)
        message.update(entries=[], prevLogIdx=log.last_index, prevLogTerm=log.term_at(log.last_index))
        message["commit_index"] = min(message["commit_index"], max(verified, kernel.raftCommitIndex))
        self._ack_below = verified + 1
        try:
            self._pass(node, message)
        finally:
            self._ack_below = None

    def _ack(self, node: Node, message: Message) -> None:
        """The library rewinds nextIndex at every ack, sends again, and makes the follower truncate what it acked."""
        kernel = self._kernel
        assert kernel is not None
        if message["term"] != kernel.raftCurrentTerm or not kernel._isLeader() or node not in kernel.peers:
            return
        before, match = kernel.next_index(node), kernel.match_index(node)
        if message["reset"] and message["next_node_idx"] <= match:
            message["next_node_idx"] = match + 1
        if message["next_node_idx"] > kernel.journal.last_index + 1 or message["next_node_idx"] < 1:
            raise BadMessage(f"ack of entry {message['next_node_idx'] - 1}")
        self._pass(node, message)
        after = kernel.next_index(node)
        if before is None or after is None or message["reset"]:
            return
        if message["success"] and after < before:
            kernel.set_next_index(node, before)


def _plain(message: Message) -> Message:
    return {"type": "append_entries", "term": message["term"], "commit_index": message["commit_index"]}


def _entry(entry: object) -> tuple[bytes, int, int]:
    if isinstance(entry, list | tuple) and len(entry) == 3:
        command, index, term = entry
        if isinstance(command, bytes) and type(index) is int and type(term) is int:
            return command, index, term
    raise BadMessage("append_entries with something that is no entry")
