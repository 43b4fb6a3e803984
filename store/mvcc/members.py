"""Who belongs to the cluster: a part of the state, and the Raft thread's own copy of the same.

Both apply the same log entries in the same order, so they never differ. The Raft thread acts on its copy (who votes,
who is sent what, at which address) as soon as an entry is committed; the state's copy answers clients. An id that was
removed never comes back. Bounds: LEARNERS_MAX learners.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec
from raftsman.store import errors

LEARNERS_MAX = 1


class Member(msgspec.Struct, frozen=True, array_like=True):
    """One member. `name` and `client_urls` are empty until it has served; a learner gets the log and has no vote."""

    id: int
    name: str = ""
    peer_urls: tuple[str, ...] = ()
    client_urls: tuple[str, ...] = ()
    learner: bool = False


class Action(enum.IntEnum):
    """What a change does; the numbers are on disk."""

    FOUND = 0
    ADD = 1
    REMOVE = 2
    PROMOTE = 3
    UPDATE = 4
    PUBLISH = 5
    REFUSE = 6


PROPOSED = frozenset(Action) - {Action.FOUND, Action.REFUSE}
"""What members propose to their leader."""


class Change(msgspec.Struct, frozen=True, array_like=True):
    """One change. `members` is the one that it is about, all of them when a cluster is founded.

    REFUSE is what the leader makes of a change that it must not let happen: applying it answers `refusal`.
    """

    action: Action
    members: tuple[Member, ...]
    cluster: int = 0
    refusal: str = ""


REFUSALS = {
    "not enough started": errors.not_enough_started,
    "unhealthy": errors.unhealthy_cluster,
    "learner not ready": errors.learner_not_ready,
}

_change_decoder = msgspec.msgpack.Decoder(Change)


class Dumped(msgspec.Struct, frozen=True, array_like=True):
    """Everything that `Members` holds."""

    cluster: int = 0
    members: tuple[Member, ...] = ()
    removed: tuple[int, ...] = ()


def encode(change: Change) -> bytes:
    return msgspec.msgpack.encode(change)


def decode(payload: bytes) -> Change:
    """Raises msgspec.DecodeError."""
    return _change_decoder.decode(payload)


def loaded(dumped: object) -> Dumped:
    """What a snapshot holds of `Members`; nobody when it is older than they."""
    return Dumped() if dumped is None else msgspec.convert(dumped, Dumped)


class Members:
    """The members by their ids.

    After founding with 1 and 2, adding learner 3, promoting it and removing 2:

        members 1 and 3, both voters; removed {2}
    """

    def __init__(self, dumped: Dumped | None = None) -> None:
        self.cluster = 0
        self._by_id: dict[int, Member] = {}
        self._removed: set[int] = set()
        if dumped is not None:
            self.load(dumped)

    def __len__(self) -> int:
        return len(self._by_id)

    def all(self) -> list[Member]:
        """Every member, by id."""
        return [member for _, member in sorted(self._by_id.items())]

    def voters(self) -> list[Member]:
        return [member for member in self.all() if not member.learner]

    def learners(self) -> list[Member]:
        return [member for member in self.all() if member.learner]

    def get(self, member_id: int) -> Member | None:
        return self._by_id.get(member_id)

    def was_removed(self, member_id: int) -> bool:
        return member_id in self._removed

    # -- changes

    def apply(self, change: Change) -> None:
        """Make a change. Raises StoreError when it cannot be made; nothing was changed then."""
        if change.action is Action.FOUND:
            assert not self._by_id, "a cluster is founded once"
            self.cluster = change.cluster
            self._by_id = {member.id: member for member in change.members}
            return
        if change.action is Action.REFUSE:
            raise REFUSALS[change.refusal]()
        (member,) = change.members
        if change.action is Action.ADD:
            self._add(member)
        else:
            self._change(change.action, member)

    def _add(self, member: Member) -> None:
        if member.id in self._by_id or member.id in self._removed:
            raise errors.member_exists()
        self._check_urls(member)
        if member.learner and len(self.learners()) >= LEARNERS_MAX:
            raise errors.too_many_learners()
        self._by_id[member.id] = member

    def _change(self, action: Action, member: Member) -> None:
        before = self._by_id.get(member.id)
        if before is None:
            raise errors.member_not_found()
        if action is Action.REMOVE:
            del self._by_id[member.id]
            self._removed.add(member.id)
        elif action is Action.PROMOTE:
            if not before.learner:
                raise errors.member_not_learner()
            self._by_id[member.id] = msgspec.structs.replace(before, learner=False)
        elif action is Action.UPDATE:
            self._check_urls(member)
            self._by_id[member.id] = msgspec.structs.replace(before, peer_urls=member.peer_urls)
        else:
            assert action is Action.PUBLISH, action
            self._by_id[member.id] = msgspec.structs.replace(before, name=member.name, client_urls=member.client_urls)

    def _check_urls(self, member: Member) -> None:
        taken = {url for other in self._by_id.values() if other.id != member.id for url in other.peer_urls}
        if taken & set(member.peer_urls):
            raise errors.peer_url_exists()

    # -- state.Part

    def dump(self) -> Dumped:
        return Dumped(self.cluster, tuple(self.all()), tuple(sorted(self._removed)))

    def load(self, dumped: Dumped | Iterable[object]) -> None:
        held = dumped if isinstance(dumped, Dumped) else loaded(dumped)
        self.cluster = held.cluster
        self._by_id = {member.id: member for member in held.members}
        self._removed = set(held.removed)
