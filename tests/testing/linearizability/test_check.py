"""The checker believes good histories, and no bad one."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raftsman.etcd import kv_pb2, rpc_pb2
from raftsman.testing.linearizability import Operation, Undecided, check, load, save
from stories import Compact, Compare, Delete, Grant, Put, Range, RequestOp, Revoke, Story, Txn, lost, said


def kv(key: bytes, value: bytes, mod: int, create: int | None = None, version: int = 1) -> kv_pb2.KeyValue:
    create = create or mod
    return kv_pb2.KeyValue(key=key, value=value, create_revision=create, mod_revision=mod, version=version)


def found(*kvs: kv_pb2.KeyValue) -> dict[str, Any]:
    return {"kvs": kvs, "count": len(kvs)}


A, B = Put(key=b"k", value=b"1"), Put(key=b"k", value=b"2")
GET = Range(key=b"k")
FIRST, SECOND = kv(b"k", b"1", 2), kv(b"k", b"2", 3, 2, 2)
SWAP = Txn(
    compare=[Compare(key=b"k", target=Compare.VERSION, result=Compare.EQUAL, version=0)],
    success=[RequestOp(request_put=A)],
    failure=[RequestOp(request_range=GET)],
)
SWAPPED = {"succeeded": True, "responses": [rpc_pb2.ResponseOp(response_put=rpc_pb2.PutResponse())]}
REFUSED = {"succeeded": False, "responses": [rpc_pb2.ResponseOp(response_range=rpc_pb2.RangeResponse(**found(FIRST)))]}

GOOD: dict[str, list[Operation]] = {
    "nothing": [],
    "reads of nothing": [said("x", 0, 1, GET, 1, **found())],
    "one after another": [said("x", 0, 1, A, 2), said("x", 2, 3, B, 3), said("y", 4, 5, GET, 3, **found(SECOND))],
    "a read beside a write sees the old": [said("x", 0, 9, A, 2), said("y", 1, 2, GET, 1, **found())],
    "a read beside a write sees the new": [said("x", 0, 9, A, 2), said("y", 1, 2, GET, 2, **found(FIRST))],
    "a lost write happened": [
        lost("x", 0, A),
        said("y", 1, 2, GET, 1, **found()),
        said("y", 3, 4, GET, 2, **found(FIRST)),
    ],
    "a lost write never happened": [
        lost("x", 0, A),
        said("y", 1, 2, B, 2),
        said("y", 3, 4, GET, 2, **found(kv(b"k", b"2", 2))),
    ],
    "a lost write happened late": [
        lost("x", 0, A),
        said("y", 5, 6, B, 2),
        said("y", 7, 8, GET, 3, **found(kv(b"k", b"1", 3, 2, 2))),
    ],
    "one of two lost writes": [lost("x", 0, A), lost("y", 0, B), said("z", 1, 2, GET, 2, **found(kv(b"k", b"2", 2)))],
    "a lost delete explains a hole": [
        said("x", 0, 1, A, 2), lost("y", 2, Delete(key=b"k")), said("x", 3, 4, GET, 3, **found()),
    ],
    "a swap and its refusal": [said("x", 0, 9, SWAP, 2, **SWAPPED), said("y", 0, 9, SWAP, 2, **REFUSED)],
    "a serializable read of the past": [
        said("x", 0, 1, A, 2), said("y", 2, 3, Range(key=b"k", serializable=True), 1, **found()),
    ],
    "a read at an old revision": [
        said("x", 0, 1, A, 2), said("x", 2, 3, B, 3), said("y", 4, 5, Range(key=b"k", revision=2), 3, **found(FIRST)),
    ],
    "a revoked lease takes its keys": [
        said("x", 0, 1, Grant(ID=7, TTL=5), 1, ID=7, TTL=5),
        said("x", 2, 3, Put(key=b"k", value=b"1", lease=7), 2),
        said("x", 4, 5, Revoke(ID=7), 3),
        said("x", 6, 7, GET, 3, **found()),
    ],
    "a lease without keys makes no revision": [
        said("x", 0, 1, Grant(ID=7, TTL=5), 1, ID=7, TTL=5), said("x", 2, 3, Revoke(ID=7), 1), said("x", 4, 5, A, 2),
    ],
    "a lost grant that was used": [
        lost("x", 0, Grant(ID=7, TTL=5)), said("x", 2, 3, Put(key=b"k", value=b"1", lease=7), 2),
    ],
    "the store revokes what ran out": [
        said("x", 0, 1, Grant(ID=7, TTL=5), 1, ID=7, TTL=5),
        said("x", 2, 3, Put(key=b"k", value=b"1", lease=7), 2),
        lost("lessor", 5, Revoke(ID=7)),
        said("y", 6, 7, GET, 3, **found()),
    ],
}  # fmt: skip

BAD: dict[str, list[Operation]] = {
    "a stale read": [said("x", 0, 1, A, 2), said("y", 2, 3, GET, 1, **found())],
    "a stale read that claims to be new": [said("x", 0, 1, A, 2), said("y", 2, 3, GET, 2, **found())],
    "a lost update": [said("x", 0, 1, A, 2), said("x", 2, 3, B, 3), said("y", 4, 5, GET, 3, **found(FIRST))],
    "an answered write is gone": [said("x", 0, 1, A, 2), said("y", 2, 3, GET, 3, **found())],
    "a duplicated write": [said("x", 0, 1, A, 2), said("y", 2, 3, GET, 3, **found(kv(b"k", b"1", 3, 2, 2)))],
    "a lost write that happened twice": [lost("x", 0, A), said("y", 1, 2, GET, 3, **found(kv(b"k", b"1", 3, 2, 2)))],
    "a lost write that happened before it was asked for": [said("y", 1, 2, GET, 2, **found(FIRST)), lost("x", 3, A)],
    "two writes of one revision": [said("x", 0, 1, A, 2), said("y", 0, 1, B, 2)],
    "a revision that falls": [said("x", 0, 1, A, 3), said("x", 2, 3, B, 2)],
    "a revision that nobody made": [said("x", 0, 1, A, 3)],
    "a value that was never written": [said("x", 0, 1, A, 2), said("y", 2, 3, GET, 2, **found(kv(b"k", b"9", 2)))],
    "a wrong version": [said("x", 0, 1, A, 2), said("y", 2, 3, GET, 2, **found(kv(b"k", b"1", 2, 2, 2)))],
    "a wrong count": [said("x", 0, 1, A, 2), said("y", 2, 3, GET, 2, kvs=[FIRST], count=2)],
    "the wrong branch": [said("x", 0, 1, A, 2), said("y", 2, 3, SWAP, 3, **SWAPPED)],
    "two swaps win": [said("x", 0, 9, SWAP, 2, **SWAPPED), said("y", 0, 9, SWAP, 3, **SWAPPED)],
    "a refused swap that wrote": [
        said("x", 0, 1, A, 2),
        said("y", 2, 3, SWAP, 2, **REFUSED),
        said("y", 4, 5, GET, 3, **found(kv(b"k", b"1", 3, 2, 2))),
    ],
    "readers disagree about the order": [
        said("x", 0, 9, A, 2), said("y", 1, 2, GET, 2, **found(FIRST)), said("z", 3, 4, GET, 1, **found()),
    ],
    "a serializable read of the future": [
        said("y", 0, 1, Range(key=b"k", serializable=True), 2, **found(FIRST)), said("x", 2, 3, A, 2),
    ],
    "a wrong value at an old revision": [
        said("x", 0, 1, A, 2), said("x", 2, 3, B, 3), said("y", 4, 5, Range(key=b"k", revision=2), 3, **found(SECOND)),
    ],
    "a compacted revision was read": [
        said("x", 0, 1, A, 2), said("x", 2, 3, B, 3), said("x", 4, 5, Compact(revision=3), 3),
        said("y", 6, 7, Range(key=b"k", revision=2), 3, **found(FIRST)),
    ],
    "a lease ran out too early": [
        said("x", 0, 1, Grant(ID=7, TTL=50), 1, ID=7, TTL=50),
        said("x", 2, 3, Put(key=b"k", value=b"1", lease=7), 2),
        lost("lessor", 50, Revoke(ID=7)),
        said("y", 6, 7, GET, 3, **found()),
    ],
    "a revoked lease was used": [
        said("x", 0, 1, Grant(ID=7, TTL=5), 1, ID=7, TTL=5), said("x", 2, 3, Revoke(ID=7), 1),
        said("x", 4, 5, Put(key=b"k", value=b"1", lease=7), 2),
    ],
    "a revoked lease left its key": [
        said("x", 0, 1, Grant(ID=7, TTL=5), 1, ID=7, TTL=5),
        said("x", 2, 3, Put(key=b"k", value=b"1", lease=7), 2),
        said("x", 4, 5, Revoke(ID=7), 2),
    ],
    "an answer without a revision": [said("x", 0, 1, GET, 0, **found())],
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_good_history_is_believed(name: str) -> None:
    assert check(GOOD[name]).ok, check(GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_not(name: str) -> None:
    verdict = check(BAD[name])
    assert not verdict.ok
    assert str(verdict)


@given(seed=st.integers(0, 10**6), unknown=st.sampled_from((0.0, 0.05, 0.3)), repeat=st.booleans())
@settings(deadline=None, max_examples=60)
def test_what_happened_one_after_another_is_believed(seed: int, unknown: float, repeat: bool) -> None:
    verdict = check(Story(seed, unknown=unknown, repeat=repeat).tell(150))
    assert verdict.ok, verdict


def test_the_changes_are_those_of_the_store() -> None:
    story = Story(5, unknown=0.0)
    verdict = check(story.tell(300))
    history = story.state.history
    for revision, changes in history.since(history.first):
        made = [(event.kv.key, event.kv.value, event.kv.version) for event in verdict.changes.get(revision, ())]
        if revision <= max(verdict.changes):
            assert made == [(change.record.key, change.record.value, change.record.version) for change in changes]


def test_twenty_thousand_operations_are_judged_in_seconds() -> None:
    operations = Story(1, unknown=0.02, clients=20).tell(20_000)
    assert len(operations) > 15_000
    assert check(operations).ok


def test_a_search_that_is_too_large_is_given_up_aloud() -> None:
    with pytest.raises(Undecided):
        check(Story(3, unknown=0.3).tell(300), steps_max=50)


def test_what_a_watcher_saw_decides_who_made_a_revision() -> None:
    operations = [lost("x", 0, A), lost("y", 0, Put(key=b"l")), said("z", 5, 6, Put(key=b"m"), 3)]
    put = kv_pb2.Event(type=kv_pb2.Event.PUT, kv=kv(b"l", b"", 2))
    verdict = check(operations, evidence={2: [put]})
    assert verdict.ok
    assert list(verdict.changes[2]) == [put]
    strange = kv_pb2.Event(type=kv_pb2.Event.PUT, kv=kv(b"z", b"", 2))
    assert not check(operations, evidence={2: [strange]}).ok


def test_a_history_survives_its_file(tmp_path: Path) -> None:
    operations = Story(9, unknown=0.2).tell(100)
    save(tmp_path / "history", operations)
    assert list(map(str, load(tmp_path / "history"))) == list(map(str, operations))


# -- mutations: a good history with one thing changed that no store may do


def _pick(operations: list[Operation], rng: random.Random, wanted: Callable[[Operation], bool]) -> int | None:
    places = [place for place, operation in enumerate(operations) if wanted(operation)]
    return rng.choice(places) if places else None


def _altered(operation: Operation, **changed: Any) -> Operation:
    whole = {name: getattr(operation, name) for name in ("client", "call", "end", "request", "answer")} | changed
    return Operation(**whole)


def _reads(operation: Operation) -> bool:
    answer: Any = operation.answer
    return isinstance(operation.request, Range) and bool(answer.kvs)


def _invent_a_value(operations: list[Operation], rng: random.Random) -> bool:
    place = _pick(operations, rng, lambda one: _reads(one) and not one.request.keys_only)  # type: ignore[attr-defined]
    if place is None:
        return False
    answer: Any = copy.deepcopy(operations[place].answer)
    rng.choice(answer.kvs).value = b"invented"
    operations[place] = _altered(operations[place], answer=answer)
    return True


def _hide_a_key(operations: list[Operation], rng: random.Random) -> bool:
    place = _pick(operations, rng, _reads)
    if place is None:
        return False
    answer: Any = copy.deepcopy(operations[place].answer)
    del answer.kvs[rng.randrange(len(answer.kvs))]
    operations[place] = _altered(operations[place], answer=answer)
    return True


def _forget_a_write(operations: list[Operation], rng: random.Random) -> bool:
    place = _pick(operations, rng, lambda one: isinstance(one.request, Put))
    last = max(one.answer.header.revision for one in operations)  # type: ignore[union-attr]
    if place is None or operations[place].answer.header.revision == last:  # type: ignore[union-attr]
        return False
    del operations[place]
    return True


def _move_a_revision(operations: list[Operation], rng: random.Random) -> bool:
    place = _pick(operations, rng, lambda one: isinstance(one.request, Put))
    if place is None:
        return False
    answer: Any = copy.deepcopy(operations[place].answer)
    answer.header.revision += rng.choice((-1, 1))
    operations[place] = _altered(operations[place], answer=answer)
    return True


def _turn_a_branch(operations: list[Operation], rng: random.Random) -> bool:
    place = _pick(operations, rng, lambda one: isinstance(one.request, Txn))
    if place is None:
        return False
    answer: Any = copy.deepcopy(operations[place].answer)
    answer.succeeded = not answer.succeeded
    operations[place] = _altered(operations[place], answer=answer)
    return True


def _call_too_late(operations: list[Operation], rng: random.Random) -> bool:
    """A write that was called after one with a higher revision had ended."""
    place = _pick(operations, rng, lambda one: isinstance(one.request, Put))
    if place is None:
        return False
    revision = operations[place].answer.header.revision  # type: ignore[union-attr]
    behind = [one for one in operations if one.answer.header.revision > revision]  # type: ignore[union-attr]
    if not behind:
        return False
    call = max(one.end for one in behind) + 1
    operations[place] = _altered(operations[place], call=call, end=call + 1)
    return True


def _answer_from_the_past(operations: list[Operation], rng: random.Random) -> bool:
    """A linearizable read answers what another one of the same key answered before a write in between ended."""
    place = _pick(operations, rng, lambda one: isinstance(one.request, Put))
    if place is None:
        return False
    write = operations[place]
    revision = write.answer.header.revision  # type: ignore[union-attr]
    stale = said("stale", write.end + 1, write.end + 2, Range(key=b"nobody's"), revision - 1, kvs=[], count=0)
    operations.append(stale)
    return True


def _repeat_a_write(operations: list[Operation], rng: random.Random) -> bool:
    """A retry that was carried out again, at the end."""
    last = max(one.answer.header.revision for one in operations)  # type: ignore[union-attr]
    end = max(one.end for one in operations)
    operations.append(said("late", end + 1, end + 2, Put(key=b"q"), last + 2))
    return True


MUTATIONS = [
    _invent_a_value,
    _hide_a_key,
    _forget_a_write,
    _move_a_revision,
    _turn_a_branch,
    _call_too_late,
    _answer_from_the_past,
    _repeat_a_write,
]


@pytest.mark.parametrize("mutate", MUTATIONS)
@given(seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=25)
def test_one_thing_changed_is_found(mutate: Callable[[list[Operation], random.Random], bool], seed: int) -> None:
    operations = list(Story(seed, unknown=0.0).tell(80))
    if mutate(operations, random.Random(seed)):
        assert not check(operations).ok
