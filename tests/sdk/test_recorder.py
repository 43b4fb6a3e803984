"""Events: counted instead of repeated, limited, and never in the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from fake_api import FakeApi
from raftsman import Client, errors, recorder
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.recorder import EventRecorder


@pytest_asyncio.fixture
async def events(client: Client) -> AsyncIterator[EventRecorder]:
    made = EventRecorder(client, "tester")
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def pod(name: str = "p") -> core.Pod:
    return core.Pod(metadata=meta.ObjectMeta(name=name, namespace="a", uid=f"uid-{name}"))


async def test_an_event_says_who_what_and_about_whom(api: FakeApi, events: EventRecorder) -> None:
    events.normal(pod(), "Pulled", "image is there", field_path="spec.containers{web}")
    await events.drain()
    (event,) = api.all(core.Event)
    assert (event.metadata.namespace, event.type, event.reason, event.count) == ("a", "Normal", "Pulled", 1)
    about = event.involved_object
    assert (about.kind, about.name, about.uid, about.field_path) == ("Pod", "p", "uid-p", "spec.containers{web}")
    assert event.first_timestamp.seconds > 0


async def test_the_same_event_is_counted_and_another_is_not(api: FakeApi, events: EventRecorder) -> None:
    for _ in range(4):
        events.warning(pod(), "BackOff", "again")
    events.warning(pod(), "BackOff", "another message")
    await events.drain()
    assert sorted(event.count for event in api.all(core.Event)) == [1, 4]


async def test_an_event_that_was_deleted_is_made_anew(api: FakeApi, events: EventRecorder) -> None:
    events.normal(pod(), "Seen", "x")
    await events.drain()
    await api.remove(api.all(core.Event)[0])
    events.normal(pod(), "Seen", "x")
    await events.drain()
    assert [event.count for event in api.all(core.Event)] == [1]


async def test_one_object_cannot_flood(api: FakeApi, events: EventRecorder) -> None:
    for number in range(recorder.BURST_MAX + 20):
        events.normal(pod("loud"), f"Reason{number}", "x")
    events.normal(pod("quiet"), "Heard", "x")
    await events.drain()
    names = [event.involved_object.name for event in api.all(core.Event)]
    assert (names.count("loud"), names.count("quiet")) == (recorder.BURST_MAX, 1)


async def test_events_about_cluster_wide_objects_are_in_default(api: FakeApi, events: EventRecorder) -> None:
    events.normal(core.Node(metadata=meta.ObjectMeta(name="n1")), "Up", "x")
    await events.drain()
    assert api.all(core.Event)[0].metadata.namespace == "default"


async def test_a_refused_event_stops_nothing(api: FakeApi, events: EventRecorder) -> None:
    api.refusals.append(errors.Forbidden("no events"))
    events.normal(pod(), "Lost", "x")
    events.normal(pod(), "Kept", "x")
    await events.drain()
    assert [event.reason for event in api.all(core.Event)] == ["Kept"]


async def test_a_full_queue_drops_and_does_not_wait(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "QUEUE_MAX", 3)
    stalled = EventRecorder(client, "tester")
    for number in range(10):
        stalled.normal(pod(), f"Reason{number}", "x")


async def test_an_event_about_a_long_name_has_a_name_that_fits(api: FakeApi, events: EventRecorder) -> None:
    events.normal(pod("a" * 253), "Seen", "x")
    await events.drain()
    (event,) = api.all(core.Event)
    assert len(event.metadata.name) == 253
