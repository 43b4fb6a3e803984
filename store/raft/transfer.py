"""A snapshot's way from the leader to a follower that lags behind the log: in chunks, each asked for by the last ack.

The leader reads its newest snapshot file; the follower writes what arrives aside, checks it whole, and only then takes
it for its state. One transfer a follower. A follower whose disk is full takes nothing: a chunk is sent again after
RESEND_S. A lost connection or STALL_S without progress ends a transfer, the next heartbeat starts another. Chunks are
CHUNK_BYTES, so that appends to other members are not held up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pysyncobj.node import Node
from raftsman import logs
from raftsman.store import snapshot
from raftsman.store.wal.disk import Disk, File, is_full

from . import clock
from .guard import BadMessage, Message, Send
from .kernel import Kernel

CHUNK_BYTES = 512 << 10
STALL_S = 10.0
RESEND_S = 1.0
MESSAGES = frozenset({"snapshot", "snapshot-ack"})

log = logs.get(__name__)


@dataclass(slots=True)
class _Sending:
    file: File
    index: int
    chunk_at: int = 0
    offset: int = 0
    moved_at: float = field(default_factory=lambda: clock.now())
    sent_at: float = 0.0


@dataclass(slots=True)
class _Receiving:
    leader: Node
    name: str
    data: File
    size: int = 0


class Transfer:
    """Both sides of every transfer of one member. `installed` is told (path, index, term) on the Raft loop."""

    def __init__(
        self, kernel: Kernel, send: Send, *, folder: Path, disk: Disk, installed: Callable[[Path, int, int], None]
    ) -> None:
        self._kernel = kernel
        self._send = send
        self._folder = folder
        self._disk = disk
        self._installed = installed
        self._sending: dict[Node, _Sending] = {}
        self._receiving: _Receiving | None = None

    # -- leader

    def start(self, node: Node) -> None:
        """Send the newest snapshot, unless that is under way."""
        before = self._sending.get(node)
        if before is not None and not self._arrived(node, before):
            now = clock.now()
            if now - before.moved_at < STALL_S:
                if now - before.sent_at >= RESEND_S:
                    before.offset = before.chunk_at
                    self._chunk(node, before)
                return
        self.stop(node)
        path = snapshot.stored(self._folder, disk=self._disk)
        assert path is not None, "the log was compacted without a snapshot"
        self._sending[node] = sending = _Sending(self._disk.open(path), int(path.stem.removeprefix("snap-"), 16))
        log.info("sending snapshot", peer=node.id, index=sending.index)
        self._chunk(node, sending)

    def _arrived(self, node: Node, sending: _Sending) -> bool:
        return self._kernel.match_index(node) >= sending.index

    def needed_from(self, index: int) -> int:
        """`index`, or an older entry, behind which a follower goes on when what is sent to it has arrived."""
        for node, sending in list(self._sending.items()):
            if self._arrived(node, sending):
                self.stop(node)
            elif clock.now() - sending.moved_at < STALL_S:
                index = min(index, sending.index)
        return index

    def stop(self, node: Node) -> None:
        sending = self._sending.pop(node, None)
        if sending is not None:
            sending.file.close()

    def _chunk(self, node: Node, sending: _Sending) -> None:
        data = self._disk.read_at(sending.file, CHUNK_BYTES, at=sending.offset)
        message = {
            "type": "snapshot",
            "term": self._kernel.raftCurrentTerm,
            "index": sending.index,
            "offset": sending.offset,
            "data": data,
            "last": len(data) < CHUNK_BYTES,
        }
        sending.chunk_at = sending.offset
        sending.offset += len(data)
        sending.sent_at = clock.now()
        if not self._send(node, message):
            self.stop(node)

    # -- both

    def incoming(self, node: Node, message: Message) -> None:
        """One of this module's messages."""
        term, offset = message.get("term"), message.get("offset")
        if type(term) is not int or type(offset) is not int:
            raise BadMessage(message["type"])
        if message["type"] == "snapshot":
            self._receive(node, message, term=term, offset=offset)
            return
        sending = self._sending.get(node)
        if not self._kernel._isLeader() or term != self._kernel.raftCurrentTerm:
            self.stop(node)
            return
        self._kernel.heard_from(node)
        if sending is not None and offset == sending.offset:
            sending.moved_at = clock.now()
            self._chunk(node, sending)

    # -- follower

    def _receive(self, node: Node, message: Message, *, term: int, offset: int) -> None:
        index, data = message.get("index"), message.get("data")
        if type(index) is not int or type(data) is not bytes:
            raise BadMessage("snapshot")
        if term < self._kernel.raftCurrentTerm:
            return
        if term > self._kernel.raftCurrentTerm:
            self._kernel.adopt_term(term)
        try:
            self._store(node, index, data, offset=offset, last=message.get("last") is True)
        except OSError as error:
            if not is_full(error):
                raise
            log.error("no room for the leader's snapshot", index=index, error=error)
            self._give_up()

    def _store(self, node: Node, index: int, data: bytes, *, offset: int, last: bool) -> None:
        if offset == 0:
            self._begin(node, index)
        receiving = self._receiving
        if receiving is None or receiving.leader != node or offset != receiving.size:
            return
        self._disk.write_at(receiving.data, data, at=receiving.size)
        receiving.size += len(data)
        self._kernel.postpone_election()
        if last:
            self._finish(node, receiving, index)
        else:
            term = self._kernel.raftCurrentTerm
            self._send(node, {"type": "snapshot-ack", "term": term, "offset": receiving.size})

    def _give_up(self) -> None:
        """Half a snapshot helps nobody; the leader sends it again when nothing moved for a while."""
        receiving, self._receiving = self._receiving, None
        if receiving is not None:
            receiving.data.close()
        for half in self._disk.list(self._folder, "*.receiving"):
            self._disk.unlink(half)

    def _begin(self, node: Node, index: int) -> None:
        if self._receiving is not None:
            self._receiving.data.close()
        self._disk.make_folder(self._folder)
        name = f"snap-{index:016x}"
        self._receiving = _Receiving(node, name, self._disk.create(self._folder / f"{name}.receiving"))

    def _finish(self, node: Node, receiving: _Receiving, index: int) -> None:
        receiving.data.close()
        self._receiving = None
        arrived = self._folder / f"{receiving.name}.receiving"
        if index > self._kernel.raftLastApplied:
            self._install(arrived, index)
        else:
            self._disk.unlink(arrived)
        last = self._kernel.journal.last_index
        self._send(
            node,
            {
                "type": "next_node_idx",
                "term": self._kernel.raftCurrentTerm,
                "next_node_idx": min(index, last) + 1,
                "reset": True,
                "success": True,
            },
        )

    def _install(self, arrived: Path, index: int) -> None:
        try:
            head = snapshot.verify(arrived, disk=self._disk)
        except snapshot.SnapshotDamaged as error:
            raise BadMessage(str(error)) from error
        if head.index != index:
            raise BadMessage(f"snapshot of entry {head.index} instead of {index}")
        path = self._folder / f"snap-{index:016x}.rms"
        snapshot.adopt(arrived, path, disk=self._disk)
        log.info("snapshot installed", index=index)
        self._installed(path, index, head.term)
