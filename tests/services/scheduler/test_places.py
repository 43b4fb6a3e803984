"""Pods near others, apart from others, and spread over places."""

from __future__ import annotations

from typing import Any

import pytest
from raftsman import codec
from raftsman.core import v1 as core
from raftsman.services.scheduler.demand import demand_of
from raftsman.services.scheduler.placement import Placement, decide
from raftsman.services.scheduler.snapshot import Snapshot, facts_of

from .test_placement import node

WEB = {"labelSelector": {"matchLabels": {"app": "web"}}}
REQUIRED, PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)


def pod(app: str = "web", namespace: str = "default", **spec: Any) -> core.Pod:
    value = {"metadata": {"namespace": namespace, "labels": {"app": app}}, "spec": {"containers": [], **spec}}
    decoded = codec.from_json(value, core.Pod)
    assert not decoded.problems
    return decoded.message


def nodes(**zones: str) -> Snapshot:
    found = Snapshot()
    for name, zone in zones.items():
        made = node(name)
        if zone:
            made.metadata.labels["zone"] = zone
        found.put_node(facts_of(made))
    return found


def put(found: Snapshot, name: str, *pods: core.Pod) -> None:
    for one in pods:
        found.put_pod(f"uid-{name}-{found.version}", name, demand=demand_of(one))


def place(asked: core.Pod, found: Snapshot) -> str:
    decision = decide(demand_of(asked), found, rotation=0)
    return decision.node_name if isinstance(decision, Placement) else decision.message


def affinity(kind: str, **term: Any) -> dict[str, Any]:
    return {"affinity": {kind: {REQUIRED: [{**WEB, "topologyKey": "zone", **term}]}}}


def test_a_pod_goes_where_the_pods_are_that_it_wants_to_be_near_to() -> None:
    found = nodes(n1="a", n2="b", n3="b")
    put(found, "n2", pod())
    assert place(pod("db", **affinity("podAffinity")), found) in ("n2", "n3")
    assert place(pod("db", namespace="other", **affinity("podAffinity")), found) == (
        "0/3 nodes are available: 3 node(s) didn't match pod affinity rules."
    )
    assert place(pod("db", namespace="other", **affinity("podAffinity", namespaces=["default"])), found) != "n1"


def test_the_first_of_a_group_that_wants_to_be_together_goes_anywhere() -> None:
    found = nodes(n1="a", n2="")
    assert place(pod("web", **affinity("podAffinity")), found) == "n1"
    assert place(pod("db", **affinity("podAffinity")), found).startswith("0/2 nodes are available")


def test_pods_that_want_to_be_apart_are_and_keep_others_away() -> None:
    found = nodes(n1="a", n2="b")
    alone = pod("web", **affinity("podAntiAffinity"))
    put(found, "n1", alone)
    assert place(alone, found) == "n2"
    assert place(pod("web"), found) == "n2"
    put(found, "n2", alone)
    assert place(pod("web"), found) == (
        "0/2 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules."
    )
    assert place(pod("db"), found) in ("n1", "n2")


def spread(when: str = "DoNotSchedule", **more: Any) -> dict[str, Any]:
    one = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": when, **WEB, **more}
    return {"topologySpreadConstraints": [one]}


def test_pods_are_spread_over_places() -> None:
    found = nodes(n1="a", n2="b", n3="")
    asked = pod(**spread())
    put(found, "n1", asked)
    assert place(asked, found) == "n2"
    put(found, "n2", asked, asked)
    assert place(asked, found) == "n1"
    found.put_node(facts_of(node("n4", cpu="0")))
    assert "(missing required label)" in place(asked, nodes(n3=""))


@pytest.mark.parametrize(("least", "where"), [(2, "n1"), (3, "0/2 nodes are available")])
def test_too_few_places_count_as_one_that_is_empty(least: int, where: str) -> None:
    found = nodes(n1="a", n2="b")
    put(found, "n1", pod())
    put(found, "n2", pod(), pod())
    assert place(pod(**spread(minDomains=least)), found).startswith(where)


def test_what_only_counts_never_keeps_a_pod_waiting() -> None:
    found = nodes(n1="a", n2="b")
    put(found, "n1", pod(), pod())
    assert place(pod(**spread("ScheduleAnyway")), found) == "n2"
    liking = {
        "affinity": {"podAffinity": {PREFERRED: [{"weight": 50, "podAffinityTerm": {**WEB, "topologyKey": "zone"}}]}}
    }
    assert place(pod("db", **liking), found) == "n1"
    dislike = {"affinity": {"podAntiAffinity": liking["affinity"]["podAffinity"]}}
    assert place(pod("db", **dislike), found) == "n2"


def test_pods_of_another_generation_are_not_counted() -> None:
    found = nodes(n1="a", n2="b")
    old, new = pod(**spread(matchLabelKeys=["hash"])), pod(**spread(matchLabelKeys=["hash"]))
    for one, generation in ((old, "1"), (new, "2")):
        one.metadata.labels["hash"] = generation
    put(found, "n1", new)
    put(found, "n2", old, old)
    assert place(new, found) == "n2"


def test_a_pod_whose_labels_change_is_counted_by_the_new_ones() -> None:
    found = nodes(n1="a", n2="b")
    found.put_pod("u", "n1", demand=demand_of(pod("db")))
    found.put_pod("u", "n1", demand=demand_of(pod("web")))
    assert place(pod("db", **affinity("podAffinity")), found) == "n1"
