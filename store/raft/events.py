"""What the Raft thread tells the rest of the store, in the order in which it happened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Committed:
    """Entries to apply: (index, term, command), indexes without a gap from event to event."""

    entries: list[tuple[int, int, bytes]]


@dataclass(frozen=True, slots=True)
class Role:
    """Who leads now, as far as this member knows. `leader` is a member's id in hex.

    `leading` says that this member leads and committed an entry of its own term: all earlier ones were told before.
    """

    leader: str | None
    leading: bool
    term: int


@dataclass(frozen=True, slots=True)
class ReadIndex:
    """The answer to a read: apply up to `index` first; None means that nobody could confirm."""

    ticket: int
    index: int | None


@dataclass(frozen=True, slots=True)
class Called:
    """A follower asks this member's state machine, as the leader, something that is not in the log."""

    peer: str
    number: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """The leader's answer to a call; None when it is gone."""

    number: int
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class Installed:
    """The leader sent a snapshot: the state is what this file says, up to `index`."""

    path: Path
    index: int


@dataclass(frozen=True, slots=True)
class Room:
    """Whether the disk has room for the log. `short`: not for another segment; `full`: nothing is taken any more."""

    short: bool
    full: bool


@dataclass(frozen=True, slots=True)
class Dismissed:
    """This member must stop: REMOVED or LOST."""

    reason: str


REMOVED = "this member was removed from the cluster: its data directory is of no more use"
LOST = (
    "the other members know this one with another data directory: one that was lost or replaced must not vote as if "
    "nothing had happened. Remove the member, add it again, and start it empty with --initial-cluster-state existing"
)


Event = Committed | Role | ReadIndex | Called | Answered | Installed | Room | Dismissed
