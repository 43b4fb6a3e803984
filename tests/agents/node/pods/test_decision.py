"""What is done next for a pod: observed in, plan out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raftsman import times
from raftsman.agents.node.pods import fingerprint, status
from raftsman.agents.node.pods.decision import (
    Abort,
    Finish,
    Plan,
    Prepare,
    Remove,
    Start,
    Stop,
    Teardown,
    Why,
    decide,
)
from raftsman.agents.node.pods.observation import Backoff, Fault, Health, Kind, Observed
from raftsman.agents.node.runtime import Phase
from raftsman.core import v1 as core

from .builders import NOW, SANDBOX, ago, deleted, ended, observed, pod, run

NOTHING = Observed()


def plan_of(made: core.Pod, seen: Observed) -> Plan:
    return decide(made, seen, now=NOW)


def started(plan: Plan) -> list[tuple[str, int]]:
    return [(a.name, a.attempt) for a in plan.actions if isinstance(a, Start)]


def test_a_new_pod_gets_a_sandbox_first() -> None:
    assert plan_of(pod(), NOTHING) == Plan((Prepare(),))


def test_a_pod_waits_for_the_nodes_network_unless_it_uses_the_hosts() -> None:
    waiting = replace(NOTHING, network_ready=False)
    assert plan_of(pod(), waiting) == Plan()
    on_host = pod()
    on_host.spec.host_network = True
    assert plan_of(on_host, waiting) == Plan((Prepare(),))


def test_main_containers_start_together_once_the_sandbox_is_there() -> None:
    assert started(plan_of(pod("a", "b"), observed())) == [("a", 0), ("b", 0)]


def test_nothing_is_done_while_everything_runs() -> None:
    assert plan_of(pod(), observed(run())) == Plan()


def test_a_start_that_is_under_way_is_not_started_again() -> None:
    assert plan_of(pod(), observed(busy=frozenset({"web"}))) == Plan()


def test_init_containers_run_one_after_the_other() -> None:
    made = pod(inits=("a", "b"))
    assert started(plan_of(made, observed())) == [("a", 0)]
    assert started(plan_of(made, observed(run("a")))) == []
    assert started(plan_of(made, observed(ended(run("a"))))) == [("b", 0)]
    assert started(plan_of(made, observed(ended(run("a")), ended(run("b"))))) == [("web", 0)]


def test_a_failed_init_container_is_run_again_after_its_back_off() -> None:
    made = pod(inits=("a",))
    seen = observed(ended(run("a"), 1, ago_s=3), backoffs={"a": Backoff(10.0)})
    assert plan_of(made, seen) == Plan(wake_at=NOW + timedelta(seconds=7))
    later = observed(ended(run("a"), 1, ago_s=10), backoffs={"a": Backoff(10.0)})
    assert started(plan_of(made, later)) == [("a", 1)]


def test_a_failed_init_container_ends_a_pod_that_never_restarts() -> None:
    made = pod(inits=("a",), policy="Never")
    assert started(plan_of(made, observed(ended(run("a"), 1)))) == []


def test_init_containers_are_not_run_again_beside_main_containers() -> None:
    made = pod(inits=("a",))
    assert plan_of(made, observed(run("web"))) == Plan()


def test_a_sidecar_counts_as_done_once_it_has_started() -> None:
    made = pod(sidecars=("s",))
    made.spec.init_containers[0].startup_probe.period_seconds = 1
    side = run("s")
    assert started(plan_of(made, observed(side))) == []
    assert started(plan_of(made, observed(side, health={side.id: Health(started=True)}))) == [("web", 0)]


def test_a_sidecar_that_ends_is_restarted_whatever_the_policy() -> None:
    made = pod(sidecars=("s",), policy="Never")
    assert started(plan_of(made, observed(ended(run("s"), 0), run("web")))) == [("s", 1)]


@pytest.mark.parametrize(
    ("policy", "code", "restarted"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 0, False),
        ("Never", 1, False),
    ],
)
def test_restart_policies(policy: str, code: int, restarted: bool) -> None:
    plan = plan_of(pod("web", "other", policy=policy), observed(ended(run("web"), code), run("other")))
    assert started(plan) == ([("web", 1)] if restarted else [])


def test_a_container_that_ran_long_is_restarted_at_once() -> None:
    steady = replace(ended(run("web", attempt=4), 1), started_at=ago(700))
    steady = replace(steady, exit=replace(steady.exit, started_at=ago(700)))  # type: ignore[type-var]
    assert started(plan_of(pod(), observed(steady, backoffs={"web": Backoff(300.0)}))) == [("web", 5)]


def test_an_unhealthy_container_is_stopped_with_the_probes_own_grace() -> None:
    web = run()
    sick = observed(web, health={web.id: Health(failure="Container web failed liveness probe", grace_s=3)})
    (action,) = plan_of(pod(), sick).actions
    assert action == Stop(web.id, "web", 3.0, Why.UNHEALTHY, "Container web failed liveness probe")
    assert plan_of(pod(), replace(sick, stopping=frozenset({web.id}))) == Plan()


def test_a_container_whose_image_changed_is_replaced() -> None:
    made = pod()
    made.spec.containers[0].image = "img:2"
    (action,) = plan_of(made, observed(run())).actions
    assert isinstance(action, Stop)
    assert action.why is Why.CHANGED


def test_containers_of_a_lost_sandbox_are_stopped_and_the_pod_begins_again() -> None:
    stale = run(sandbox=replace(SANDBOX, created_at=ago(9999)))
    (action,) = plan_of(pod(), observed(stale)).actions
    assert isinstance(action, Stop)
    assert action.why is Why.STALE
    assert plan_of(pod(), observed(ended(stale), sandbox=None)) == Plan((Prepare(),))
    assert started(plan_of(pod(inits=("a",)), observed(ended(stale)))) == [("a", 0)]


def test_a_container_that_the_api_knows_and_the_node_does_not_counts_one_restart_more() -> None:
    made = pod()
    made.status.container_statuses.add(name="web", container_id="podman://gone", restart_count=2)
    assert started(plan_of(made, observed())) == [("web", 3)]


def test_a_lost_container_of_a_pod_that_never_restarts_has_failed() -> None:
    made = pod(policy="Never")
    made.status.phase = "Running"
    made.status.container_statuses.add(name="web", container_id="podman://gone")
    assert started(plan_of(made, observed())) == []


def test_only_the_newest_dead_run_is_kept() -> None:
    seen = observed(ended(run(attempt=0)), ended(run(attempt=1)), run(attempt=2))
    assert plan_of(pod(), seen).actions == (Remove("web-0"),)


def test_a_fault_is_retried_when_its_delay_is_over() -> None:
    fault = Fault("CreateContainerConfigError", "no such secret", ago(1), 4.0)
    assert plan_of(pod(), observed(faults={"web": fault})) == Plan(wake_at=NOW + timedelta(seconds=3))
    assert started(plan_of(pod(), observed(faults={"web": replace(fault, since=ago(4))}))) == [("web", 0)]


def test_a_failed_sandbox_is_retried_when_its_delay_is_over() -> None:
    fault = Fault("FailedMount", "no", ago(1), 2.0)
    waiting = replace(NOTHING, faults={"": fault})
    assert plan_of(pod(), waiting) == Plan(wake_at=NOW + timedelta(seconds=1))
    assert plan_of(pod(), replace(waiting, faults={"": replace(fault, since=ago(2))})) == Plan((Prepare(),))


def test_a_deleted_pod_stops_its_containers_within_what_is_left_of_its_grace() -> None:
    (action,) = plan_of(deleted(pod(), grace_s=30, ago_s=20), observed(run())).actions
    assert isinstance(action, Stop)
    assert action.grace_s == pytest.approx(11.0)


def test_a_deleted_pod_gives_up_starts_first_then_stops_then_gives_back_then_goes() -> None:
    made = deleted(pod())
    assert plan_of(made, observed(busy=frozenset({"web"}))) == Plan((Abort(),))
    assert [type(a) for a in plan_of(made, observed(run())).actions] == [Stop]
    assert plan_of(made, observed(ended(run()))) == Plan((Teardown(),))
    assert plan_of(made, NOTHING) == Plan((Finish(),))


def test_sidecars_outlive_main_containers_and_end_in_reverse() -> None:
    made = deleted(pod(sidecars=("s", "t")))
    first = plan_of(made, observed(run("s"), run("t"), run("web"))).actions
    assert [a.name for a in first if isinstance(a, Stop)] == ["web"]
    second = plan_of(made, observed(run("s"), run("t"), ended(run("web")))).actions
    assert [a.name for a in second if isinstance(a, Stop)] == ["t"]


def test_a_pod_past_its_deadline_is_ended() -> None:
    made = pod()
    made.spec.active_deadline_seconds = 10
    made.status.start_time.CopyFrom(times.from_datetime(ago(4)))
    assert plan_of(made, observed(run())) == Plan(wake_at=NOW + timedelta(seconds=6))
    made.status.start_time.CopyFrom(times.from_datetime(ago(11)))
    (action,) = plan_of(made, observed(run())).actions
    assert isinstance(action, Stop)
    assert action.why is Why.DEADLINE


def test_an_ended_pod_is_given_back_only_once_the_api_knows() -> None:
    made = pod(policy="Never")
    seen = observed(ended(run()))
    assert plan_of(made, seen) == Plan()
    made.status.phase = "Succeeded"
    assert plan_of(made, seen) == Plan((Teardown(),))
    assert plan_of(made, NOTHING) == Plan()


def test_a_pod_that_is_gone_from_the_api_is_ended_on_the_node() -> None:
    seen = observed(run(), doomed="deleted from the API")
    assert [type(a) for a in plan_of(pod(), seen).actions] == [Stop]
    assert plan_of(pod(), replace(NOTHING, doomed="gone")) == Plan((Finish(),))


def test_a_container_that_was_created_and_never_started_is_made_again() -> None:
    half = replace(run(), phase=Phase.CREATED)
    assert plan_of(pod(), observed(half)) == Plan((Remove(half.id),))


@given(
    policy=st.sampled_from(("Always", "OnFailure", "Never")),
    codes=st.lists(st.none() | st.integers(0, 255), min_size=1, max_size=4),
    inits=st.integers(0, 2),
    prepared=st.booleans(),
    dying=st.booleans(),
)
def test_whatever_is_seen_no_container_is_both_started_and_stopped(
    policy: str, codes: list[int | None], inits: int, prepared: bool, dying: bool
) -> None:
    names = [f"c{i}" for i in range(len(codes))]
    made = pod(*names, inits=[f"i{i}" for i in range(inits)], policy=policy)
    if dying:
        deleted(made)
    runs = [run(n) if c is None else ended(run(n), c) for n, c in zip(names, codes, strict=True)]
    plan = plan_of(made, observed(*runs, prepared=prepared))
    starts = {a.name for a in plan.actions if isinstance(a, Start)}
    stops = {a.name for a in plan.actions if isinstance(a, Stop)}
    assert not starts & stops
    assert not (dying and starts)
    assert all(a.kind is Kind.MAIN for a in plan.actions if isinstance(a, Start))


def test_a_changed_image_is_tried_at_once_whatever_the_old_one_waits_for() -> None:
    made = pod()
    fault = Fault("ErrImagePull", "no such tag", ago(1), 300.0, fingerprint.of(made.spec.containers[0]))
    assert started(plan_of(made, observed(faults={"web": fault}))) == []
    crashed = observed(ended(run(), 1), backoffs={"web": Backoff(300.0)})
    assert started(plan_of(made, crashed)) == []
    made.spec.containers[0].image = "img:2"
    assert started(plan_of(made, observed(faults={"web": fault}))) == [("web", 0)]
    assert started(plan_of(made, crashed)) == [("web", 1)]


def test_an_evicted_pod_is_stopped_soon_and_then_given_back() -> None:
    seen = observed(run(), evicted="too large")
    (action,) = plan_of(pod(), seen).actions
    assert isinstance(action, Stop)
    assert (action.why, action.grace_s) == (Why.EVICTED, 1.0)
    made = pod()
    made.status.phase = "Failed"
    assert plan_of(made, observed(ended(run(), 137), evicted="too large")) == Plan((Teardown(),))


def test_an_ephemeral_container_is_started_once_and_decides_nothing() -> None:
    made = pod(inits=("first",))
    made.spec.ephemeral_containers.add().ephemeral_container_common.name = "debug"
    assert started(plan_of(made, observed())) == [("first", 0), ("debug", 0)]
    over = observed(run(), ended(run("debug"), 1))
    assert plan_of(made, over) == Plan()
    assert status.compute(made, over, now=NOW).phase == "Running"
    assert plan_of(deleted(made), observed(run("debug"))).actions == (Stop("debug-0", "debug", 30.0, Why.DELETED),)
