"""Two versions of one kind: stored once, seen and written in each."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raftsman import codec, errors
from raftsman.autoscaling import v1, v2
from raftsman.conversion import autoscaling
from raftsman.conversion import events as event_conversion
from raftsman.core import v1 as core
from raftsman.events import v1 as events
from raftsman.meta import v1 as meta

from .cluster import Api, ApiServerProcess
from .rest import Rest
from .test_validation import causes_of

TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
METRICS = "autoscaling.alpha.kubernetes.io/metrics"


def v1_text(**spec: Any) -> str:
    whole = {"maxReplicas": 3, "scaleTargetRef": TARGET, **spec}
    return orjson.dumps({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
                         "metadata": {"name": "a"}, "spec": whole}).decode()  # fmt: skip


async def test_an_autoscaler_of_v1_is_one_of_v2(api: Api, namespace: str) -> None:
    made = await api.manifest(
        v1.HorizontalPodAutoscaler, v1_text(targetCPUUtilizationPercentage=50), namespace=namespace
    )
    assert (made.spec.min_replicas, made.spec.target_cpu_utilization_percentage) == (1, 50)
    assert not made.metadata.annotations
    found = codec.to_json(await api.get(v2.HorizontalPodAutoscaler, "a", namespace))
    assert found["spec"]["metrics"] == [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
    ]
    assert found["metadata"]["resourceVersion"] == made.metadata.resource_version


async def test_what_v1_has_no_field_for_stands_in_annotations_and_comes_back(api: Api, namespace: str) -> None:
    metrics = [
        {"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "10"}}},
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}},
    ]
    whole = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "a"}, "spec": {
        "maxReplicas": 3, "scaleTargetRef": TARGET, "metrics": metrics,
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}}}  # fmt: skip
    before = await api.manifest(v2.HorizontalPodAutoscaler, orjson.dumps(whole).decode(), namespace=namespace)
    seen = await api.get(v1.HorizontalPodAutoscaler, "a", namespace)
    assert seen.spec.target_cpu_utilization_percentage == 70
    assert orjson.loads(seen.metadata.annotations[METRICS]) == [
        {"type": "Pods", "pods": {"metricName": "rps", "targetAverageValue": "10"}}
    ]
    seen.spec.max_replicas = 9
    await api.update(seen)
    after = await api.get(v2.HorizontalPodAutoscaler, "a", namespace)
    assert not after.metadata.annotations
    assert (after.spec.max_replicas, after.spec.behavior) == (9, before.spec.behavior)
    assert sorted(one.type for one in after.spec.metrics) == ["Pods", "Resource"]


async def test_v1_is_patched_applied_listed_watched_and_deleted_as_v1(api: Api, namespace: str) -> None:
    message = v1.HorizontalPodAutoscaler
    made = await api.manifest(message, v1_text(), namespace=namespace)
    patched = await api.patch(message, "a", b'{"spec":{"targetCPUUtilizationPercentage":33}}', namespace=namespace)
    assert patched.spec.target_cpu_utilization_percentage == 33
    applied = await api.patch(
        message, "a", v1_text(maxReplicas=5).encode(), namespace=namespace, type=meta.PATCH_TYPE_APPLY,
        options=meta.WriteOptions(field_manager="me", force=True),
    )  # fmt: skip
    assert (applied.spec.max_replicas, applied.spec.target_cpu_utilization_percentage) == (5, 33)
    (listed,) = (await api.list(message, namespace=namespace)).items
    assert listed == applied
    seen: list[tuple[int, Any]] = []
    await api.delete(message, "a", namespace)
    async with asyncio.timeout(20):
        watch = api.watch(message, namespace=namespace, resource_version=made.metadata.resource_version)
        async for event in watch:
            seen.append(event)
            if event[0] == meta.EVENT_TYPE_DELETED:
                break
    assert [type_ for type_, _ in seen] == [
        meta.EVENT_TYPE_MODIFIED, meta.EVENT_TYPE_MODIFIED, meta.EVENT_TYPE_DELETED
    ]  # fmt: skip
    assert [obj.spec.target_cpu_utilization_percentage for _, obj in seen] == [33, 33, 33]


async def test_an_apply_of_v1_can_make_what_is_not_there(api: Api, namespace: str) -> None:
    options = meta.WriteOptions(field_manager="me")
    await api.patch(
        v1.HorizontalPodAutoscaler, "a", v1_text(targetCPUUtilizationPercentage=20).encode(), namespace=namespace,
        type=meta.PATCH_TYPE_APPLY, options=options,
    )  # fmt: skip
    found = await api.get(v2.HorizontalPodAutoscaler, "a", namespace)
    assert found.spec.metrics[0].resource.target.average_utilization == 20
    (entry,) = found.metadata.managed_fields
    assert (entry.manager, entry.operation) == ("me", "Apply")


EVENT = """
{apiVersion: events.k8s.io/v1, kind: Event, metadata: {name: e}, eventTime: 2026-01-31T12:00:00.000001Z,
 reportingController: example.com/c, reportingInstance: i, action: Start, reason: Started, note: hello, type: Normal,
 regarding: {kind: Pod, name: p, namespace: NS, apiVersion: v1}}
"""


async def test_an_event_is_the_same_in_both_groups(api: Api, namespace: str) -> None:
    await api.manifest(events.Event, EVENT.replace("NS", namespace), namespace=namespace)
    found = await api.get(core.Event, "e", namespace)
    assert (found.involved_object.name, found.message, found.reporting_component) == ("p", "hello", "example.com/c")
    for message, fields, names in (
        (events.Event, "regarding.name=p,reportingController=example.com/c", ["e"]),
        (events.Event, "regarding.name=q", []),
        (core.Event, "involvedObject.name=p,reportingComponent=example.com/c", ["e"]),
    ):
        listed = await api.list(message, namespace=namespace, field_selector=fields)
        assert [one.metadata.name for one in listed.items] == names
    with pytest.raises(errors.BadRequest, match=r"involvedObject\.name"):
        await api.list(events.Event, namespace=namespace, field_selector="involvedObject.name=p")


async def test_an_event_of_the_new_kind_says_who_did_what(api: Api, namespace: str) -> None:
    text = (
        f"{{apiVersion: events.k8s.io/v1, kind: Event, metadata: {{name: e}}, regarding: {{namespace: {namespace}}}}}"
    )
    assert set(await causes_of(api.manifest(events.Event, text, namespace=namespace))) == {"eventTime", "type"}
    assert set(
        await causes_of(
            api.manifest(
                events.Event, EVENT.replace("NS", namespace).replace("i, action: Start", "i"), namespace=namespace
            )
        )
    ) == {"action"}


async def test_the_series_of_an_event_goes_on_and_nothing_else(api: Api, namespace: str) -> None:
    await api.manifest(events.Event, EVENT.replace("NS", namespace), namespace=namespace)
    patch = b'{"series":{"count":2,"lastObservedTime":"2026-01-31T12:01:00.000000Z"}}'
    found = await api.patch(events.Event, "e", patch, namespace=namespace, type=meta.PATCH_TYPE_STRATEGIC_MERGE)
    assert found.series.count == 2
    assert (await api.get(core.Event, "e", namespace)).series.count == 2
    with pytest.raises(errors.Invalid, match=r"note: Invalid value: .* field is immutable"):
        await api.patch(events.Event, "e", b'{"note":"other"}', namespace=namespace)


async def test_rest_serves_each_version_in_its_own_words(server: ApiServerProcess, api: Api, namespace: str) -> None:
    rest = Rest(server)
    await api.manifest(v1.HorizontalPodAutoscaler, v1_text(), namespace=namespace)
    for version, kind in (("v1", "autoscaling/v1"), ("v2", "autoscaling/v2")):
        path = f"/apis/autoscaling/{version}/namespaces/{namespace}/horizontalpodautoscalers"
        _, one = rest.json("GET", f"{path}/a")
        assert (one["apiVersion"], one["kind"]) == (kind, "HorizontalPodAutoscaler")
        _, listed = rest.json("GET", path)
        assert listed["apiVersion"] == kind
        _, table = rest.json("GET", path, headers={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"})
        assert table["rows"][0]["cells"][:3] == ["a", "Deployment/web", "cpu: <unknown>/80%"]
    _, groups = rest.json("GET", "/apis")
    rest.close()
    (group,) = (one for one in groups["groups"] if one["name"] == "autoscaling")
    assert group["preferredVersion"]["version"] == "v2"
    assert [one["version"] for one in group["versions"]] == ["v2", "v1"]


def numbers() -> st.SearchStrategy[v2.MetricTarget]:
    return st.one_of(
        st.integers(1, 100).map(lambda n: v2.MetricTarget(type="Utilization", average_utilization=n)),
        st.integers(1, 100).map(
            lambda n: v2.MetricTarget(type="AverageValue", average_value=meta.Quantity(string=str(n)))
        ),
    )


@st.composite
def metrics(draw: st.DrawFn) -> v2.MetricSpec:
    found = v2.MetricSpec(type="Resource")
    found.resource.name = draw(st.sampled_from(["cpu", "memory"]))
    found.resource.target.CopyFrom(draw(numbers()))
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(metrics(), max_size=4), st.one_of(st.none(), st.integers(0, 300)))
def test_what_is_seen_as_v1_comes_back_whole(found: list[v2.MetricSpec], window: int | None) -> None:
    whole = v2.HorizontalPodAutoscaler()
    whole.metadata.name = "a"
    whole.spec.max_replicas = 3
    whole.spec.metrics.extend(found)
    if window is not None:
        whole.spec.behavior.scale_up.stabilization_window_seconds = window
        whole.spec.behavior.scale_up.policies.add(type="Pods", value=1, period_seconds=15)
    back = autoscaling.to_stored(autoscaling.from_stored(whole))

    def ordered(one: v2.HorizontalPodAutoscaler) -> list[bytes]:
        return sorted(metric.SerializeToString(deterministic=True) for metric in one.spec.metrics)

    assert ordered(back) == ordered(whole)
    assert back.spec.behavior == whole.spec.behavior
    assert not back.metadata.annotations


def test_an_event_loses_nothing_on_its_way() -> None:
    whole = core.Event(
        message="m", reason="r", type="Normal", count=3, action="a", reporting_component="c", reporting_instance="i"
    )
    whole.metadata.name = "e"
    whole.involved_object.name = "p"
    whole.related.name = "q"
    whole.source.component = "s"
    whole.first_timestamp.seconds = 1
    whole.event_time.seconds = 2
    whole.series.count = 4
    assert event_conversion.to_stored(event_conversion.from_stored(whole)) == whole
