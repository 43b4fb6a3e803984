"""Where the others are, as far as the log does not say it yet.

Who hears no leader asks the others: perhaps this member was removed, or they moved. A leader tells a member that it
does not reach where it is itself: whoever was away for long may know nobody any more who is still there. Addresses are
taken from all that, and that a change in the log is committed: perhaps who led when it was, and left with it, told
nobody. Who votes comes from the log. Bounds: one question every ASK_S, TOLD_MAX addresses.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from raftsman.store.mvcc import members as membership

from . import discovery, events
from .guard import BadMessage, Message
from .kernel import Kernel
from .transport import PeerTransport, is_member

ASK_S = 2.0
TOLD_MAX = 64


@dataclass(frozen=True, slots=True)
class Self:
    """Who asks: its id, its data directory's name, its cluster."""

    member: int
    instance: str
    cluster: str


class Contacts:
    """What one member was told by others.

    `dismiss` is called with the reason why it has no place any more, `committed` when more entries may be applied.
    """

    def __init__(
        self,
        kernel: Kernel,
        transport: PeerTransport,
        me: Self,
        *,
        tls: ssl.SSLContext | None,
        dismiss: Callable[[str], None],
        committed: Callable[[], None],
    ) -> None:
        self._kernel = kernel
        self._journal = kernel.journal
        self._transport = transport
        self._me = me
        self._tls = tls
        self._dismiss = dismiss
        self._committed = committed
        self._told: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._asking: asyncio.Task[None] | None = None

    def stop(self) -> None:
        if self._asking is not None:
            self._asking.cancel()

    def turn(self) -> None:
        """After every tick: begin to ask when there is a reason."""
        if self._asking is None and self._wanted():
            self._asking = asyncio.get_running_loop().create_task(self._ask(), name="ask for the members")

    def reachable(self) -> dict[str, tuple[str, ...]]:
        """Where the others are, by id: as the log has it, or as somebody told who has more of it."""
        found = self._journal.members
        urls = {f"{member.id:x}": member.peer_urls for member in found.all() if member.id != self._me.member}
        for name, (changed, told) in self._told.items():
            if changed > self._journal.changed and not found.was_removed(int(name, 16)):
                urls[name] = told
        return urls

    # -- asking

    def _wanted(self) -> bool:
        return not self._transport.complete if self._kernel._isLeader() else self._kernel.leader is None

    def _whom(self) -> list[tuple[str, ...]]:
        """Everybody while nobody leads; those whom it does not reach, if this member does."""
        if not self._wanted():
            return []
        return self._transport.unreached if self._kernel._isLeader() else list(self._transport.urls.values())

    async def _ask(self) -> None:
        try:
            await asyncio.sleep(ASK_S)
            for urls in self._whom():
                answer = await discovery.ask(urls, self._question(), tls=self._tls)
                if answer is not None and answer.cluster == self._me.cluster:
                    self._heed(answer)
        finally:
            self._asking = None

    def _question(self) -> Message:
        me, journal = self._me, self._journal
        own = journal.members.get(me.member)
        urls = own.peer_urls if own is not None else ()
        return discovery.question(me.cluster, f"{me.member:x}", changed=journal.changed, urls=urls)

    def _heed(self, answer: discovery.Answer) -> None:
        theirs = membership.Members(answer.members)
        if theirs.was_removed(self._me.member):
            self._dismiss(events.REMOVED)
        elif answer.instance not in ("", self._me.instance):
            self._dismiss(events.LOST)
        else:
            for member in theirs.all():
                self._note(member.id, answer.changed, member.peer_urls)
            if self._journal.term_at(answer.changed) == answer.term and not self._kernel._isLeader():
                self._kernel.is_committed(answer.changed)
                self._committed()

    # -- answering

    def answer(self, asked: Message) -> discovery.Answer:
        """The members, for whoever asks; if that one says where it is, it is noted."""
        journal, name = self._journal, asked.get("member")
        if not isinstance(name, str) or not is_member(name):
            return self._answer("")
        changed, urls = asked.get("changed"), asked.get("urls")
        if asked.get("cluster") == self._me.cluster and type(changed) is int and isinstance(urls, list) and urls:
            if not all(map(_is_url, urls)):
                raise BadMessage("it does not say where it is")
            self._note(int(name, 16), changed, tuple(urls))
        return self._answer(journal.instance(int(name, 16)) or "")

    def _answer(self, instance: str) -> discovery.Answer:
        journal = self._journal
        term = journal.term_at(journal.changed)
        dumped = journal.members.dump()
        return discovery.Answer(self._me.cluster, journal.changed, dumped, instance, -1 if term is None else term)

    def _note(self, member: int, changed: int, urls: tuple[str, ...]) -> None:
        name = f"{member:x}"
        if member == self._me.member or not urls or changed <= self._journal.changed:
            return
        self._told = {known: told for known, told in self._told.items() if told[0] > self._journal.changed}
        if changed > self._told.get(name, (0,))[0] and (name in self._told or len(self._told) < TOLD_MAX):
            self._told[name] = changed, urls
            self._transport.configure(self.reachable(), removed=self._journal.members.was_removed)


def _is_url(url: object) -> bool:
    """Whether this is an address that can be dialled."""
    try:
        return isinstance(url, str) and bool(discovery.place(url)[0])
    except ValueError:
        return False
