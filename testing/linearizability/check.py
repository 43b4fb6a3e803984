"""Is there an order of the operations that explains every answer and agrees with the clock?

After Wing and Gong's search with Lowe's memoisation, but etcd's answers carry revisions, so the order of everything
that was answered is known: it only has to be replayed on the model and held against the clock. What is searched is
which operation of unknown outcome made a revision that no answered one made. Values that were seen at such a revision,
and changes that a watcher received (`evidence`), leave few candidates; a failure goes back to the last choice that has
to do with the keys it is about. Bounds: STEPS_MAX operations are carried out, then `Undecided`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from raftsman.etcd import kv_pb2, rpc_pb2

from .anatomy import EVERYTHING, Span, bare, leases_used, line, observed, puts, spans, touch
from .history import Operation
from .model import FIRST_REVISION, Impossible, Model
from .places import READS, Clock, Place, place

STEPS_MAX = 2_000_000
Changes = Mapping[int, Sequence[kv_pb2.Event]]


class Undecided(Exception):
    """The search was given up: too many operations of unknown outcome left too few traces."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is "" for a linearizable history; `changes` then says what every revision changed."""

    reason: str
    operations: tuple[Operation, ...] = ()
    changes: Changes = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.reason

    def __str__(self) -> str:
        return "\n  ".join((self.reason or "linearizable", *map(str, self.operations)))


def check(operations: Iterable[Operation], *, evidence: Changes | None = None, steps_max: int = STEPS_MAX) -> Verdict:
    """Judge a history that begins with an empty store. Raises Undecided, Unmodelled."""
    everything = list(operations)
    places = [place(operation) for operation in everything if operation.answer is not None]
    unknown = [one for one in everything if one.answer is None and not isinstance(one.request, rpc_pb2.RangeRequest)]
    clock = Clock(places)
    for refute in (_unreal, _made_twice, _read_compacted):
        verdict = refute(places, clock)
        if verdict is not None:
            return verdict
    return _Search(places, unknown, clock, evidence or {}, steps_max=steps_max).run()


def _unreal(places: Sequence[Place], clock: Clock) -> Verdict | None:
    for each in places:
        if each.revision < FIRST_REVISION:
            return Verdict("an answer has no revision", (each.operation,))
        if _old_revision(each.operation) > each.revision:
            return Verdict("a revision was read before it was made", (each.operation,))
    for earlier, later in clock.contradictions():
        return Verdict("the first ended before the second was called, yet its revision is higher", (earlier, later))
    return None


def _made_twice(places: Sequence[Place], clock: Clock) -> Verdict | None:
    for each in places:
        same = [other for other in clock.at(each.low) if other.low == other.high]
        if each.low == each.high and each.low % 2 == 0 and len(same) > 1:
            return Verdict(f"revision {each.revision} was made twice", tuple(other.operation for other in same))
    return None


def _read_compacted(places: Sequence[Place], clock: Clock) -> Verdict | None:
    compactions = [one.operation for one in places if isinstance(one.operation.request, rpc_pb2.CompactionRequest)]
    for each in places:
        wanted = _old_revision(each.operation)
        for compaction in compactions if wanted else ():
            revision = compaction.request.revision  # type: ignore[attr-defined]
            if wanted < revision and compaction.end < each.operation.call:
                return Verdict("a compacted revision was read", (compaction, each.operation))
    return None


def _old_revision(operation: Operation) -> int:
    request = operation.request
    return max(0, request.revision) if isinstance(request, rpc_pb2.RangeRequest) else 0


@dataclass(slots=True)
class _Conflict:
    """Why the replay cannot go on, and the keys that it is about."""

    reason: str
    operations: tuple[Operation, ...]
    spans: list[Span]


@dataclass(slots=True)
class _Choice:
    """Which unknown operation made a revision: what is left to try, and why what was tried failed."""

    revision: int
    mark: tuple[int, int]
    left: Iterator[Operation]
    spans: list[Span]
    taken: Operation | None = None


class _Search:
    """Replays revision by revision; goes back to a choice when it cannot go on."""

    def __init__(
        self,
        places: Sequence[Place],
        unknown: Sequence[Operation],
        clock: Clock,
        evidence: Changes,
        *,
        steps_max: int,
    ) -> None:
        self._model = Model()
        self._clock = clock
        self._evidence = evidence
        self._steps_left = steps_max
        self._unknown = sorted(unknown, key=lambda one: one.call)
        self._used: set[Operation] = set()
        self._dead: set[tuple[object, ...]] = set()
        self._writers: dict[int, Operation] = {}
        self._revocations: dict[int, list[Operation]] = defaultdict(list)
        self._others: dict[int, list[Operation]] = defaultdict(list)
        self._answers = {each.operation: bare(each.operation.answer) for each in places}
        self._seen: dict[int, dict[bytes, kv_pb2.KeyValue]] = defaultdict(dict)
        self._seen_at: dict[tuple[bytes, bytes], set[int]] = defaultdict(set)
        self._last = max((each.revision for each in places), default=FIRST_REVISION)
        for each in sorted(places, key=lambda one: one.operation.call):
            self._sort_in(each)
        self._maybe_granted = {
            one.request.ID: one.call for one in self._unknown if isinstance(one.request, rpc_pb2.LeaseGrantRequest)
        }
        self._worst: _Conflict | None = None
        self._worst_at = 0

    def _sort_in(self, each: Place) -> None:
        operation = each.operation
        if each.low == each.high and each.low % 2 == 0:
            self._writers[each.revision] = operation
        else:
            self._others[_old_revision(operation) or each.revision].append(operation)
        if each.low != each.high:
            self._revocations[each.revision].append(operation)
        for kv in observed(operation.request, operation.answer):
            self._seen[kv.mod_revision][kv.key] = kv
            self._seen_at[kv.key, kv.value].add(kv.mod_revision)

    # -- the replay

    def run(self) -> Verdict:
        choices: list[_Choice] = []
        conflict = self._settle(FIRST_REVISION)
        while True:
            if conflict is None and self._model.revision >= self._last:
                return Verdict("", changes=dict(self._model.changes))
            if conflict is None:
                conflict = self._forward(choices)
                continue
            self._note(conflict)
            if not self._back(choices, conflict):
                assert self._worst is not None
                return Verdict(self._worst.reason, self._worst.operations)
            conflict = self._try_next(choices)

    def _note(self, conflict: _Conflict) -> None:
        if self._worst is None or self._model.revision > self._worst_at:
            self._worst, self._worst_at = conflict, self._model.revision

    def _forward(self, choices: list[_Choice]) -> _Conflict | None:
        """Make the next revision."""
        revision = self._model.revision + 1
        writer = self._writers.get(revision)
        if writer is not None:
            return self._write(writer, revision) or self._settle(revision)
        free = (one for one in (*self._revocations[revision], *self._unknown) if one not in self._used)
        candidates = [one for one in free if self._may_make(one, revision)]
        candidates.sort(key=lambda one: self._needed_elsewhere(one, revision))
        touched = [span for one in candidates for span in spans(one.request)]
        choices.append(_Choice(revision, self._model.mark(), iter(candidates), touched))
        return self._try_next(choices)

    def _try_next(self, choices: list[_Choice]) -> _Conflict | None:
        """Take the next candidate of the last choice."""
        choice = choices[-1]
        for candidate in choice.left:
            self._used.add(candidate)
            key = self._fingerprint(choice.revision, candidate)
            conflict = None if key not in self._dead else _Conflict("", (), [EVERYTHING])
            conflict = conflict or self._write(candidate, choice.revision) or self._agree(choice.revision)
            if conflict is None:
                choice.taken = candidate
                self._dead.add(key)
                return self._settle(choice.revision)
            self._note_reason(conflict)
            choice.spans += conflict.spans
            self._used.discard(candidate)
            self._model.rewind(choice.mark)
        touched = [*choice.spans, *(span for one in self._used for span in spans(one.request))]
        operations = tuple(each.operation for each in self._clock.at(2 * choice.revision + 1))[:1]
        reason = f"nothing that clients asked for explains revision {choice.revision}"
        return _Conflict(reason, operations, touched)

    def _note_reason(self, conflict: _Conflict) -> None:
        if conflict.reason:
            self._note(conflict)

    def _back(self, choices: list[_Choice], conflict: _Conflict) -> bool:
        """Undo up to the last choice that the conflict has to do with; False when there is none."""
        while choices:
            choice = choices[-1]
            if choice.taken is not None:
                self._used.discard(choice.taken)
                choice.taken = None
                self._model.rewind(choice.mark)
                if touch(choice.spans, conflict.spans):
                    choice.spans += conflict.spans
                    return True
            choices.pop()
        return False

    def _write(self, operation: Operation, revision: int) -> _Conflict | None:
        """Carry out what made a revision."""
        conflict = self._carry_out(operation)
        if conflict is None and self._model.revision != revision:
            return _Conflict(f"this cannot have made revision {revision}", (operation,), spans(operation.request))
        return conflict

    def _carry_out(self, operation: Operation) -> _Conflict | None:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise Undecided(f"at revision {self._model.revision} of {self._last}, {len(self._unknown)} unknown")
        self._grant_what_it_needs(operation)
        try:
            answer = self._model.apply(operation.request)
        except Impossible as error:
            return _Conflict(f"at revision {self._model.revision}: {error}", (operation,), spans(operation.request))
        if operation.answer is None or answer == self._answers[operation]:
            return None
        told = f"at revision {self._model.revision} the answer should be {{{line(answer)}}}"
        return _Conflict(told, (operation,), spans(operation.request))

    def _grant_what_it_needs(self, operation: Operation) -> None:
        """A grant of unknown outcome happened when somebody could use the lease."""
        for lease_id in leases_used(operation.request):
            if lease_id not in self._model.leases and self._maybe_granted.get(lease_id, operation.end) < operation.end:
                self._model.apply(rpc_pb2.LeaseGrantRequest(ID=lease_id))

    def _settle(self, revision: int) -> _Conflict | None:
        """Everything that was answered at a revision without making it."""
        for operation in self._others[revision]:
            if operation in self._used:
                continue
            conflict = self._carry_out(operation)
            if conflict is None and self._model.revision != revision:
                conflict = _Conflict("a revocation deleted keys, yet made no revision", (operation,), [EVERYTHING])
            if conflict is not None:
                return conflict
        return None

    # -- candidates

    def _may_make(self, operation: Operation, revision: int) -> bool:
        if isinstance(operation.request, READS) or not self._clock.allows(operation.call, at=2 * revision):
            return False
        if isinstance(operation.request, rpc_pb2.LeaseRevokeRequest):
            return bool(self._model.of_lease(operation.request.ID))
        return True

    def _needed_elsewhere(self, operation: Operation, revision: int) -> bool:
        """Whether what it puts was seen, but at another revision: it is tried last."""
        places = [self._seen_at[put] for put in puts(operation.request) if put in self._seen_at]
        return bool(places) and not any(revision in revisions for revisions in places)

    def _agree(self, revision: int) -> _Conflict | None:
        """Whether a candidate's changes are what was seen of the revision it is to have made."""
        changes = self._model.changes[revision]
        if revision in self._evidence and list(self._evidence[revision]) != list(changes):
            return _Conflict(f"a watcher saw something else at revision {revision}", (), [EVERYTHING])
        made = {change.kv.key: change.kv for change in changes if change.type == kv_pb2.Event.PUT}
        for key, kv in self._seen.get(revision, {}).items():
            if made.get(key) != kv:
                return _Conflict(f"at revision {revision} somebody saw {{{line(kv)}}}", (), [(key, b"")])
        return None

    def _fingerprint(self, revision: int, candidate: Operation) -> tuple[object, ...]:
        """The same candidate at the same revision of the same state fails the same way."""
        live = hash(frozenset(kv.SerializeToString() for kv in self._model.keys.values()))
        leases = hash(frozenset(self._model.leases.items()))
        return revision, id(candidate), live, leases, hash(frozenset(map(id, self._used))), len(self._used)
