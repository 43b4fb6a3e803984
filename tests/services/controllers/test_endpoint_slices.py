"""Endpoint slices and Endpoints: who is behind a service, with the fewest writes."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery
from raftsman.meta import v1 as meta
from raftsman.services.controllers import endpoints_plan
from raftsman.services.controllers.endpoint_slices import EndpointSliceController
from raftsman.services.controllers.endpoint_slices_plan import ENDPOINTS_MAX, Observed, Plan, decide
from raftsman.services.controllers.endpoints import EndpointsController

from .running import eventually, quiet, running


def service(target: int | str = 8080, *, port: int = 80, **spec: Any) -> core.Service:
    made = core.Service(metadata=meta.ObjectMeta(name="web", namespace="default", uid="service-uid"))
    made.spec.CopyFrom(core.ServiceSpec(selector={"app": "web"}, cluster_ip="10.96.0.20", **spec))
    entry = made.spec.ports.add(name="http", port=port)
    if isinstance(target, int):
        entry.target_port.int_val = target
    else:
        entry.target_port.type, entry.target_port.str_val = 1, target
    return made


def pod(number: int, *, ready: bool = True, deleting: bool = False, named_port: int = 0) -> core.Pod:
    name = f"web-{number:03}"
    made = core.Pod(metadata=meta.ObjectMeta(name=name, namespace="default", uid=f"uid-{name}", labels={"app": "web"}))
    made.spec.node_name = "n1"
    made.status.phase = "Running"
    made.status.pod_ip = f"10.244.{number // 250}.{number % 250 + 1}"
    made.status.pod_ips.add(ip=made.status.pod_ip)
    made.status.conditions.add(type="Ready", status="True" if ready else "False")
    if deleting:
        made.metadata.deletion_timestamp.seconds = 1
    if named_port:
        made.spec.containers.add(name="c").ports.add(name="http", container_port=named_port)
    return made


def stored(plan: Plan, before: tuple[discovery.EndpointSlice, ...] = ()) -> tuple[discovery.EndpointSlice, ...]:
    """The slices after a plan was carried out."""
    gone = {s.metadata.name for s in (*plan.delete, *plan.update)}
    kept = [s for s in before if s.metadata.name not in gone] + plan.update
    for number, made in enumerate(plan.create):
        new = copy.deepcopy(made)
        new.metadata.name = f"web-{len(before)}-{number}"
        kept.append(new)
    return tuple(kept)


def test_ready_pods_become_endpoints_with_the_service_named() -> None:
    plan = decide(Observed(service(), (pod(1), pod(2, ready=False)), ()))
    (made,) = plan.create
    assert made.metadata.labels["kubernetes.io/service-name"] == "web"
    assert made.metadata.owner_references[0].uid == "service-uid"
    assert (made.address_type, made.ports[0].name, made.ports[0].port) == ("IPv4", "http", 8080)
    assert [(e.addresses[0], e.conditions.ready, e.node_name) for e in made.endpoints] == [
        ("10.244.0.2", True, "n1"), ("10.244.0.3", False, "n1"),
    ]  # fmt: skip
    assert made.endpoints[0].target_ref.name == "web-001"


def test_nothing_is_written_when_nothing_changed() -> None:
    pods = (pod(1), pod(2))
    slices = stored(decide(Observed(service(), pods, ())))
    assert decide(Observed(service(), pods, slices)) == Plan()


def test_a_pod_that_is_deleted_serves_on_as_terminating() -> None:
    (made,) = decide(Observed(service(), (pod(1, deleting=True),), ())).create
    conditions = made.endpoints[0].conditions
    assert (conditions.ready, conditions.serving, conditions.terminating) == (False, True, True)


def test_a_pod_without_address_or_at_its_end_is_left_out() -> None:
    pending, done = pod(1), pod(2)
    del pending.status.pod_ips[:]
    pending.status.pod_ip = ""
    done.status.phase = "Succeeded"
    (made,) = decide(Observed(service(), (pending, done), ())).create
    assert not made.endpoints


def test_unready_pods_are_ready_when_the_service_says_so() -> None:
    (made,) = decide(Observed(service(publish_not_ready_addresses=True), (pod(1, ready=False),), ())).create
    assert made.endpoints[0].conditions.ready
    assert not made.endpoints[0].conditions.serving


def test_a_named_port_is_resolved_for_each_pod() -> None:
    plan = decide(Observed(service("http"), (pod(1, named_port=80), pod(2, named_port=81), pod(3, named_port=80)), ()))
    assert sorted((s.ports[0].port, len(s.endpoints)) for s in plan.create) == [(80, 2), (81, 1)]


def test_a_hostname_is_published_for_pods_of_the_service_subdomain() -> None:
    mine, other = pod(1), pod(2)
    mine.spec.hostname, mine.spec.subdomain = "db-0", "web"
    other.spec.hostname, other.spec.subdomain = "db-1", "elsewhere"
    (made,) = decide(Observed(service(), (mine, other), ())).create
    assert [e.hostname for e in made.endpoints] == ["db-0", ""]


def test_no_slice_holds_more_than_a_hundred() -> None:
    plan = decide(Observed(service(), tuple(pod(n) for n in range(101)), ()))
    assert sorted(len(s.endpoints) for s in plan.create) == [1, 100]


def test_a_change_of_one_pod_writes_one_slice() -> None:
    pods = [pod(n) for n in range(250)]
    slices = stored(decide(Observed(service(), tuple(pods), ())))
    pods[7] = pod(7, ready=False)
    plan = decide(Observed(service(), tuple(pods), slices))
    assert (len(plan.create), len(plan.update), len(plan.delete)) == (0, 1, 0)


def test_a_service_without_pods_keeps_one_empty_slice() -> None:
    slices = stored(decide(Observed(service(), (pod(1),), ())))
    plan = decide(Observed(service(), (), slices))
    assert (len(plan.update), len(plan.update[0].endpoints), len(plan.delete)) == (1, 0, 0)
    assert decide(Observed(service(), (), stored(plan, slices))) == Plan()


def test_a_service_that_loses_its_selector_loses_its_slices() -> None:
    slices = stored(decide(Observed(service(), (pod(1),), ())))
    without = service()
    without.spec.selector.clear()
    assert decide(Observed(without, (), slices)).delete == list(slices)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sets(st.integers(0, 230), max_size=230), min_size=1, max_size=5))
def test_after_any_history_the_slices_hold_exactly_the_pods(history: list[set[int]]) -> None:
    slices: tuple[discovery.EndpointSlice, ...] = ()
    for numbers in history:
        slices = stored(decide(Observed(service(), tuple(pod(n) for n in numbers), slices)), slices)
        held = [e.target_ref.uid for s in slices for e in s.endpoints]
        assert sorted(held) == sorted(f"uid-web-{n:03}" for n in numbers)
        assert all(len(s.endpoints) <= ENDPOINTS_MAX for s in slices)
        assert decide(Observed(service(), tuple(pod(n) for n in numbers), slices)) == Plan()


def test_endpoints_tell_ready_from_unready_and_leave_out_the_leaving() -> None:
    pods = (pod(1), pod(2, ready=False), pod(3, deleting=True))
    plan = endpoints_plan.decide(endpoints_plan.Observed(service(), pods, None))
    assert plan.create is not None
    (subset,) = plan.create.subsets
    assert [a.ip for a in subset.addresses] == ["10.244.0.2"]
    assert [a.ip for a in subset.not_ready_addresses] == ["10.244.0.3"]
    assert subset.ports[0].port == 8080
    assert endpoints_plan.decide(endpoints_plan.Observed(service(), pods, plan.create)) == endpoints_plan.Plan()


def test_endpoints_go_with_their_service_and_foreign_ones_stay() -> None:
    ours = endpoints_plan.decide(endpoints_plan.Observed(service(), (), None)).create
    assert endpoints_plan.decide(endpoints_plan.Observed(None, (), ours)).delete
    assert not endpoints_plan.decide(endpoints_plan.Observed(None, (), core.Endpoints())).delete


async def test_both_follow_pods_as_they_come_change_and_go(fake_api: Any) -> None:
    async with running(fake_api, EndpointSliceController(), EndpointsController()):
        await fake_api.put(service())
        await eventually(lambda: fake_api.all(discovery.EndpointSlice))
        await fake_api.put(pod(1))
        await eventually(lambda: len(fake_api.all(discovery.EndpointSlice)[0].endpoints) == 1)
        await eventually(lambda: fake_api.all(core.Endpoints)[0].subsets)
        await fake_api.put(pod(1, ready=False))
        await eventually(lambda: not fake_api.all(discovery.EndpointSlice)[0].endpoints[0].conditions.ready)
        await fake_api.remove(pod(1))
        await eventually(lambda: not fake_api.all(discovery.EndpointSlice)[0].endpoints)
        await eventually(lambda: not fake_api.all(core.Endpoints)[0].subsets)
        assert len(fake_api.all(discovery.EndpointSlice)) == 1
        await quiet(fake_api)
        await fake_api.remove(service())
        await eventually(lambda: not fake_api.all(core.Endpoints))


async def test_a_burst_of_pods_never_makes_a_second_slice(fake_api: Any) -> None:
    async with running(fake_api, EndpointSliceController()):
        await fake_api.put(service())
        for number in range(60):
            await fake_api.put(pod(number))
        await eventually(lambda: sum(len(s.endpoints) for s in fake_api.all(discovery.EndpointSlice)) == 60)
        assert len(fake_api.all(discovery.EndpointSlice)) == 1


async def test_a_pod_whose_labels_change_leaves(fake_api: Any) -> None:
    async with running(fake_api, EndpointSliceController()):
        await fake_api.put(service())
        await fake_api.put(pod(1))
        await eventually(lambda: sum(len(s.endpoints) for s in fake_api.all(discovery.EndpointSlice)) == 1)
        moved = pod(1)
        moved.metadata.labels["app"] = "other"
        await fake_api.put(moved)
        await eventually(lambda: sum(len(s.endpoints) for s in fake_api.all(discovery.EndpointSlice)) == 0)
