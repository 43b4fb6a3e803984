"""The watch checker believes what a good watcher got, and names the promise that a bad one was denied."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from raftsman.etcd import kv_pb2, rpc_pb2
from raftsman.testing.linearizability import Session, Watched, check, check_watch
from raftsman.testing.linearizability.watches import Changes
from stories import Story

Event, Create, Response = kv_pb2.Event, rpc_pb2.WatchCreateRequest, rpc_pb2.WatchResponse
EVERYTHING = Create(key=b"\0", range_end=b"\0", start_revision=2, prev_kv=True)


def header(revision: int) -> rpc_pb2.ResponseHeader:
    return rpc_pb2.ResponseHeader(revision=revision)


def created(revision: int = 1) -> Response:
    return Response(header=header(revision), created=True)


def progress(revision: int) -> Response:
    return Response(header=header(revision))


def kv(key: bytes, mod: int, *, created: int = 0, version: int = 1) -> kv_pb2.KeyValue:
    return kv_pb2.KeyValue(
        key=key, value=b"%d" % mod, create_revision=created or mod, mod_revision=mod, version=version
    )


A2, A3, B3, A5 = kv(b"a", 2), kv(b"a", 3, created=2, version=2), kv(b"b", 3), kv(b"a", 5)
PUT_A2 = Event(kv=A2)
PUT_A3 = Event(kv=A3, prev_kv=A2)
PUT_B3 = Event(kv=B3)
GONE_A4 = Event(type=Event.DELETE, kv=kv_pb2.KeyValue(key=b"a", mod_revision=4), prev_kv=A3)
PUT_A5 = Event(kv=A5)
CHANGES = {2: [PUT_A2], 3: [PUT_A3, PUT_B3], 4: [GONE_A4], 5: [PUT_A5]}
NEWEST = 5


def says(*events: Event, fragment: bool = False) -> Response:
    return Response(header=header(events[-1].kv.mod_revision), events=events, fragment=fragment)


def watch(*responses: Response, request: Create = EVERYTHING) -> Session:
    return Session(request, [created(), *responses])


def changed(event: Event, **fields: object) -> Event:
    copy_of = copy.deepcopy(event)
    for name, value in fields.items():
        setattr(copy_of.kv, name, value)
    return copy_of


def without_previous(event: Event) -> Event:
    copy_of = copy.deepcopy(event)
    copy_of.ClearField("prev_kv")
    return copy_of


def from_(revision: int) -> Create:
    request = copy.deepcopy(EVERYTHING)
    request.start_revision = revision
    return request


ALL = (says(PUT_A2), says(PUT_A3, PUT_B3), says(GONE_A4), says(PUT_A5))
ONLY_A = Create(key=b"a", start_revision=2)
ONLY_PUTS = Create(key=b"\0", range_end=b"\0", start_revision=2, prev_kv=True, filters=[Create.NODELETE])

GOOD: dict[str, list[Session]] = {
    "nothing was asked": [],
    "everything": [watch(*ALL)],
    "everything in one message": [watch(says(PUT_A2, PUT_A3, PUT_B3, GONE_A4, PUT_A5))],
    "a revision in fragments": [watch(says(PUT_A2), says(PUT_A3, fragment=True), says(PUT_B3), *ALL[2:])],
    "progress": [watch(*ALL[:2], progress(3), *ALL[2:], progress(5))],
    "resumed": [watch(*ALL[:2]), watch(*ALL[2:], request=from_(4))],
    "resumed in the middle of fragments": [
        watch(says(PUT_A2), says(PUT_A3, fragment=True)), watch(*ALL[1:], request=from_(3)),
    ],
    "resumed behind a bookmark": [watch(*ALL[:2], progress(3)), watch(*ALL[2:], request=from_(4))],
    "one key": [
        watch(says(PUT_A2), *(says(without_previous(each)) for each in (PUT_A3, GONE_A4, PUT_A5)), request=ONLY_A),
    ],
    "puts only": [watch(*ALL[:2], *ALL[3:], request=ONLY_PUTS)],
    "from now on": [Session(from_(0), [created(3), *ALL[2:]])],
    "overtaken by a compaction": [
        watch(says(PUT_A2), Response(header=header(5), canceled=True, compact_revision=4)),
        watch(*ALL[2:], request=from_(4)),
    ],
}  # fmt: skip

BAD: dict[str, tuple[str, list[Session]]] = {
    "revisions fall": ("ordered", [watch(says(PUT_A2), ALL[2], ALL[1], ALL[3])]),
    "revisions fall in a message": ("ordered", [watch(says(PUT_A2), says(GONE_A4, PUT_A3, PUT_B3), ALL[3])]),
    "an event comes twice": ("unique", [watch(*ALL[:2], ALL[1], *ALL[2:])]),
    "an event comes again after a resumption": ("unique", [watch(*ALL[:2]), watch(*ALL[1:], request=from_(3))]),
    "a revision is missing": ("reliable", [watch(*ALL[:2], ALL[3])]),
    "the last revision is missing": ("reliable", [watch(*ALL[:3])]),
    "what comes never happened": ("reliable", [watch(says(changed(PUT_A2, value=b"9")), *ALL[1:])]),
    "a version is wrong": ("reliable", [watch(says(PUT_A2), says(changed(PUT_A3, version=7), PUT_B3), *ALL[2:])]),
    "half of a revision": ("atomic", [watch(says(PUT_A2), says(PUT_A3), *ALL[2:])]),
    "a revision in two messages": ("atomic", [watch(says(PUT_A2), says(PUT_A3), says(PUT_B3), *ALL[2:])]),
    "a gap where it was resumed": ("resumable", [watch(*ALL[:1]), watch(*ALL[2:], request=from_(4))]),
    "a gap beyond what was compacted": (
        "resumable",
        [
            watch(says(PUT_A2), Response(header=header(5), canceled=True, compact_revision=3)),
            watch(*ALL[2:], request=from_(4)),
        ],
    ),
    "a gap long after a compaction": (
        "resumable",
        [
            watch(says(PUT_A2), Response(header=header(5), canceled=True, compact_revision=3)),
            watch(ALL[1], request=from_(3)),
            watch(ALL[3], request=from_(5)),
        ],
    ),
    "a bookmark ahead of events": ("bookmarkable", [watch(*ALL[:2], progress(4), *ALL[2:])]),
    "a bookmark instead of an event": ("bookmarkable", [watch(*ALL[:2], progress(4), ALL[3])]),
    "no previous value": ("prevKV", [watch(says(PUT_A2), says(without_previous(PUT_A3), PUT_B3), *ALL[2:])]),
    "another previous value": (
        "prevKV",
        [watch(says(PUT_A2), says(Event(kv=A3, prev_kv=kv(b"a", 1)), PUT_B3), *ALL[2:])],
    ),
    "a previous value that there was not": ("prevKV", [watch(says(Event(kv=A2, prev_kv=B3)), *ALL[1:])]),
    "a previous value that nobody asked for": (
        "prevKV",
        [watch(says(PUT_A2), says(PUT_A3), says(GONE_A4), says(PUT_A5), request=ONLY_A)],
    ),
    "new though it was there": (
        "isCreate",
        [watch(says(PUT_A2), says(changed(PUT_A3, create_revision=3), PUT_B3), *ALL[2:])],
    ),
    "not new though it was not there": ("isCreate", [watch(says(changed(PUT_A2, create_revision=1)), *ALL[1:])]),
    "another key": ("filter", [watch(says(PUT_A2), says(PUT_B3), request=ONLY_A)]),
    "an unwanted type": ("filter", [watch(*ALL, request=ONLY_PUTS)]),
    "older than asked for": ("filter", [watch(*ALL[1:], request=from_(4))]),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_a_good_watcher_got_is_believed(name: str) -> None:
    assert check_watch(Watched(name, GOOD[name]), CHANGES, up_to=NEWEST) == []


@pytest.mark.parametrize("name", BAD)
def test_a_promise_that_was_not_kept_is_named(name: str) -> None:
    promise, sessions = BAD[name]
    breaches = check_watch(Watched(name, sessions), CHANGES, up_to=NEWEST)
    assert promise in {breach.promise for breach in breaches}, breaches


def test_every_promise_has_something_that_breaks_it() -> None:
    assert {promise for promise, _ in BAD.values()} == {
        "ordered", "unique", "reliable", "atomic", "resumable", "bookmarkable", "prevKV", "isCreate", "filter",
    }  # fmt: skip


def test_an_event_behind_a_bookmark_is_told_as_such() -> None:
    breaches = check_watch(Watched("w", [watch(*ALL[:2], progress(4), *ALL[2:])]), CHANGES, up_to=NEWEST)
    assert any("came behind a bookmark of 4" in breach.sentence for breach in breaches)


def test_previous_values_may_be_compacted_away() -> None:
    bare = says(without_previous(PUT_A3), PUT_B3)
    watched = Watched("w", [watch(says(PUT_A2), bare, *ALL[2:])])
    assert check_watch(watched, CHANGES, up_to=NEWEST, compacted=3) == []
    assert check_watch(watched, CHANGES, up_to=NEWEST, compacted=2)


@pytest.mark.parametrize(
    ("responses", "first"),
    [((), 2), (ALL[:2], 4), ((says(PUT_A2), says(PUT_A3, fragment=True)), 3), ((*ALL[:1], progress(4)), 5)],
)
def test_a_watcher_resumes_behind_what_it_has_whole(responses: tuple[Response, ...], first: int) -> None:
    assert Watched("w", [watch(*responses)]).resume_from() == first


# -- mutations: what a faithful watcher got, with one thing changed


def served(changes: Changes, rng: random.Random) -> Watched:
    """Everything that happened, in messages, fragments and sessions of any size, with bookmarks."""
    sessions = [watch(request=from_(2))]
    revisions = sorted(changes)
    while revisions:
        taken = [revisions.pop(0) for _ in range(min(len(revisions), rng.randint(1, 4)))]
        events = [event for revision in taken for event in changes[revision]]
        cut = rng.randrange(len(events))
        if cut and rng.random() < 0.3:
            sessions[-1].responses.append(says(*events[:cut], fragment=True))
            events = events[cut:]
        sessions[-1].responses.append(says(*events))
        if rng.random() < 0.2:
            sessions[-1].responses.append(progress(taken[-1]))
        if rng.random() < 0.2:
            sessions.append(watch(request=from_(taken[-1] + 1)))
    return Watched("w", sessions)


def _told(watched: Watched) -> list[Response]:
    return [each for session in watched.sessions for each in session.responses if each.events]


def _drop(watched: Watched, rng: random.Random) -> set[str]:
    response = rng.choice(_told(watched))
    del response.events[rng.randrange(len(response.events))]
    return {"reliable", "atomic", "resumable", "bookmarkable"}


def _repeat(watched: Watched, rng: random.Random) -> set[str]:
    response = rng.choice(_told(watched))
    response.events.append(response.events[0])
    return {"unique"}


def _swap(watched: Watched, rng: random.Random) -> set[str]:
    response = rng.choice([each for each in _told(watched) if _revisions(each) > 1])
    events = list(reversed(response.events))
    del response.events[:]
    response.events.extend(events)
    return {"ordered"}


def _revisions(response: Response) -> int:
    return len({event.kv.mod_revision for event in response.events})


def _invent(watched: Watched, rng: random.Random) -> set[str]:
    rng.choice(rng.choice(_told(watched)).events).kv.value = b"invented"
    return {"reliable"}


def _lose_the_previous(watched: Watched, rng: random.Random) -> set[str]:
    event = rng.choice([event for each in _told(watched) for event in each.events if event.HasField("prev_kv")])
    event.prev_kv.value = b"invented"
    return {"prevKV"}


def _promise_too_much(watched: Watched, rng: random.Random) -> set[str]:
    session = rng.choice([each for each in watched.sessions if any(one.events for one in each.responses)])
    newest = next(one for one in reversed(session.responses) if one.events).events[-1].kv.mod_revision
    session.responses.insert(1, progress(newest))
    return {"bookmarkable"}


@pytest.mark.parametrize("mutate", [_drop, _repeat, _swap, _invent, _lose_the_previous, _promise_too_much])
@given(seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=25)
def test_one_thing_changed_is_found(mutate: Callable[[Watched, random.Random], set[str]], seed: int) -> None:
    changes = check(Story(seed, unknown=0.0).tell(60)).changes
    assume(len(changes) > 3)
    watched = served(changes, random.Random(seed))
    assert check_watch(watched, changes, up_to=max(changes)) == []
    try:
        promises = mutate(watched, random.Random(seed))
    except IndexError:  # nothing that it could change
        return
    breaches = check_watch(watched, changes, up_to=max(changes))
    assert promises & {breach.promise for breach in breaches}, breaches
