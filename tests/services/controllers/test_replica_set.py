"""A ReplicaSet's decision: how many pods are made, which are lost, whose they are, and what the status says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raftsman import metadata
from raftsman.apps import v1 as apps
from raftsman.core import v1 as core
from raftsman.metadata import Key
from raftsman.services.controllers.replica_set_expectations import EXPECTATION_S, Expectations
from raftsman.services.controllers.replica_set_plan import BURST_MAX, Observed, decide
from raftsman.services.controllers.replica_set_status import Failure, note_failure

EPOCH = 1_700_000_000
NOW = datetime.fromtimestamp(EPOCH, UTC)


def replica_set(replicas: int = 3, *, min_ready_s: int = 0) -> apps.ReplicaSet:
    found = apps.ReplicaSet()
    found.metadata.name, found.metadata.namespace, found.metadata.uid = "web", "default", "rs-1"
    found.metadata.generation = 4
    found.spec.replicas, found.spec.min_ready_seconds = replicas, min_ready_s
    found.spec.selector.match_labels["app"] = "web"
    found.spec.template.metadata.labels["app"] = "web"
    return found


def pod(
    name: str,
    *,
    owner: apps.ReplicaSet | None = None,
    node: str = "n1",
    phase: str = "Running",
    ready_s: int | None = 100,
    born_s: int = 200,
    restarts: int = 0,
    cost: str = "",
    app: str = "web",
    deleting: bool = False,
) -> core.Pod:
    """`ready_s`: for how many seconds it has been ready, None if it is not."""
    found = core.Pod()
    found.metadata.name, found.metadata.namespace, found.metadata.uid = name, "default", f"uid-{name}"
    found.metadata.labels["app"] = app
    found.metadata.creation_timestamp.seconds = EPOCH - born_s
    if cost:
        found.metadata.annotations["controller.kubernetes.io/pod-deletion-cost"] = cost
    if owner is not None:
        found.metadata.owner_references.append(metadata.owner_reference(owner))
    if deleting:
        found.metadata.deletion_timestamp.seconds = EPOCH
    found.spec.node_name = node
    found.status.phase = phase
    found.status.container_statuses.add(name="c", restart_count=restarts)
    ready = found.status.conditions.add(type="Ready", status="False" if ready_s is None else "True")
    ready.last_transition_time.seconds = EPOCH - (ready_s or 0)
    return found


def look(observed: Observed) -> apps.ReplicaSetStatus:
    status = decide(observed, now=NOW).status
    assert status is not None
    return status


def names(pods: tuple[core.Pod, ...]) -> list[str]:
    return [found.metadata.name for found in pods]


def test_missing_pods_are_created() -> None:
    rs = replica_set(3)
    assert decide(Observed(rs, (pod("a", owner=rs),)), now=NOW).create == 2


def test_a_set_that_says_no_number_has_one_pod() -> None:
    rs = replica_set(0)
    rs.spec.ClearField("replicas")
    assert decide(Observed(rs, ()), now=NOW).create == 1


def test_a_thousand_missing_pods_come_in_bursts() -> None:
    assert decide(Observed(replica_set(1000), ()), now=NOW).create == BURST_MAX


def test_finished_and_terminating_pods_are_replaced_and_not_counted() -> None:
    rs = replica_set(2)
    pods = (
        pod("done", owner=rs, phase="Failed"),
        pod("leaving", owner=rs, deleting=True),
        pod("here", owner=rs),
    )
    plan = decide(Observed(rs, pods), now=NOW)
    assert plan.create == 1
    status = look(Observed(rs, pods))
    assert (status.replicas, status.terminating_replicas) == (1, 1)
    assert plan.release == ()


def test_a_complete_set_needs_nothing() -> None:
    rs = replica_set(1)
    plan = decide(Observed(rs, (pod("a", owner=rs),)), now=NOW)
    assert (plan.create, plan.delete, plan.adopt, plan.release, plan.requeue_after_s) == (0, (), (), (), None)


def test_while_own_writes_are_unseen_nothing_is_created_deleted_or_counted() -> None:
    plan = decide(Observed(replica_set(3), (), settled=False), now=NOW)
    assert (plan.create, plan.delete, plan.status, plan.requeue_after_s) == (0, (), None, EXPECTATION_S)


def test_a_set_on_its_way_out_only_reports() -> None:
    rs = replica_set(3)
    rs.metadata.deletion_timestamp.seconds = EPOCH
    observed = Observed(rs, (pod("stray"), pod("mine", owner=rs)))
    plan = decide(observed, now=NOW)
    assert (plan.create, plan.adopt, look(observed).replicas) == (0, (), 1)


def test_an_orphan_that_matches_is_adopted_and_counted() -> None:
    rs = replica_set(1)
    plan = decide(Observed(rs, (pod("stray"),)), now=NOW)
    assert names(plan.adopt) == ["stray"]
    assert plan.create == 0


def test_a_pod_of_another_owner_is_left_alone() -> None:
    other = replica_set(1)
    other.metadata.uid = "rs-2"
    plan = decide(Observed(replica_set(1), (pod("theirs", owner=other),)), now=NOW)
    assert (plan.adopt, plan.create) == ((), 1)


def test_a_pod_that_no_longer_matches_is_released_and_replaced() -> None:
    rs = replica_set(1)
    plan = decide(Observed(rs, (pod("debug", owner=rs, app="debug"),)), now=NOW)
    assert names(plan.release) == ["debug"]
    assert plan.create == 1


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ({"node": ""}, {"phase": "Pending", "ready_s": None}),
        ({"phase": "Pending", "ready_s": None}, {"phase": "Unknown", "ready_s": None}),
        ({"phase": "Unknown", "ready_s": None}, {"ready_s": None}),
        ({"ready_s": None}, {"cost": "-100"}),
        ({"cost": "-1", "ready_s": 900}, {"cost": "1", "ready_s": 1}),
        ({"ready_s": 10}, {"ready_s": 60}),
        ({"restarts": 3}, {"restarts": 0}),
        ({"born_s": 100}, {"born_s": 900}),
        ({"cost": "no number", "born_s": 1}, {"cost": "0", "born_s": 2}),
    ],
)
def test_the_pod_that_costs_least_goes_first(first: dict[str, object], last: dict[str, object]) -> None:
    rs = replica_set(1)
    pods = (pod("last", owner=rs, **last), pod("first", owner=rs, **first))  # type: ignore[arg-type]
    assert names(decide(Observed(rs, pods), now=NOW).delete) == ["first"]


def test_of_two_nodes_the_crowded_one_loses_a_pod() -> None:
    rs, sibling = replica_set(1), replica_set(1)
    sibling.metadata.uid = "rs-2"
    pods = (pod("alone", owner=rs, node="n1", ready_s=1), pod("crowded", owner=rs, node="n2", ready_s=900))
    siblings = (pod("s1", owner=sibling, node="n2"), pod("s2", owner=sibling, node="n2"))
    assert names(decide(Observed(rs, pods, siblings), now=NOW).delete) == ["crowded"]


def test_available_counts_only_pods_that_were_ready_for_long_enough() -> None:
    rs = replica_set(3, min_ready_s=30)
    pods = (pod("old", owner=rs, ready_s=31), pod("new", owner=rs, ready_s=20), pod("not", owner=rs, ready_s=None))
    plan = decide(Observed(rs, pods), now=NOW)
    assert plan.requeue_after_s == 10
    status = look(Observed(rs, pods))
    assert (status.replicas, status.ready_replicas, status.available_replicas) == (3, 2, 1)
    assert status.observed_generation == 4


def test_fully_labelled_counts_pods_with_all_labels_of_the_template() -> None:
    rs = replica_set(1)
    rs.spec.template.metadata.labels["tier"] = "front"
    assert look(Observed(rs, (pod("a", owner=rs),))).fully_labeled_replicas == 0


def test_a_failure_keeps_its_first_time_and_goes_when_it_is_over() -> None:
    status = apps.ReplicaSetStatus()
    note_failure(status, Failure("FailedCreate", "quota"), now=NOW)
    note_failure(status, Failure("FailedCreate", "later"), now=datetime.fromtimestamp(EPOCH + 60, UTC))
    (condition,) = status.conditions
    assert (condition.type, condition.status, condition.reason) == ("ReplicaFailure", "True", "FailedCreate")
    assert (condition.message, condition.last_transition_time.seconds) == ("quota", EPOCH)
    note_failure(status, None, now=NOW)
    assert not status.conditions


def test_a_count_is_trusted_when_all_creations_were_seen() -> None:
    expectations, key = Expectations(), Key("default", "web")
    assert expectations.settled(key, now=0)
    expectations.expect_creations(key, 3, now=0)
    expectations.saw_creation(key)
    assert not expectations.settled(key, now=0)
    expectations.expect_creations(key, -2, now=0)
    assert expectations.settled(key, now=0)


def test_a_lost_event_stops_nothing_for_ever() -> None:
    expectations, key = Expectations(), Key("default", "web")
    expectations.expect_deletions(key, ["u1"], now=0)
    assert not expectations.settled(key, now=EXPECTATION_S - 1)
    assert expectations.settled(key, now=EXPECTATION_S)


def test_a_deletion_is_seen_once_per_pod() -> None:
    expectations, key = Expectations(), Key("default", "web")
    expectations.expect_deletions(key, ["u1", "u2"], now=0)
    expectations.saw_deletion(key, "u1")
    expectations.saw_deletion(key, "u1")
    assert not expectations.settled(key, now=0)
    expectations.saw_deletion(key, "u2")
    assert expectations.settled(key, now=0)


def test_pods_that_are_being_lost_count_no_more() -> None:
    rs = replica_set(1)
    pods = (pod("a", owner=rs), pod("b", owner=rs), pod("c", owner=rs))
    status = look(Observed(rs, pods))
    assert (status.replicas, status.ready_replicas, status.available_replicas) == (1, 1, 1)


@given(st.integers(0, 20), st.lists(st.sampled_from(["ready", "pending", "failed", "leaving", "orphan"]), max_size=20))
def test_carrying_out_a_plan_leaves_exactly_the_wanted_number(wanted: int, kinds: list[str]) -> None:
    rs = replica_set(wanted)
    pods = tuple(
        pod(
            f"p{number}",
            owner=None if kind == "orphan" else rs,
            phase={"pending": "Pending", "failed": "Failed"}.get(kind, "Running"),
            deleting=kind == "leaving",
        )
        for number, kind in enumerate(kinds)
    )
    plan = decide(Observed(rs, pods), now=NOW)
    active = sum(kind in ("ready", "pending", "orphan") for kind in kinds)
    assert active + plan.create - len(plan.delete) == wanted
    assert not (plan.create and plan.delete)
