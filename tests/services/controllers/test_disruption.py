"""How many pods of a budget may go, and that a budget's status says so."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.policy import v1 as policy
from raftsman.services.controllers import disruption_plan
from raftsman.services.controllers.disruption_plan import Observed, decide

NOW = 1_000_000.0


def a_pod(name: str, *, ready: bool = True, leaving: bool = False) -> core.Pod:
    pod = core.Pod(metadata=meta.ObjectMeta(name=name, namespace="default"))
    pod.status.conditions.add(type="Ready", status=str(ready))
    if leaving:
        pod.metadata.deletion_timestamp.seconds = int(NOW)
    return pod


def a_budget(*, least: int | str | None = None, missing: int | str | None = None) -> policy.PodDisruptionBudget:
    budget = policy.PodDisruptionBudget(metadata=meta.ObjectMeta(name="b", namespace="default", generation=3))
    for field, value in (("min_available", least), ("max_unavailable", missing)):
        if value is not None:
            target = getattr(budget.spec, field)
            target.CopyFrom(meta.IntOrString(type=0, int_val=value) if isinstance(value, int)
                            else meta.IntOrString(type=1, str_val=value))  # fmt: skip
    return budget


def status(
    budget: policy.PodDisruptionBudget, pods: Sequence[core.Pod], **scales: int
) -> policy.PodDisruptionBudgetStatus:
    found = decide(Observed(budget, pods, scales), now=NOW).status
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("budget", "ready", "unready", "scale", "desired", "allowed"),
    [
        (a_budget(least=2), 3, 0, 0, 2, 1),
        (a_budget(least=3), 3, 0, 0, 3, 0),
        (a_budget(least=2), 1, 2, 0, 2, 0),
        (a_budget(least="50%"), 3, 0, 5, 3, 0),
        (a_budget(least="50%"), 4, 0, 5, 3, 1),
        (a_budget(missing=1), 3, 0, 3, 2, 1),
        (a_budget(missing=1), 2, 1, 3, 2, 0),
        (a_budget(missing="30%"), 10, 0, 10, 7, 3),
        (a_budget(missing="100%"), 2, 0, 2, 0, 2),
        (a_budget(missing=5), 2, 0, 2, 0, 2),
        (a_budget(missing=0), 2, 0, 2, 2, 0),
        (a_budget(least=0), 0, 0, 0, 0, 0),
    ],
)
def test_what_may_go(
    budget: policy.PodDisruptionBudget, ready: int, unready: int, scale: int, desired: int, allowed: int
) -> None:
    pods = [a_pod(f"r{n}") for n in range(ready)] + [a_pod(f"u{n}", ready=False) for n in range(unready)]
    found = status(budget, pods, owner=scale)
    assert (found.desired_healthy, found.disruptions_allowed) == (desired, allowed)
    assert found.current_healthy == ready
    assert found.observed_generation == 3
    (condition,) = found.conditions
    assert (condition.type, condition.status) == ("DisruptionAllowed", str(allowed > 0))


def test_a_pod_that_is_leaving_or_granted_is_not_healthy() -> None:
    budget = a_budget(least=1)
    budget.status.disrupted_pods["granted"].seconds = int(NOW) - 5
    found = status(budget, [a_pod("leaving", leaving=True), a_pod("granted"), a_pod("stays")])
    assert (found.current_healthy, found.disruptions_allowed) == (1, 0)
    assert list(found.disrupted_pods) == ["granted"]


def test_a_grant_that_led_to_nothing_is_forgotten_in_time() -> None:
    budget = a_budget(least=1)
    for name, ago in (("old", disruption_plan.DISRUPTED_S + 1), ("new", 20), ("gone", 20)):
        budget.status.disrupted_pods[name].seconds = int(NOW - ago)
    plan = decide(Observed(budget, [a_pod("old"), a_pod("new")], {}), now=NOW)
    assert plan.status is not None
    assert list(plan.status.disrupted_pods) == ["new"]
    assert plan.look_again_s == pytest.approx(disruption_plan.DISRUPTED_S - 20)


def test_a_status_that_is_right_is_not_written_again() -> None:
    budget, pods = a_budget(least=1), [a_pod("a"), a_pod("b")]
    budget.status.CopyFrom(status(budget, pods))
    assert decide(Observed(budget, pods, {}), now=NOW + 100).status is None


def test_what_cannot_be_told_allows_nothing() -> None:
    budget = a_budget(missing=1)
    budget.status.disruptions_allowed = 4
    found = disruption_plan.failed(budget, "nobody knows", now=NOW)
    assert found.disruptions_allowed == 0
    assert [(one.reason, one.message) for one in found.conditions] == [("SyncFailed", "nobody knows")]
