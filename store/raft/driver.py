"""The Raft thread: a member on an event loop of its own, so that neither a slow disk nor a busy API delays the other.

`Driver` is used from the main loop; what it is told reaches the member through a mailbox, what the member tells comes
back through another, `on_event` is called on the main loop. A failure in the thread ends the process: what was answered
is on disk, and nothing may be answered after a disk error.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from raftsman import logs
from raftsman.store import commands, wal
from raftsman.store.histogram import Histogram
from raftsman.store.mvcc import members as membership

from . import events
from .journal import WalJournal
from .mailbox import Mailbox
from .member import Member, Settings
from .transport import Traffic

START_S = 30.0
STOP_S = 10.0

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """Where the state machine stands: the entry that its snapshot ends with and the members of then.

    (0, 0) and nobody without a snapshot.
    """

    index: int
    term: int
    members: membership.Dumped
    log_folder: Path


class LogGap(Exception):
    """Log and snapshot do not meet: one of them was removed."""


_Order = Callable[[Member], None]


class Driver:
    """The main loop's end of the Raft thread."""

    def __init__(self, settings: Settings, start: Start, on_event: Callable[[events.Event], None]) -> None:
        self._settings = settings
        self._start = start
        self._main = asyncio.get_running_loop()
        self._events: Mailbox[events.Event] = Mailbox(self._main, lambda happened: _each(happened, on_event))
        self._orders: Mailbox[_Order] | None = None
        self._proposals: Mailbox[commands.Chunk] | None = None
        self._member: Member | None = None
        self._journal: WalJournal | None = None
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Read the log and take part. Raises what keeps it from starting: WalDamaged, LogGap, OSError."""
        started: asyncio.Future[None] = self._main.create_future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="raft", daemon=True)
        self._thread.start()
        async with asyncio.timeout(START_S):
            await started

    async def stop(self) -> None:
        """Sync what waits and leave. The thread is gone when this returns."""
        if self._loop is not None and self._stop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            await asyncio.to_thread(self._thread.join, STOP_S)

    # -- orders

    def propose(self, chunk: commands.Chunk) -> None:
        assert self._proposals is not None
        self._proposals.post(chunk)

    def change(self, operation: commands.Operation) -> None:
        """A change of the members."""
        self._order(lambda member: member.change(operation))

    def hand_over(self, name: str | None) -> None:
        self._order(lambda member: member.hand_over(name))

    @property
    def alone_from(self) -> int | None:
        """The entry since which this member alone votes; None when others do, or before the start."""
        return self._member.alone_from if self._member is not None else None

    def read(self, ticket: int) -> None:
        self._order(lambda member: member.read(ticket))

    def call(self, number: int, payload: bytes) -> None:
        self._order(lambda member: member.call(number, payload))

    def answer(self, peer: str, number: int, payload: bytes) -> None:
        self._order(lambda member: member.answer(peer, number, payload))

    def compact(self, index: int) -> None:
        self._order(lambda member: member.compact(index))

    def _order(self, order: _Order) -> None:
        assert self._orders is not None
        self._orders.post(order)

    @property
    def log_bytes(self) -> int:
        """Disk taken by the log."""
        return self._journal.disk_bytes if self._journal else 0

    @property
    def last_index(self) -> int:
        return self._journal.last_index if self._journal else 0

    @property
    def committed(self) -> int:
        """Index of the last entry known to be on the disks of a majority."""
        return self._journal.getRaftCommitIndex() if self._journal else 0

    @property
    def sync_seconds(self) -> Histogram:
        return self._journal.sync_seconds if self._journal else Histogram(first_s=0.001, buckets=1)

    @property
    def traffic(self) -> dict[str, Traffic]:
        """Bytes to and from each peer, by its id in hex."""
        return self._member.traffic if self._member else {}

    @property
    def syncs(self) -> int:
        return self._journal.syncs if self._journal else 0

    # -- the thread

    def _run(self, started: asyncio.Future[None]) -> None:
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            try:
                runner.run(self._serve(started))
            except BaseException as error:
                self._report_start(started, error)

    async def _serve(self, started: asyncio.Future[None]) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._journal = journal = open_journal(self._settings, self._start)
        self._member = member = Member(self._settings, journal, tell=self._events.post, fatal=_die)
        self._orders = Mailbox(loop, self._take_orders)
        self._proposals = Mailbox(loop, member.propose)
        await member.start(self._start.index, self._start.term, self._start.members)
        self._report_start(started, None)
        await self._stop.wait()
        member.stop()

    def _take_orders(self, orders: list[_Order]) -> None:
        assert self._member is not None
        for order in orders:
            try:
                order(self._member)
            except BaseException as error:
                _die(error)

    def _report_start(self, started: asyncio.Future[None], error: BaseException | None) -> None:
        def report() -> None:
            if started.done():
                if error is not None:
                    _die(error)
            elif error is None:
                started.set_result(None)
            else:
                started.set_exception(error)

        self._main.call_soon_threadsafe(report)


def open_journal(settings: Settings, start: Start) -> WalJournal:
    """The log of a member, begun if it is a new one's. Raises WalDamaged, LogGap, OSError."""
    segment_bytes = max(wal.SEGMENT_BYTES, settings.margin_bytes * 3 // 2)
    journal = WalJournal(wal.Wal(start.log_folder, segment_bytes=segment_bytes, disk=settings.disk))
    if len(journal):
        if journal.first_index > start.index:
            raise LogGap(
                f"the log in {start.log_folder} begins at entry {journal.first_index}, "
                f"but the newest snapshot ends at entry {start.index}"
            )
    elif settings.beginning is None:
        raise LogGap(f"the log in {start.log_folder} is empty, although this member has taken part before")
    elif start.index:
        raise LogGap(f"a snapshot ends at entry {start.index}, but the log in {start.log_folder} is empty")
    else:
        journal.begin(settings.beginning)
    return journal


def _each(happened: list[events.Event], on_event: Callable[[events.Event], None]) -> None:
    for event in happened:
        on_event(event)


def _new_loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


def _die(error: BaseException) -> None:
    log.error("raft failed, stopping at once", error=f"{type(error).__name__}: {error}", exc_info=error)
    os._exit(70)
