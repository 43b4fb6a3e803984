"""Which containers get other limits where they run, which restart, and which wait."""

from __future__ import annotations

from dataclasses import replace

import pytest
from raftsman.agents.node.pods import resizing, status
from raftsman.agents.node.pods.decision import Plan, Resize, Stop, Why, decide
from raftsman.agents.node.pods.observation import RESOURCES_LABEL
from raftsman.agents.node.pods.resizing import Room
from raftsman.agents.node.runtime import Container
from raftsman.core import v1 as core

from .builders import NOW, observed, pod, run


def sized(cpu: str, memory: str) -> core.Pod:
    made = pod()
    for name, amount in (("cpu", cpu), ("memory", memory)):
        made.spec.containers[0].resources.limits[name].string = amount
    return made


def having(made: core.Pod) -> Container:
    """A run with the limits of that pod's container."""
    found = run()
    return replace(found, labels={**found.labels, RESOURCES_LABEL: resizing.label_of(made.spec.containers[0])})


def conditions(made: core.Pod, *runs: Container, **seen: object) -> dict[str, str]:
    found = status.compute(made, observed(*runs, **seen), now=NOW)
    return {one.type: one.reason for one in found.conditions if "Resize" in one.type}


def test_a_container_with_the_limits_that_it_should_have_is_left_alone() -> None:
    made = sized("1", "64Mi")
    assert decide(made, observed(having(made)), now=NOW) == Plan()
    assert decide(made, observed(run()), now=NOW) == Plan()
    assert conditions(made, having(made)) == {}


def test_other_limits_are_written_or_need_a_restart_as_the_policy_says() -> None:
    made, before = sized("2", "64Mi"), having(sized("1", "64Mi"))
    assert decide(made, observed(before), now=NOW).actions == (Resize("web-0", "web"),)
    made.spec.containers[0].resize_policy.add(resource_name="memory", restart_policy="RestartContainer")
    assert decide(made, observed(before), now=NOW).actions == (Resize("web-0", "web"),)
    made.spec.containers[0].resources.limits["memory"].string = "65Mi"
    assert decide(made, observed(before), now=NOW).actions == (Stop("web-0", "web", 30.0, Why.RESIZED),)


def test_it_waits_while_it_does_not_fit_or_is_under_way_and_the_conditions_say_so() -> None:
    made, before = sized("2", "64Mi"), having(sized("1", "64Mi"))
    unfit = (resizing.DEFERRED, "no room")
    assert decide(made, observed(before, unfit=unfit), now=NOW) == Plan()
    assert conditions(made, before, unfit=unfit) == {"PodResizePending": "Deferred"}
    assert decide(made, observed(before, resizing=frozenset({"web-0"})), now=NOW) == Plan()
    assert conditions(made, before) == {"PodResizeInProgress": ""}
    assert conditions(made, before, resize_failed="busy") == {"PodResizeInProgress": "Error"}


def test_the_status_shows_what_is_held_until_the_rest_is_given() -> None:
    made, before = sized("2", "64Mi"), having(sized("1", "64Mi"))
    made.status.container_statuses.add(name="web").resources.limits["cpu"].string = "1"
    (shown,) = status.compute(made, observed(before), now=NOW).container_statuses
    assert shown.resources.limits["cpu"].string == "1"
    (shown,) = status.compute(made, observed(having(made)), now=NOW).container_statuses
    assert shown.resources.limits["cpu"].string == "2"


@pytest.mark.parametrize(
    ("whole", "taken", "reason"), [(1000, 0, resizing.INFEASIBLE), (4000, 3000, resizing.DEFERRED), (4000, 2000, None)]
)
def test_room_on_the_node(whole: int, taken: int, reason: str | None) -> None:
    plenty = 10**15
    found = resizing.blocked(sized("2", "64Mi"), Room({"cpu": whole, "memory": plenty}, {"cpu": taken, "memory": 0}))
    assert (found and found[0]) == reason
