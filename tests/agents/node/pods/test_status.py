"""Pods' statuses, computed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from raftsman import times
from raftsman.agents.node.pods import status
from raftsman.agents.node.pods.observation import Backoff, Fault, Health, Observed
from raftsman.core import v1 as core

from .builders import NOW, ago, deleted, ended, observed, pod, run


def status_of(made: core.Pod, seen: Observed) -> core.PodStatus:
    return status.compute(made, seen, now=NOW)


def condition(found: core.PodStatus, kind: str) -> core.PodCondition:
    return next(c for c in found.conditions if c.type == kind)


def test_a_pod_that_is_being_prepared_is_pending_and_says_what_it_waits_for() -> None:
    found = status_of(pod(), Observed(host_ip="192.0.2.1"))
    assert found.phase == "Pending"
    assert found.container_statuses[0].state.waiting.reason == "ContainerCreating"
    assert condition(found, "PodReadyToStartContainers").status == "False"
    assert condition(found, "Initialized").status == "True"
    assert condition(found, "Ready").message == "containers with unready status: [web]"
    assert found.qos_class == "BestEffort"
    assert found.host_ips[0].ip == "192.0.2.1"


def test_main_containers_wait_with_pod_initializing_behind_init_containers() -> None:
    found = status_of(pod(inits=("a",)), observed(run("a")))
    assert found.init_container_statuses[0].state.HasField("running")
    assert found.container_statuses[0].state.waiting.reason == "PodInitializing"
    assert condition(found, "Initialized").message == "containers with incomplete status: [a]"
    assert found.phase == "Pending"


def test_a_running_pod_is_ready_and_has_its_addresses() -> None:
    found = status_of(pod(), observed(run()))
    assert found.phase == "Running"
    assert (found.pod_ip, [ip.ip for ip in found.pod_ips]) == ("10.244.0.7", ["10.244.0.7"])
    assert {c.type: c.status for c in found.conditions} == {
        "PodScheduled": "True",
        "PodReadyToStartContainers": "True",
        "Initialized": "True",
        "ContainersReady": "True",
        "Ready": "True",
    }
    (one,) = found.container_statuses
    assert (one.ready, one.started, one.restart_count, one.container_id) == (True, True, 0, "podman://web-0")


def test_a_pod_on_the_host_network_has_the_nodes_address() -> None:
    made = pod()
    made.spec.host_network = True
    assert status_of(made, observed(run())).pod_ip == "192.0.2.1"


def test_a_container_with_a_readiness_probe_is_not_ready_until_it_passes() -> None:
    made = pod()
    made.spec.containers[0].readiness_probe.period_seconds = 1
    web = run()
    assert not status_of(made, observed(web)).container_statuses[0].ready
    assert status_of(made, observed(web, health={web.id: Health()})).container_statuses[0].ready


def test_a_container_that_has_not_started_is_not_ready() -> None:
    made = pod()
    made.spec.containers[0].startup_probe.period_seconds = 1
    (one,) = status_of(made, observed(run())).container_statuses
    assert (one.started, one.ready) == (False, False)


def test_readiness_gates_of_others_are_respected_and_kept() -> None:
    made = pod()
    made.spec.readiness_gates.add(condition_type="example.com/lb")
    found = status_of(made, observed(run()))
    assert condition(found, "Ready").reason == "ReadinessGatesNotReady"
    made.status.conditions.add(type="example.com/lb", status="True")
    found = status_of(made, observed(run()))
    assert condition(found, "Ready").status == "True"
    assert condition(found, "example.com/lb").status == "True"


def test_a_crashing_container_says_so_with_its_last_end() -> None:
    seen = observed(ended(run(attempt=3), 3), backoffs={"web": Backoff(40.0)}, messages={"web-3": "bye"})
    found = status_of(pod(), seen)
    (one,) = found.container_statuses
    assert one.state.waiting.reason == "CrashLoopBackOff"
    assert one.state.waiting.message == "back-off 40s restarting failed container=web pod=web_default(uid-1)"
    last = one.last_state.terminated
    assert (last.exit_code, last.reason, last.message) == (3, "Error", "bye")
    assert one.restart_count == 3
    assert found.phase == "Running"


def test_a_restarted_container_shows_the_end_before() -> None:
    (one,) = status_of(pod(), observed(ended(run(attempt=0), 137, oom=True), run(attempt=1))).container_statuses
    assert one.state.HasField("running")
    last = one.last_state.terminated
    assert (last.reason, last.exit_code, last.signal) == ("OOMKilled", 137, 9)


@pytest.mark.parametrize(("since_s", "reason"), [(1.0, "ErrImagePull"), (4.0, "ImagePullBackOff")])
def test_a_failed_pull_is_shown_as_such_and_then_as_a_back_off(since_s: float, reason: str) -> None:
    fault = Fault("ErrImagePull", "no route", ago(since_s), 10.0)
    (one,) = status_of(pod(), observed(faults={"web": fault})).container_statuses
    assert one.state.waiting.reason == reason
    assert "no route" in one.state.waiting.message


@pytest.mark.parametrize(
    ("policy", "codes", "phase"),
    [
        ("Never", (0, 0), "Succeeded"),
        ("Never", (0, 1), "Failed"),
        ("OnFailure", (0, 0), "Succeeded"),
        ("OnFailure", (0, 1), "Running"),
        ("Always", (0, 0), "Running"),
    ],
)
def test_phases_by_restart_policy(policy: str, codes: tuple[int, int], phase: str) -> None:
    seen = observed(ended(run("a"), codes[0]), ended(run("b"), codes[1]))
    assert status_of(pod("a", "b", policy=policy), seen).phase == phase


def test_a_failed_init_container_fails_a_pod_that_never_restarts() -> None:
    found = status_of(pod(inits=("a",), policy="Never"), observed(ended(run("a"), 2)))
    assert found.phase == "Failed"
    assert found.container_statuses[0].state.HasField("waiting")


def test_a_completed_pod_is_not_ready_with_pod_completed() -> None:
    found = status_of(pod(policy="Never"), observed(ended(run())))
    assert condition(found, "Ready").reason == "PodCompleted"
    assert found.container_statuses[0].state.terminated.reason == "Completed"


def test_a_pod_past_its_deadline_fails_with_the_reason() -> None:
    made = pod()
    made.spec.active_deadline_seconds = 5
    made.status.start_time.CopyFrom(times.from_datetime(ago(9)))
    found = status_of(made, observed(ended(run(), 143)))
    assert (found.phase, found.reason) == ("Failed", "DeadlineExceeded")


def test_a_deleted_pod_ends_by_how_its_containers_did() -> None:
    made = deleted(pod())
    made.status.phase = "Running"
    assert status_of(made, observed(run())).phase == "Running"
    assert status_of(made, observed(ended(run(), 0))).phase == "Succeeded"
    assert status_of(made, observed(ended(run(), 143))).phase == "Failed"


def test_an_ended_pod_never_comes_back_to_life() -> None:
    made = pod(policy="Never")
    made.status.CopyFrom(status_of(made, observed(ended(run(), 1))))
    assert made.status.phase == "Failed"
    assert status_of(made, Observed()) == made.status


def test_a_lost_container_keeps_its_id_and_its_end_until_it_is_started_again() -> None:
    made = pod()
    made.status.CopyFrom(status_of(made, observed(run(attempt=2))))
    first = status_of(made, observed())
    (one,) = first.container_statuses
    assert (one.restart_count, one.container_id) == (2, "podman://web-2")
    assert one.last_state.terminated.reason == "ContainerStatusUnknown"
    made.status.CopyFrom(first)
    assert status_of(made, observed()).container_statuses[0] == one


def test_nothing_new_to_say_is_an_equal_status_later() -> None:
    made = pod()
    made.status.CopyFrom(status_of(made, observed(run())))
    assert status.compute(made, observed(run()), now=NOW + timedelta(minutes=3)) == made.status


def test_transition_times_move_only_with_the_condition() -> None:
    made = pod()
    made.status.CopyFrom(status_of(made, observed(run())))
    later = NOW + timedelta(minutes=3)
    found = status.compute(made, observed(ended(run(), 1)), now=later)
    assert condition(found, "Ready").last_transition_time == times.from_datetime(later)
    assert condition(found, "PodScheduled").last_transition_time == times.from_datetime(NOW)


def test_a_failed_start_shows_its_reason_beside_the_last_end() -> None:
    fault = Fault("RunContainerError", "no such file", ago(1), 10.0)
    seen = replace(observed(ended(run(), 1)), faults={"web": fault})
    (one,) = status_of(pod(), seen).container_statuses
    assert (one.state.waiting.reason, one.last_state.terminated.exit_code) == ("RunContainerError", 1)


def test_an_evicted_pod_fails_with_the_reason_once_it_has_stopped() -> None:
    made = pod()
    made.status.phase = "Running"
    assert status_of(made, observed(run(), evicted="too large")).phase == "Running"
    found = status_of(made, observed(ended(run(), 137), evicted="too large"))
    assert (found.phase, found.reason, found.message) == ("Failed", "Evicted", "too large")


def test_a_pod_that_is_cut_short_fails_even_if_its_containers_end_well() -> None:
    found = status_of(pod(), observed(ended(run(), 0), evicted="too large"))
    assert (found.phase, found.reason) == ("Failed", "Evicted")


def test_a_pod_that_asks_for_what_no_node_has_fails_before_it_starts() -> None:
    why = "spec.hostUsers is not supported yet: it needs user namespaces in the node agent"
    found = status_of(pod(), observed(evicted=why, evicted_as="UnsupportedPodSpec"))
    assert (found.phase, found.reason, found.message) == ("Failed", "UnsupportedPodSpec", why)
