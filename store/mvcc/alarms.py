"""Alarms: what is wrong with which member, and what every member refuses until an operator disarms it.

NOSPACE: a member ran out of quota or of disk; nothing may grow, deleting and compacting go on. CORRUPT: a member's
state differs from the others'; nothing is read or written, since nobody can tell whose copy a client would see.
"""

from __future__ import annotations

from collections.abc import Iterable

from raftsman.etcd import rpc_pb2

NO_SPACE = int(rpc_pb2.NOSPACE)
CORRUPT = int(rpc_pb2.CORRUPT)


class Alarms:
    """Every alarm that is raised, by kind and member.

    After NOSPACE of member 7 and CORRUPT of member 9 was raised: {(1, 7), (2, 9)}; disarming (1, 7) leaves {(2, 9)}
    and puts are still refused, now as corrupt.
    """

    def __init__(self) -> None:
        self._raised: set[tuple[int, int]] = set()
        self.no_space = False
        self.corrupt = False

    def __len__(self) -> int:
        return len(self._raised)

    def raised(self, kind: int = rpc_pb2.NONE) -> list[tuple[int, int]]:
        """(kind, member) of one kind, or of all."""
        return sorted(each for each in self._raised if kind in (rpc_pb2.NONE, each[0]))

    def activate(self, kind: int, member: int) -> None:
        """Raise an alarm; once more changes nothing."""
        assert kind in (NO_SPACE, CORRUPT), kind
        self._raised.add((kind, member))
        self._refresh()

    def deactivate(self, kind: int, member: int) -> bool:
        """Disarm one; whether it was raised."""
        was = (kind, member) in self._raised
        self._raised.discard((kind, member))
        self._refresh()
        return was

    def _refresh(self) -> None:
        kinds = {kind for kind, _ in self._raised}
        self.no_space, self.corrupt = NO_SPACE in kinds, CORRUPT in kinds

    # -- state.Part

    def dump(self) -> list[tuple[int, int]]:
        """(kind, member) of each."""
        return self.raised()

    def load(self, dumped: Iterable[tuple[int, int]]) -> None:
        self._raised = {(kind, member) for kind, member in dumped}
        self._refresh()
