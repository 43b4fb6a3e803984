"""Disruption budgets and priority classes."""

from __future__ import annotations

import pytest
from raftsman.policy import v1 as policy
from raftsman.scheduling import v1 as scheduling

from tests.services.apiserver.strategies import changed, created, kind, observed, wrong


def a_budget(spec: str, status: str = "{}") -> str:
    return f"""
    apiVersion: policy/v1
    kind: PodDisruptionBudget
    metadata: {{name: web}}
    spec: {spec}
    status: {status}
    """


@pytest.mark.parametrize(
    ("spec", "refused"),
    [
        ("{minAvailable: 1}", {}),
        ("{maxUnavailable: 30%}", {}),
        ("{minAvailable: -1}", {"spec.minAvailable": "Invalid value: -1: must be greater than or equal to 0"}),
        ("{maxUnavailable: 130%}", {"spec.maxUnavailable": 'Invalid value: "130%": must not be greater than 100%'}),
        (
            "{maxUnavailable: 1, unhealthyPodEvictionPolicy: Never}",
            {
                "spec.unhealthyPodEvictionPolicy": (
                    'Unsupported value: "Never": supported values: "AlwaysAllow", "IfHealthyBudget"'
                )
            },
        ),
    ],
)
def test_the_amounts_of_a_budget(spec: str, refused: dict[str, str]) -> None:
    assert wrong(policy.PodDisruptionBudget, a_budget(spec)) == refused


def test_a_budget_says_one_of_the_two() -> None:
    assert wrong(policy.PodDisruptionBudget, a_budget("{minAvailable: 1, maxUnavailable: 1}")).keys() == {"spec"}


def test_a_budget_is_only_updated_by_who_has_seen_it() -> None:
    assert not kind(policy.PodDisruptionBudget).unconditional_update


def test_the_conditions_of_a_budget_are_complete() -> None:
    before = a_budget("{minAvailable: 1}")
    after = a_budget("{minAvailable: 1}", "{disruptionsAllowed: -1, conditions: [{type: A, status: Maybe}]}")
    assert observed(policy.PodDisruptionBudget, before, after) == {
        "status.disruptionsAllowed": "Invalid value: -1: must be greater than or equal to 0",
        "status.conditions[0].status": 'Unsupported value: "Maybe": supported values: "False", "True", "Unknown"',
        "status.conditions[0].lastTransitionTime": "Required value: must be set",
        "status.conditions[0].reason": "Required value: must be set",
    }


def a_priority(name: str, rest: str) -> str:
    return f"{{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {{name: {name}}}, {rest}}}"


def test_pods_of_a_class_preempt_unless_it_says_otherwise() -> None:
    found = created(scheduling.PriorityClass, a_priority("high", "value: 1"))
    assert found.preemption_policy == "PreemptLowerPriority"
    assert wrong(scheduling.PriorityClass, a_priority("high", "value: 1, preemptionPolicy: Sometimes")) == {
        "preemptionPolicy": 'Unsupported value: "Sometimes": supported values: "Never", "PreemptLowerPriority"'
    }


def test_the_highest_priorities_and_the_prefix_are_the_systems() -> None:
    assert wrong(scheduling.PriorityClass, a_priority("high", "value: 1000000001")) == {
        "value": "Forbidden: maximum allowed value of a user defined priority is 1000000000"
    }
    assert wrong(scheduling.PriorityClass, a_priority("system-mine", "value: 1")) == {
        "metadata.name": (
            "Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: "
            "system-mine is not a known system priority class"
        )
    }
    assert wrong(scheduling.PriorityClass, a_priority("system-node-critical", "value: 2000001000")) == {}


def test_value_and_preemption_of_a_class_stay() -> None:
    assert changed(
        scheduling.PriorityClass, a_priority("a", "value: 1"), a_priority("a", "value: 2, preemptionPolicy: Never")
    ) == {
        "value": "Forbidden: may not be changed in an update.",
        "preemptionPolicy": 'Invalid value: "Never": field is immutable',
    }
