"""Where pods go: what they ask for, which nodes can take them, which of those is best, and why none can."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.services.scheduler.demand import Demand, Taint, Toleration, demand_of
from raftsman.services.scheduler.placement import Placement, Refusal, decide
from raftsman.services.scheduler.snapshot import NodeFacts, Snapshot, facts_of

MIB = 1 << 20


def pod(*requests: dict[str, str], **spec: object) -> core.Pod:
    """One container for each dict of requests."""
    found = core.Pod(spec=core.PodSpec(**spec))  # type: ignore[arg-type]
    for number, amounts in enumerate(requests):
        ask(found.spec.containers.add(name=f"c{number}"), amounts)
    return found


def ask(container: core.Container, requests: dict[str, str]) -> None:
    for name, text in requests.items():
        container.resources.requests[name].CopyFrom(meta.Quantity(string=text))


def node(name: str, *, cpu: str = "4", memory: str = "8Gi", pods: str = "110", ready: str = "True") -> core.Node:
    found = core.Node()
    found.metadata.name = name
    found.metadata.labels["kubernetes.io/hostname"] = name
    for resource, text in {"cpu": cpu, "memory": memory, "pods": pods}.items():
        found.status.allocatable[resource].CopyFrom(meta.Quantity(string=text))
    found.status.conditions.add(type="Ready", status=ready)
    return found


def snapshot(*nodes: core.Node) -> Snapshot:
    found = Snapshot()
    for each in nodes:
        found.put_node(facts_of(each))
    return found


def place(asked: core.Pod, nodes: Snapshot, rotation: int = 0) -> str:
    found = decide(demand_of(asked), nodes, rotation=rotation)
    return found.node_name if isinstance(found, Placement) else found.message


def test_containers_add_up_and_init_containers_count_with_the_largest() -> None:
    asked = pod({"cpu": "100m", "memory": "1Mi"}, {"cpu": "0.2"})
    ask(asked.spec.init_containers.add(name="a"), {"cpu": "250m", "memory": "8Mi"})
    ask(asked.spec.init_containers.add(name="b"), {"cpu": "50m", "memory": "16Mi"})
    assert dict(demand_of(asked).resources) == {"cpu": 300, "memory": 16 * MIB}


def test_sidecars_count_with_what_runs_beside_and_after_them() -> None:
    asked = pod({"cpu": "100m"})
    ask(asked.spec.init_containers.add(name="before"), {"cpu": "300m"})
    ask(asked.spec.init_containers.add(name="sidecar", restart_policy="Always"), {"cpu": "200m"})
    ask(asked.spec.init_containers.add(name="after"), {"cpu": "250m"})
    assert dict(demand_of(asked).resources) == {"cpu": 450}


def test_overhead_comes_on_top() -> None:
    asked = pod({"cpu": "1"})
    asked.spec.overhead["cpu"].CopyFrom(meta.Quantity(string="10m"))
    assert dict(demand_of(asked).resources) == {"cpu": 1010}


def test_a_pod_goes_where_it_fits() -> None:
    nodes = snapshot(node("small", cpu="1"), node("large", cpu="8"))
    assert place(pod({"cpu": "2"}), nodes) == "large"


def test_pods_are_packed_onto_the_fullest_node_that_can_take_them() -> None:
    nodes = snapshot(node("empty"), node("used"))
    nodes.put_pod("u1", "used", demand=demand_of(pod({"cpu": "2", "memory": "2Gi"})))
    assert place(pod({"cpu": "1", "memory": "1Gi"}), nodes) == "used"
    assert place(pod({"cpu": "3", "memory": "1Gi"}), nodes) == "empty"


def test_equal_nodes_take_turns() -> None:
    nodes = snapshot(node("a"), node("b"), node("c"))
    assert [place(pod({}), nodes, rotation) for rotation in range(4)] == ["a", "b", "c", "a"]


def test_without_nodes_that_is_the_reason() -> None:
    assert place(pod({}), snapshot()) == "no nodes available to schedule pods"


def test_a_refusal_counts_nodes_by_reason() -> None:
    nodes = snapshot(node("small", cpu="500m", memory="1Mi"), node("a"), node("b"))
    for name in ("a", "b"):
        tainted = node(name)
        tainted.spec.taints.add(key="dedicated", value="db", effect="NoSchedule")
        nodes.put_node(facts_of(tainted))
    assert place(pod({"cpu": "1", "memory": "1Gi"}), nodes) == (
        "0/3 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 2 node(s) had untolerated taint(s)."
    )


def test_a_node_is_counted_with_the_first_filter_that_stops_it() -> None:
    cordoned = node("a", cpu="1")
    cordoned.spec.unschedulable = True
    assert place(pod({"cpu": "2"}), snapshot(cordoned)) == "0/1 nodes are available: 1 node(s) were unschedulable."


def test_pod_counts_and_extended_resources_are_limits_too() -> None:
    nodes = snapshot(node("full", pods="1"), node("plain"))
    nodes.put_pod("u1", "full", demand=Demand())
    assert place(pod({"example.com/gpu": "1"}), nodes) == (
        "0/2 nodes are available: 1 Too many pods, 2 Insufficient example.com/gpu."
    )


def test_a_node_selector_must_match_in_full() -> None:
    nodes = snapshot(node("a"), node("b"))
    assert place(pod({}, node_selector={"kubernetes.io/hostname": "b"}), nodes) == "b"
    assert place(pod({}, node_selector={"kubernetes.io/hostname": "b", "disk": "ssd"}), nodes) == (
        "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."
    )


@pytest.mark.parametrize("ready", ["False", "Unknown"])
def test_a_node_that_is_not_ready_takes_no_pods_even_before_its_taint_is_written(ready: str) -> None:
    nodes = snapshot(node("a", ready=ready))
    assert place(pod({}), nodes) == "0/1 nodes are available: 1 node(s) had untolerated taint(s)."
    tolerant = pod({})
    tolerant.spec.tolerations.add(operator="Exists")
    assert place(tolerant, nodes) == "a"


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        (Toleration("k", "Equal", "v", "NoSchedule"), True),
        (Toleration("k", "Equal", "v", ""), True),
        (Toleration("k", "Equal", "other", ""), False),
        (Toleration("k", "Exists", "", ""), True),
        (Toleration("k", "Exists", "", "NoExecute"), False),
        (Toleration("", "Exists", "", ""), True),
        (Toleration("", "Equal", "v", ""), False),
        (Toleration("other", "Exists", "", ""), False),
    ],
)
def test_tolerations_match_by_key_value_and_effect(toleration: Toleration, tolerated: bool) -> None:
    assert toleration.tolerates(Taint("k", "v", "NoSchedule")) is tolerated


def test_a_taint_that_only_prefers_is_avoided_but_not_in_the_way() -> None:
    averse = node("a")
    averse.spec.taints.add(key="k", effect="PreferNoSchedule")
    assert place(pod({}), snapshot(averse, node("b"))) == "b"
    assert place(pod({}), snapshot(averse)) == "a"


def test_a_port_of_the_node_is_given_once() -> None:
    asked = pod({})
    asked.spec.containers[0].ports.add(container_port=80, host_port=8080)
    nodes = snapshot(node("a"), node("b"))
    nodes.put_pod("u1", "a", demand=demand_of(asked))
    assert place(asked, nodes) == "b"
    nodes.put_pod("u2", "b", demand=demand_of(asked))
    assert place(asked, nodes) == (
        "0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports."
    )


def test_a_pod_counts_once_however_often_it_is_put() -> None:
    nodes, demand = snapshot(node("a", cpu="1")), demand_of(pod({"cpu": "600m"}))
    nodes.put_pod("u1", "a", demand=demand)
    nodes.put_pod("u1", "a", demand=demand)
    assert nodes.requested["cpu"] == [600]
    assert nodes.remove_pod("u1") == "a"
    assert nodes.remove_pod("u1") is None
    assert nodes.requested["cpu"] == [0]


def test_pods_of_a_node_that_was_not_seen_yet_wait_for_it() -> None:
    nodes = Snapshot()
    nodes.put_pod("u1", "late", demand=demand_of(pod({"cpu": "1"})))
    nodes.put_node(facts_of(node("late", cpu="1")))
    assert place(pod({"cpu": "1"}), nodes) == "0/1 nodes are available: 1 Insufficient cpu."


def test_a_node_that_only_beats_its_heart_has_not_changed() -> None:
    nodes = snapshot(node("a"))
    beating = node("a")
    beating.status.conditions[0].last_heartbeat_time.seconds = 99
    assert not nodes.put_node(facts_of(beating))
    assert nodes.put_node(facts_of(node("a", cpu="5")))


@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "drop", "node", "gone"]), st.integers(0, 4), st.integers(0, 3)), max_size=40
    )
)
def test_columns_are_what_a_fresh_snapshot_would_have(steps: list[tuple[str, int, int]]) -> None:
    kept, nodes, pods = Snapshot(), {}, {}
    for what, number, where in steps:
        uid, name = f"u{number}", f"n{where}"
        demand = Demand((("cpu", number + 1),), scored_cpu_milli=number + 1)
        if what == "put":
            kept.put_pod(uid, name, demand=demand)
            pods[uid] = (name, demand)
        elif what == "drop":
            kept.remove_pod(uid)
            pods.pop(uid, None)
        elif what == "node":
            facts = NodeFacts(name, allocatable={"cpu": number})
            kept.put_node(facts)
            nodes[name] = facts
        else:
            kept.remove_node(name)
            nodes.pop(name, None)
    fresh = Snapshot()
    for facts in nodes.values():
        fresh.put_node(facts)
    for uid, (name, demand) in pods.items():
        fresh.put_pod(uid, name, demand=demand)
    assert rows(kept) == rows(fresh)


def rows(found: Snapshot) -> dict[str, tuple[int, int, int, int]]:
    return {
        name: (
            found.pods[row],
            found.scored_cpu_milli[row],
            found.requested_of("cpu")[row],
            found.allocatable_of("cpu")[row],
        )
        for row, name in enumerate(found.names)
        if found.row_of(name) == row
    }


@given(st.lists(st.integers(1, 2000), max_size=30), st.integers(1, 4))
def test_no_node_is_ever_given_more_than_it_has(wants: list[int], count: int) -> None:
    nodes = snapshot(*(node(f"n{number}", cpu="3") for number in range(count)))
    for number, milli in enumerate(wants):
        demand = Demand((("cpu", milli),), scored_cpu_milli=milli)
        found = decide(demand, nodes, rotation=number)
        if isinstance(found, Refusal):
            assert all(used + milli > 3000 for used in nodes.requested_of("cpu"))
        else:
            nodes.put_pod(f"u{number}", found.node_name, demand=demand)
    assert all(used <= 3000 for used in nodes.requested_of("cpu"))


def requiring(*expressions: tuple[str, str, tuple[str, ...]]) -> core.Pod:
    asked = pod({"cpu": "1"})
    required = asked.spec.affinity.node_affinity.required_during_scheduling_ignored_during_execution
    term = required.node_selector_terms.add()
    for key, operator, values in expressions:
        term.match_expressions.add(key=key, operator=operator, values=values)
    return asked


@pytest.mark.parametrize(
    ("expression", "where"),
    [
        (("zone", "In", ("a", "c")), "n1"),
        (("zone", "NotIn", ("a",)), "n2"),
        (("disk", "Exists", ()), "n2"),
        (("disk", "DoesNotExist", ()), "n1"),
        (("size", "Gt", ("5",)), "n2"),
        (("size", "Lt", ("5",)), "n1"),
        (("zone", "In", ("c",)), "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."),
    ],
)
def test_node_affinity_chooses_by_labels(expression: tuple[str, str, tuple[str, ...]], where: str) -> None:
    n1, n2 = node("n1"), node("n2")
    n1.metadata.labels.update({"zone": "a", "size": "3"})
    n2.metadata.labels.update({"zone": "b", "size": "7", "disk": "ssd"})
    assert place(requiring(expression), snapshot(n1, n2)) == where


def test_of_several_terms_one_is_enough_and_an_empty_one_matches_nothing() -> None:
    asked = pod({"cpu": "1"})
    terms = asked.spec.affinity.node_affinity.required_during_scheduling_ignored_during_execution.node_selector_terms
    terms.add()
    assert place(asked, snapshot(node("n1"))).startswith("0/1 nodes are available")
    terms.add().match_fields.add(key="metadata.name", operator="In", values=("n2",))
    assert place(asked, snapshot(node("n1"), node("n2"))) == "n2"


def test_preferred_nodes_win_by_weight() -> None:
    asked = pod({"cpu": "1"})
    for weight, name in ((10, "n1"), (90, "n2")):
        one = asked.spec.affinity.node_affinity.preferred_during_scheduling_ignored_during_execution.add(weight=weight)
        one.preference.match_fields.add(key="metadata.name", operator="In", values=(name,))
    assert place(asked, snapshot(node("n1"), node("n2"), node("n3"))) == "n2"
