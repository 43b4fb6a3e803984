"""Owner references: what nobody owns goes, what somebody owns stays, and nobody is asked twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raftsman import resources
from raftsman.apps import v1 as apps
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.metadata import Key
from raftsman.services.controllers.garbage_collector import GarbageCollector
from raftsman.services.controllers.owner_graph import (
    FOREGROUND,
    NOTHING,
    ORPHAN,
    Graph,
    Item,
    Owner,
    Plan,
    State,
    Verb,
    decide,
    owner_states,
)

from .running import eventually, quiet, running

PODS = resources.by_message(core.Pod)


def item(uid: str, *owners: str, deleting: bool = False, finalizers: tuple[str, ...] = ()) -> Item:
    references = tuple(Owner(o, "v1", "Pod", o, blocks=True) for o in owners)
    return Item(uid, PODS, Key("default", uid), references, deleting, finalizers)


def states(**named: State) -> dict[str, State]:
    return named


# ---- decisions


def test_an_object_whose_only_owner_is_absent_is_deleted() -> None:
    assert decide(item("p", "r"), states(r=State.ABSENT), ()) == Plan(Verb.DELETE, policy="Background")


def test_an_object_with_an_owner_stays() -> None:
    assert decide(item("p", "r"), states(r=State.SOLID), ()) is NOTHING


def test_only_dangling_references_go_when_another_owner_is_there() -> None:
    plan = decide(item("p", "r", "s"), states(r=State.ABSENT, s=State.SOLID), ())
    assert plan == Plan(Verb.DROP_OWNERS, uids=frozenset({"r"}))


def test_nothing_is_believed_of_an_owner_that_was_not_asked_for() -> None:
    assert decide(item("p", "r", "s"), states(r=State.ABSENT, s=State.UNKNOWN), ()) is NOTHING


def test_what_is_being_deleted_already_is_left_alone() -> None:
    assert decide(item("p", "r", deleting=True), states(r=State.ABSENT), ()) is NOTHING


def test_foreground_deletion_passes_down_to_what_owns_something_itself() -> None:
    assert decide(item("p", "r"), states(r=State.WAITING), (item("c", "p"),)).policy == "Foreground"
    assert decide(item("p", "r"), states(r=State.WAITING), ()).policy == "Background"


def test_foreground_waits_for_what_blocks_and_not_for_the_rest() -> None:
    owner = item("r", deleting=True, finalizers=(FOREGROUND,))
    assert decide(owner, {}, (item("p", "r"),)) == Plan(Verb.LOOK_AT_DEPENDENTS, uids=frozenset({"p"}))
    assert decide(owner, {}, (item("p", "r", deleting=True),)) is NOTHING
    free = Item("q", PODS, Key("default", "q"), (Owner("r", "v1", "Pod", "r", blocks=False),))
    assert decide(owner, {}, (free,)) == Plan(Verb.DROP_FINALIZER, finalizer=FOREGROUND)


def test_orphaning_frees_the_dependents_before_the_owner_goes() -> None:
    owner = item("r", deleting=True, finalizers=(ORPHAN,))
    assert decide(owner, {}, (item("p", "r"),)) == Plan(Verb.ORPHAN_DEPENDENTS, uids=frozenset({"p"}))
    assert decide(owner, {}, ()) == Plan(Verb.DROP_FINALIZER, finalizer=ORPHAN)


def test_a_cycle_in_foreground_deletion_ends() -> None:
    a = item("a", "b", deleting=True, finalizers=(FOREGROUND,))
    b = item("b", "a", deleting=True, finalizers=(FOREGROUND,))
    assert decide(a, {}, (b,)).verb is Verb.DROP_FINALIZER


# ---- the graph


def test_the_dependents_of_a_removed_object_are_looked_at() -> None:
    graph = Graph()
    graph.put(item("r"))
    graph.put(item("p", "r"))
    assert graph.remove("r") == {"p"}


def test_an_owner_that_waits_is_looked_at_when_a_dependent_goes() -> None:
    graph = Graph()
    graph.put(item("r", deleting=True, finalizers=(FOREGROUND,)))
    graph.put(item("p", "r"))
    assert graph.remove("p") == {"r"}


def test_dependents_are_known_before_their_owner_is() -> None:
    graph = Graph()
    assert graph.put(item("p", "r")) == {"p"}
    assert owner_states(item("p", "r"), graph) == {"r": State.UNKNOWN}
    graph.put(item("r"))
    assert owner_states(item("p", "r"), graph) == {"r": State.SOLID}
    assert [d.uid for d in graph.dependents("r")] == ["p"]


def test_an_unchanged_object_wakes_nobody() -> None:
    graph = Graph()
    graph.put(item("p", "r"))
    assert graph.put(item("p", "r")) == set()


UIDS = st.sampled_from("abcdef")


@given(st.lists(st.tuples(UIDS, st.none() | st.sets(UIDS)), max_size=40))
def test_the_graph_always_knows_exactly_who_depends_on_whom(history: list[tuple[str, set[str] | None]]) -> None:
    graph, model = Graph(), dict[str, set[str]]()
    for uid, owners in history:
        if owners is None:
            graph.remove(uid)
            model.pop(uid, None)
        else:
            graph.put(item(uid, *sorted(owners)))
            model[uid] = owners
    for uid in "abcdef":
        assert {d.uid for d in graph.dependents(uid)} == {other for other, owners in model.items() if uid in owners}


# ---- the shell


def replica_set(name: str, uid: str) -> apps.ReplicaSet:
    return apps.ReplicaSet(metadata=meta.ObjectMeta(name=name, namespace="default", uid=uid))


def owned(name: str, *owners: str) -> core.Pod:
    made = core.Pod(metadata=meta.ObjectMeta(name=name, namespace="default", uid=f"uid-{name}"))
    for uid in owners:
        made.metadata.owner_references.add(
            api_version="apps/v1", kind="ReplicaSet", name=uid, uid=uid, block_owner_deletion=True
        )
    return made


@pytest.fixture
def collector() -> GarbageCollector:
    return GarbageCollector(start_delay_s=0)


async def test_what_a_deleted_object_owned_is_deleted(fake_api: Any, collector: GarbageCollector) -> None:
    await fake_api.put(replica_set("r", "r"))
    await fake_api.put(owned("p", "r"))
    await fake_api.put(owned("free"))
    async with running(fake_api, collector):
        await quiet(fake_api)
        await fake_api.remove(replica_set("r", "r"))
        await eventually(lambda: [p.metadata.name for p in fake_api.all(core.Pod)] == ["free"])


async def test_what_was_left_behind_before_the_start_is_deleted(fake_api: Any, collector: GarbageCollector) -> None:
    await fake_api.put(owned("p", "r"))
    async with running(fake_api, collector):
        await eventually(lambda: not fake_api.all(core.Pod))


async def test_an_owner_of_the_same_name_is_not_the_owner(fake_api: Any, collector: GarbageCollector) -> None:
    await fake_api.put(replica_set("r", "another"))
    await fake_api.put(owned("p", "r"))
    async with running(fake_api, collector):
        await eventually(lambda: not fake_api.all(core.Pod))


async def test_one_of_two_owners_leaving_takes_only_its_reference(fake_api: Any, collector: GarbageCollector) -> None:
    for name in ("r", "s"):
        await fake_api.put(replica_set(name, name))
    await fake_api.put(owned("p", "r", "s"))
    async with running(fake_api, collector):
        await fake_api.remove(replica_set("r", "r"))
        await eventually(lambda: len(fake_api.find(core.Pod, "p", "default").metadata.owner_references) == 1)
        assert fake_api.find(core.Pod, "p", "default").metadata.owner_references[0].uid == "s"
        await quiet(fake_api)


async def test_foreground_deletion_removes_the_owner_last(fake_api: Any, collector: GarbageCollector) -> None:
    await fake_api.put(replica_set("r", "r"))
    await fake_api.put(owned("p", "r"))
    async with running(fake_api, collector), fake_api.client() as client:
        await client.delete(apps.ReplicaSet, "r", propagation="Foreground")
        await eventually(lambda: not fake_api.all(apps.ReplicaSet))
        assert not fake_api.all(core.Pod)
    gone = [(kind, service) for _, service, kind, _ in fake_api.log if kind == 3]
    assert [service.rpartition(".")[2] for _, service in gone] == ["Pods", "ReplicaSets"]


async def test_orphaned_objects_stay_without_the_reference(fake_api: Any, collector: GarbageCollector) -> None:
    await fake_api.put(replica_set("r", "r"))
    await fake_api.put(owned("p", "r"))
    async with running(fake_api, collector), fake_api.client() as client:
        await client.delete(apps.ReplicaSet, "r", propagation="Orphan")
        await eventually(lambda: not fake_api.all(apps.ReplicaSet))
        assert not fake_api.find(core.Pod, "p", "default").metadata.owner_references


async def test_an_owner_that_cannot_be_asked_for_counts_as_there(fake_api: Any, collector: GarbageCollector) -> None:
    strange = owned("p")
    strange.metadata.owner_references.add(api_version="example.com/v1", kind="Database", name="d", uid="d")
    await fake_api.put(strange)
    async with running(fake_api, collector):
        await quiet(fake_api)
        assert len(fake_api.all(core.Pod)) == 1
