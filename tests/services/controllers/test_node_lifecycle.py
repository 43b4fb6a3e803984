"""Nodes that fall silent: noticed, tainted, emptied, and forgiven when they come back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from raftsman import times
from raftsman.coordination import v1 as coordination
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.services.controllers import node_health, pod_collector, taint_eviction
from raftsman.services.controllers.node_health import GRACE_S, NOT_READY, UNREACHABLE, Health, Observed, decide
from raftsman.services.controllers.node_lifecycle import NodeLifecycleController
from raftsman.services.controllers.pod_collector import PodCollector
from raftsman.services.controllers.taint_eviction import TaintEvictionController

from .running import eventually, quiet, running

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def node(name: str = "n1", ready: str | None = "True", taints: tuple[tuple[str, str], ...] = ()) -> core.Node:
    made = core.Node(metadata=meta.ObjectMeta(name=name))
    if ready is not None:
        made.status.conditions.add(type="Ready", status=ready, reason="KubeletReady")
        for kind in ("MemoryPressure", "DiskPressure", "PIDPressure"):
            made.status.conditions.add(type=kind, status="False")
    for key, effect in taints:
        made.spec.taints.add(key=key, effect=effect)
    return made


def observed(of: core.Node, *, silent_s: float = 1.0, others: bool = True) -> Observed:
    return Observed(of, silent_s, others)


def keys(taints: Any) -> set[tuple[str, str]]:
    return {(taint.key, taint.effect) for taint in taints}


def pod(name: str, node_name: str = "n1", *tolerations: core.Toleration) -> core.Pod:
    made = core.Pod(metadata=meta.ObjectMeta(name=name, namespace="default"))
    made.spec.node_name = node_name
    made.spec.tolerations.extend(tolerations)
    made.status.conditions.add(type="Ready", status="True")
    return made


# ---- health


def test_a_ready_node_loses_the_taint_it_registered_with() -> None:
    plan = decide(observed(node(taints=((NOT_READY, "NoSchedule"), ("mine", "NoSchedule")))), now=NOW)
    assert plan.health is Health.READY
    assert plan.taints is not None
    assert keys(plan.taints) == {("mine", "NoSchedule")}


def test_a_ready_node_without_taints_is_left_alone_until_its_grace_would_end() -> None:
    plan = decide(observed(node(), silent_s=10), now=NOW)
    assert (plan.status, plan.taints, plan.unready_pods) == (None, None, False)
    assert plan.requeue_after_s == pytest.approx(GRACE_S - 10, abs=0.5)


def test_a_node_that_has_just_registered_keeps_its_taint() -> None:
    plan = decide(observed(node(ready=None, taints=((NOT_READY, "NoSchedule"),))), now=NOW)
    assert (plan.health, plan.taints, plan.status) == (Health.NEW, None, None)


def test_a_node_that_says_it_is_not_ready_is_tainted_so() -> None:
    plan = decide(observed(node(ready="False")), now=NOW)
    assert plan.taints is not None
    assert keys(plan.taints) == {(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")}
    assert not plan.unready_pods


def test_a_silent_node_becomes_unknown_and_unreachable() -> None:
    plan = decide(observed(node(), silent_s=GRACE_S + 1), now=NOW)
    assert plan.status is not None
    assert {c.type: c.status for c in plan.status.conditions} == dict.fromkeys(
        ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure"), "Unknown"
    )
    assert plan.status.conditions[0].last_transition_time.seconds == int(NOW.timestamp())
    assert plan.taints is not None
    assert keys(plan.taints) == {(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")}
    assert all(taint.time_added.seconds for taint in plan.taints)
    assert plan.unready_pods


def test_a_silent_node_that_is_known_as_such_is_not_written_again() -> None:
    plan = decide(observed(node(), silent_s=GRACE_S + 1), now=NOW)
    assert plan.status is not None
    assert plan.taints is not None
    after = core.Node(metadata=meta.ObjectMeta(name="n1"), status=plan.status)
    after.spec.taints.extend(plan.taints)
    again = decide(observed(after, silent_s=GRACE_S + 9), now=NOW + timedelta(seconds=8))
    assert (again.status, again.taints) == (None, None)


def test_nobody_is_evicted_when_no_node_is_heard_of() -> None:
    plan = decide(observed(node(), silent_s=GRACE_S + 1, others=False), now=NOW)
    assert plan.taints is not None
    assert keys(plan.taints) == {(UNREACHABLE, "NoSchedule")}


def test_pressure_and_cordon_become_taints_and_go_again() -> None:
    tight = node()
    tight.status.conditions[1].status = "True"
    tight.spec.unschedulable = True
    plan = decide(observed(tight), now=NOW)
    assert plan.taints is not None
    wanted = {("node.kubernetes.io/memory-pressure", "NoSchedule"), ("node.kubernetes.io/unschedulable", "NoSchedule")}
    assert keys(plan.taints) == wanted
    relaxed = node(taints=tuple(wanted))
    plan = decide(observed(relaxed), now=NOW)
    assert plan.taints == ()


# ---- eviction by taints


def taint(key: str = UNREACHABLE, *, ago_s: float = 0) -> core.Taint:
    return core.Taint(key=key, effect="NoExecute", time_added=times.from_datetime(NOW - timedelta(seconds=ago_s)))


def tolerating(key: str = UNREACHABLE, seconds: int | None = None) -> core.Toleration:
    return core.Toleration(key=key, operator="Exists", effect="NoExecute", toleration_seconds=seconds)


@pytest.mark.parametrize(
    ("tolerations", "ago_s", "delete", "wait_s"),
    [
        ((), 0, True, None),
        ((tolerating(seconds=None),), 10**6, False, None),
        ((tolerating(seconds=300),), 100, False, 200),
        ((tolerating(seconds=300),), 301, True, None),
        ((tolerating(seconds=300), tolerating(seconds=60)), 30, False, 30),
        ((tolerating(seconds=0),), 0, True, None),
        ((tolerating(key=NOT_READY),), 0, True, None),
        ((core.Toleration(operator="Exists"),), 0, False, None),
        ((core.Toleration(key=UNREACHABLE, operator="Exists", effect="NoSchedule"),), 0, True, None),
        ((core.Toleration(key=UNREACHABLE, value="x"),), 0, True, None),
    ],
)
def test_a_pod_stays_as_long_as_it_tolerates(
    tolerations: tuple[core.Toleration, ...], ago_s: float, delete: bool, wait_s: float | None
) -> None:
    it = taint_eviction.Observed(pod("p", "n1", *tolerations), (taint(ago_s=ago_s),), NOW)
    plan = taint_eviction.decide(it, now=NOW)
    assert (plan.delete, plan.wait_s) == (delete, wait_s)


def test_one_taint_that_is_not_tolerated_is_enough() -> None:
    it = taint_eviction.Observed(pod("p", "n1", tolerating()), (taint(), taint("mine")), NOW)
    assert taint_eviction.decide(it, now=NOW).delete


def test_a_taint_without_a_time_counts_from_when_it_was_seen() -> None:
    bare = core.Taint(key=UNREACHABLE, effect="NoExecute")
    it = taint_eviction.Observed(pod("p", "n1", tolerating(seconds=30)), (bare,), NOW - timedelta(seconds=10))
    assert taint_eviction.decide(it, now=NOW).wait_s == 20


# ---- pods of nodes that are gone


def test_pods_of_a_missing_node_go_after_its_quarantine() -> None:
    assert pod_collector.decide(pod_collector.Observed(pod("p"), None)) == pod_collector.Plan()
    assert pod_collector.decide(pod_collector.Observed(pod("p"), 10.0)) == pod_collector.Plan(wait_s=30.0)
    assert pod_collector.decide(pod_collector.Observed(pod("p"), 41.0)).delete


def test_a_pod_that_was_never_placed_goes_when_it_is_deleted() -> None:
    leaving = pod("p", "")
    assert not pod_collector.decide(pod_collector.Observed(leaving, None)).delete
    leaving.metadata.deletion_timestamp.seconds = 1
    assert pod_collector.decide(pod_collector.Observed(leaving, None)).delete


# ---- the shells


def lease(name: str, second: int) -> coordination.Lease:
    made = coordination.Lease(metadata=meta.ObjectMeta(name=name, namespace="kube-node-lease"))
    made.spec.renew_time.seconds = second
    return made


async def test_silence_is_noticed_and_its_end_too(fake_api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_health, "GRACE_S", 1.0)
    await fake_api.put(node("alive"))
    await fake_api.put(node("n1"))
    await fake_api.put(pod("p"))

    async def beat(name: str) -> None:
        for second in range(1000):
            await fake_api.put(lease(name, second))
            if not node_health.is_ready(fake_api.find(core.Node, name)):
                await fake_api.put(node(name, taints=tuple(keys(fake_api.find(core.Node, name).spec.taints))))
            await asyncio.sleep(0.1)

    alive, silenced = asyncio.create_task(beat("alive")), asyncio.create_task(beat("n1"))
    async with running(fake_api, NodeLifecycleController()):
        await asyncio.sleep(1.5)
        assert node_health.is_ready(fake_api.find(core.Node, "n1"))
        silenced.cancel()
        await eventually(lambda: (UNREACHABLE, "NoExecute") in keys(fake_api.find(core.Node, "n1").spec.taints))
        await eventually(lambda: fake_api.find(core.Pod, "p", "default").status.conditions[0].status == "False")
        back = asyncio.create_task(beat("n1"))
        await eventually(lambda: not fake_api.find(core.Node, "n1").spec.taints)
        await eventually(lambda: {"RegisteredNode", "NodeNotReady"} <= {e.reason for e in fake_api.all(core.Event)})
        alive.cancel()
        back.cancel()


async def test_a_taint_that_is_put_evicts_the_pods_of_its_node(fake_api: Any) -> None:
    await fake_api.put(node("n1"))
    await fake_api.put(node("n2"))
    for made in (pod("goes"), pod("stays", "n1", tolerating("maintenance")), pod("elsewhere", "n2")):
        await fake_api.put(made)
    async with running(fake_api, TaintEvictionController()):
        await quiet(fake_api)
        await fake_api.put(node("n1", taints=(("maintenance", "NoExecute"),)))
        await eventually(lambda: len(fake_api.all(core.Pod)) == 2)
        assert {p.metadata.name for p in fake_api.all(core.Pod)} == {"stays", "elsewhere"}


async def test_pods_of_a_vanished_node_are_removed(fake_api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_collector, "QUARANTINE_S", 0.3)
    await fake_api.put(node("n1"))
    await fake_api.put(node("n2"))
    await fake_api.put(pod("orphan"))
    await fake_api.put(pod("fine", "n2"))
    async with running(fake_api, PodCollector()):
        await fake_api.remove(node("n1"))
        await eventually(lambda: len(fake_api.all(core.Pod)) == 1)
        assert fake_api.all(core.Pod)[0].metadata.name == "fine"
