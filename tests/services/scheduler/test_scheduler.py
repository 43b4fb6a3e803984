"""The scheduler's loop: what it binds and in how many calls, what it takes back, what it tells pods that must wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from raftsman import EventType, PodBinding, errors
from raftsman.core import v1 as core
from raftsman.metadata import Key, key_of
from raftsman.services.scheduler import queue
from raftsman.services.scheduler.scheduler import Scheduler


class Informer:
    """What the scheduler sees of one kind; the test says what happens."""

    def __init__(self) -> None:
        self.objects: dict[Key, Any] = {}
        self.handlers: list[Any] = []
        self.cache = self

    def get(self, key: Key) -> Any:
        return self.objects.get(key)

    async def synced(self) -> None:
        return

    def add_handler(self, handler: Any) -> None:
        self.handlers.append(handler)
        for obj in self.objects.values():
            handler(EventType.ADDED, None, obj)

    def put(self, obj: Any) -> None:
        old = self.objects.get(key_of(obj))
        copy = type(obj)()
        copy.CopyFrom(obj)
        self.objects[key_of(obj)] = copy
        for handler in self.handlers:
            handler(EventType.MODIFIED if old is not None else EventType.ADDED, old, copy)

    def drop(self, obj: Any) -> None:
        old = self.objects.pop(key_of(obj))
        for handler in self.handlers:
            handler(EventType.DELETED, old, None)


class Api:
    """Takes calls down; `failures` are answered first."""

    def __init__(self) -> None:
        self.pods, self.nodes = Informer(), Informer()
        self.failures: list[errors.ApiError] = []
        self.calls: list[tuple[PodBinding, ...]] = []
        self.patches: list[dict[str, Any]] = []
        self.events: list[tuple[str, str]] = []

    def get(self, message: type[Any]) -> Informer:
        return self.pods if message is core.Pod else self.nodes

    async def bind(self, namespace: str, name: str, node: str, *, uid: str | None = None) -> None:
        self.calls.append((PodBinding(namespace, name, node, uid),))
        if self.failures:
            raise self.failures.pop(0)

    async def bind_many(self, bindings: Sequence[PodBinding]) -> list[errors.ApiError | None]:
        self.calls.append(tuple(bindings))
        return [self.failures.pop(0) if self.failures else None for _ in bindings]

    async def patch(self, message: type[Any], name: str, patch: dict[str, Any], **_: Any) -> None:
        if message is core.Pod:
            self.patches.append(patch)

    async def create(self, event: core.Event) -> None:
        self.events.append((event.reason, event.message))

    def bound(self) -> dict[str, str]:
        return {binding.name: binding.node_name for call in self.calls for binding in call}


def node(name: str, *, cpu: str = "1") -> core.Node:
    found = core.Node()
    found.metadata.name = name
    for resource, text in {"cpu": cpu, "memory": "8Gi", "pods": "110"}.items():
        found.status.allocatable[resource].string = text
    found.status.conditions.add(type="Ready", status="True")
    return found


def pod(name: str, *, cpu: str = "600m", node_name: str = "") -> core.Pod:
    found = core.Pod()
    found.metadata.name, found.metadata.namespace, found.metadata.uid = name, "default", f"uid-{name}"
    found.spec.scheduler_name = "default-scheduler"
    found.spec.containers.add(name="c").resources.requests["cpu"].string = cpu
    if node_name:
        found.spec.node_name = node_name
    return found


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    found = Api()
    task = asyncio.create_task(Scheduler(found, found).run())  # type: ignore[arg-type]
    await settle()
    yield found
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def settle() -> None:
    """Let everything run that can run without time passing."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_new_pod_is_bound_by_uid(api: Api) -> None:
    api.nodes.put(node("n1"))
    api.pods.put(pod("a"))
    await settle()
    assert api.calls == [(PodBinding("default", "a", "n1", "uid-a"),)]
    assert api.events == [("Scheduled", "Successfully assigned default/a to n1")]


async def test_pods_that_wait_together_are_bound_in_one_call(api: Api) -> None:
    api.nodes.put(node("n1", cpu="9"))
    for name in "abc":
        api.pods.put(pod(name))
    await settle()
    assert [len(call) for call in api.calls] == [3]


async def test_a_pod_counts_on_its_node_before_the_watch_shows_it(api: Api) -> None:
    for name in ("n1", "n2"):
        api.nodes.put(node(name))
    for name in ("a", "b", "c"):
        api.pods.put(pod(name))
        await settle()
    assert sorted(api.bound()) == ["a", "b"]
    assert set(api.bound().values()) == {"n1", "n2"}
    assert ("FailedScheduling", "0/2 nodes are available: 2 Insufficient cpu.") in api.events


async def test_a_pod_that_changes_before_its_binding_is_seen_is_not_bound_twice(api: Api) -> None:
    api.nodes.put(node("n1"))
    api.pods.put(pod("a"))
    await settle()
    changed = pod("a")
    changed.metadata.labels["x"] = "y"
    api.pods.put(changed)
    api.pods.put(pod("a", node_name="n1"))
    await settle()
    assert len(api.calls) == 1


async def test_a_binding_that_fails_is_taken_back_and_tried_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "BACKOFF_S", 0.01)
    api.failures = [errors.Unavailable("try again")]
    api.nodes.put(node("n1"))
    api.pods.put(pod("a"))
    await asyncio.sleep(0.05)
    assert [call[0].name for call in api.calls] == ["a", "a"]
    assert ("FailedScheduling", "binding to n1 failed: try again") in api.events


async def test_room_of_a_failed_binding_is_given_to_who_waits(api: Api) -> None:
    api.failures = [errors.Conflict("somebody else")]
    api.nodes.put(node("n1"))
    api.pods.put(pod("a"))
    api.pods.put(pod("b"))
    await settle()
    assert [call[0].name for call in api.calls] == ["a", "b"]


async def test_a_pod_that_is_gone_frees_its_room_at_once(api: Api) -> None:
    api.nodes.put(node("n1"))
    running = pod("old", node_name="n1")
    api.pods.put(running)
    api.pods.put(pod("new"))
    await settle()
    assert api.calls == []
    api.pods.drop(running)
    await settle()
    assert api.bound() == {"new": "n1"}


async def test_a_finished_pod_frees_its_room_too(api: Api) -> None:
    api.nodes.put(node("n1"))
    done = pod("job", node_name="n1")
    api.pods.put(done)
    api.pods.put(pod("new"))
    done.status.phase = "Succeeded"
    api.pods.put(done)
    await settle()
    assert api.bound() == {"new": "n1"}


async def test_a_pod_without_a_node_is_told_why_once(api: Api) -> None:
    waiting = pod("a")
    waiting.metadata.resource_version = "7"
    api.pods.put(waiting)
    await settle()
    (patch,) = api.patches
    (condition,) = patch["status"]["conditions"]
    assert patch["metadata"] == {"uid": "uid-a", "resourceVersion": "7"}
    assert (condition["type"], condition["status"], condition["reason"]) == ("PodScheduled", "False", "Unschedulable")
    assert condition["message"] == "no nodes available to schedule pods"
    told = waiting.status.conditions.add(type="PodScheduled", status="False", reason="Unschedulable")
    told.message = condition["message"]
    api.pods.put(waiting)
    await settle()
    assert len(api.patches) == 1


async def test_gates_keep_a_pod_back_until_they_are_gone(api: Api) -> None:
    api.nodes.put(node("n1"))
    gated = pod("a")
    gated.spec.scheduling_gates.add(name="example.com/quota")
    api.pods.put(gated)
    await settle()
    assert api.calls == []
    assert api.patches[0]["status"]["conditions"][0]["reason"] == "SchedulingGated"
    api.pods.put(pod("a"))
    await settle()
    assert api.bound() == {"a": "n1"}


async def test_a_pod_that_says_what_nothing_acts_upon_waits_and_is_told_what(api: Api) -> None:
    api.nodes.put(node("n1"))
    waiting = pod("a")
    waiting.spec.set_hostname_as_fqdn = True
    waiting.spec.volumes.add(name="v").volume_source.persistent_volume_claim.claim_name = "c"
    api.pods.put(waiting)
    await settle()
    assert api.calls == []
    (condition,) = api.patches[0]["status"]["conditions"]
    assert (condition["status"], condition["reason"]) == ("False", "Unschedulable")
    assert "spec.setHostnameAsFQDN is not supported yet" in condition["message"]
    assert "spec.volumes[0].persistentVolumeClaim is not supported yet" in condition["message"]
    waiting.status.conditions.add(
        type="PodScheduled", status="False", reason="Unschedulable", message=condition["message"]
    )
    api.pods.put(waiting)
    await settle()
    assert len(api.patches) == len(api.events) == 1


async def test_a_pod_that_wants_company_goes_when_it_comes_and_one_that_does_not_when_it_leaves(api: Api) -> None:
    labelled = node("n1", cpu="4")
    labelled.metadata.labels["host"] = "n1"
    api.nodes.put(labelled)
    near, database, apart = pod("near", cpu="10m"), pod("database", cpu="10m"), pod("apart", cpu="10m")
    database.metadata.labels["app"] = "db"
    for one, kind in ((near, "pod_affinity"), (apart, "pod_anti_affinity")):
        wanted = getattr(one.spec.affinity, kind).required_during_scheduling_ignored_during_execution.add()
        wanted.label_selector.match_labels["app"] = "db"
        wanted.topology_key = "host"
    api.pods.put(near)
    await settle()
    assert api.bound() == {}
    api.pods.put(database)
    await settle()
    database.spec.node_name = "n1"
    api.pods.put(database)
    await settle()
    assert api.bound() == {"database": "n1", "near": "n1"}
    api.pods.put(apart)
    await settle()
    assert "apart" not in api.bound()
    api.pods.drop(database)
    await settle()
    assert api.bound()["apart"] == "n1"


async def test_pods_of_another_scheduler_are_left_alone_but_count(api: Api) -> None:
    api.nodes.put(node("n1"))
    other = pod("theirs")
    other.spec.scheduler_name = "other"
    api.pods.put(other)
    await settle()
    assert api.calls == []
    other.spec.node_name = "n1"
    api.pods.put(other)
    api.pods.put(pod("mine"))
    await settle()
    assert api.calls == []


async def test_a_deleted_pod_is_never_bound_late(api: Api) -> None:
    api.pods.put(pod("a"))
    api.pods.drop(pod("a"))
    api.nodes.put(node("n1"))
    await settle()
    assert api.calls == []


async def test_a_pod_made_again_under_its_name_is_a_new_one(api: Api) -> None:
    api.nodes.put(node("n1"))
    api.pods.put(pod("a", node_name="n1"))
    again = pod("a")
    again.metadata.uid = "uid-again"
    api.pods.put(again)
    await settle()
    assert api.calls == [(PodBinding("default", "a", "n1", "uid-again"),)]


async def test_a_heartbeat_of_a_full_node_wakes_nobody(api: Api) -> None:
    api.nodes.put(node("n1", cpu="100m"))
    api.pods.put(pod("a"))
    await settle()
    events = len(api.events)
    beating = node("n1", cpu="100m")
    beating.status.conditions[0].last_heartbeat_time.seconds = 1
    api.nodes.put(beating)
    await settle()
    assert len(api.events) == events
