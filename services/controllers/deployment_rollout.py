"""How many pods each ReplicaSet of a Deployment may have next. Pure arithmetic, no messages.

    replicas 4, surge 1, unavailable 1        old 4 (4 available)   new 0
    roll → new 1                              4 + 1 = 5 is all that may be
    roll → old 3                              4 available, 3 must be: one may go, the new one is not available yet
    … new is available, roll → new 2, old 2 … until old 0, new 4

A step never brings the pods above replicas + surge, nor the available ones below replicas - unavailable; both are
counted pessimistically (a set that is still larger than it was told to be counts as it is, one that says it has more
available pods than it may have counts as it may, and no step is made before every set has counted with its last size),
so a stale status makes a rollout slower and never bolder.
Rounding and order are Kubernetes': surge up, unavailable down, the oldest set shrinks first, unhealthy pods before
healthy ones; a change of size in the middle of a rollout is shared out in proportion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Sizes = Mapping[str, int]
"""New sizes by the name of the ReplicaSet; those that stay as they are may be missing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a Deployment asks for. `surge` and `unavailable` are numbers of pods, already rounded."""

    replicas: int
    surge: int = 0
    unavailable: int = 0

    @property
    def most(self) -> int:
        return self.replicas + self.surge

    @property
    def least_available(self) -> int:
        return self.replicas - min(self.unavailable, self.replicas)


@dataclass(frozen=True, slots=True)
class Member:
    """One ReplicaSet: what it was told (`size`), what it has (`running`, `ready_for_use`), what it was told for."""

    name: str
    size: int
    running: int = 0
    ready_for_use: int = 0
    age: tuple[int, str] = (0, "")
    """Sorts the oldest first."""
    most_then: int = 0
    """replicas + surge of the Deployment when this size was set; 0 if not known."""
    observed: bool = True
    """Whether what it has was counted after it was told its size."""

    @property
    def counted(self) -> int:
        return max(self.size, self.running)

    @property
    def available(self) -> int:
        return min(self.size, self.ready_for_use)


def limits(replicas: int, surge: int | str, *, unavailable: int | str) -> Limits:
    """Numbers of pods from numbers or percentages (`"25%"`) of `replicas`. If both come to 0, one may be missing."""
    more, fewer = _pods(surge, replicas, up=True), _pods(unavailable, replicas, up=False)
    return Limits(replicas, more, fewer if more or fewer else 1)


def _pods(amount: int | str, replicas: int, *, up: bool) -> int:
    if isinstance(amount, int):
        return amount
    percent = int(amount.removesuffix("%"))
    return -(-replicas * percent // 100) if up else replicas * percent // 100


def first_size(limits: Limits, olds: Sequence[Member]) -> int:
    """What a new set may begin with."""
    if not all(old.observed for old in olds):
        return 0
    return max(0, min(limits.replicas, limits.most - sum(old.counted for old in olds)))


def roll(limits: Limits, new: Member, *, olds: Sequence[Member]) -> Sizes:
    """The next step of a rolling update: the new set grows if it may, else the old ones shrink as far as they may."""
    if new.size > limits.replicas:
        return {new.name: limits.replicas}
    if not all(member.observed for member in (new, *olds)):
        return {}
    room = limits.most - new.counted - sum(old.counted for old in olds)
    grow = min(room, limits.replicas - new.size)
    if grow > 0:
        return {new.name: new.size + grow}
    return _shrink(limits, new, olds)


def _shrink(limits: Limits, new: Member, olds: Sequence[Member]) -> Sizes:
    spare = sum(old.size for old in olds) + new.available - limits.least_available
    sizes = {old.name: old.size for old in olds}
    oldest_first = sorted(olds, key=lambda old: old.age)
    for old in oldest_first:
        unhealthy = max(0, min(spare, old.size - old.available))
        sizes[old.name] -= unhealthy
        spare -= unhealthy
    healthy = sum(old.available for old in olds) + new.available - limits.least_available
    spare = min(spare, healthy)
    for old in oldest_first:
        gone = max(0, min(spare, sizes[old.name]))
        sizes[old.name] -= gone
        spare -= gone
    return {old.name: sizes[old.name] for old in olds if sizes[old.name] != old.size}


def recreate(limits: Limits, new: Member | None, *, olds: Sequence[Member], old_pods: int) -> Sizes:
    """All old pods go first; the new set (if it exists yet) grows when none of them is left."""
    falling = {old.name: 0 for old in olds if old.size}
    if falling or old_pods or new is None:
        return falling
    return {new.name: limits.replicas}


def scale(limits: Limits, new: Member | None, *, olds: Sequence[Member], rolling: bool) -> Sizes:
    """New sizes after the wanted number itself has changed, in the middle of a rollout or not."""
    members = [*olds, *([new] if new else [])]
    active = [member for member in members if member.size]
    if len(active) <= 1:
        only = active[0] if active else new or max(olds, key=lambda old: old.age, default=None)
        return {only.name: limits.replicas} if only else {}
    if new and new.size == limits.replicas == new.available:
        return {old.name: 0 for old in olds if old.size}
    return _share_out(limits, active) if rolling else {}


def _share_out(limits: Limits, active: Sequence[Member]) -> Sizes:
    """Each set gets its part of the change; what rounding leaves over goes to the largest first."""
    target = limits.most if limits.replicas else 0
    change = target - sum(member.size for member in active)
    by_age = sorted(active, key=lambda member: member.age, reverse=change > 0)
    ranked = sorted(by_age, key=lambda member: -member.size)
    sizes, given = {}, 0
    for member in ranked:
        part = _part(limits, member, change - given) if change else 0
        sizes[member.name] = member.size + part
        given += part
    for member in ranked:
        rest = max(change - given, -sizes[member.name])
        sizes[member.name] += rest
        given += rest
    return sizes


def _part(limits: Limits, member: Member, left: int) -> int:
    if limits.replicas == 0:
        return max(left, -member.size)
    then = member.most_then or limits.most
    fair = (2 * member.size * limits.most + then) // (2 * then) - member.size
    return min(max(fair, 0), left) if left > 0 else max(min(fair, 0), left, -member.size)
