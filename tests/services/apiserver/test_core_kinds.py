"""Volumes, claims, bounds and what older clusters ran on: defaulted, checked and kept as in Kubernetes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from raftsman import codec, errors, resources
from raftsman.autoscaling import v1 as autoscaling
from raftsman.core import v1 as core
from raftsman.dynamic import v1 as dynamic
from raftsman.meta import v1 as meta
from raftsman.resource import v1 as resource

from .cluster import Api, ApiServerProcess
from .rest import Rest
from .test_validation import causes_of


def text(message: type[Any], spec: dict[str, Any] | None = None, name: str = "a", **more: Any) -> str:
    found = resources.by_message(message)
    head = {"apiVersion": found.api_version, "kind": found.kind, "metadata": {"name": name}}
    return orjson.dumps({**head, **({} if spec is None else {"spec": spec}), **more}).decode()


async def made(api: Api, namespace: str, message: type[Any], spec: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = codec.to_json(await api.manifest(message, text(message, spec), namespace=namespace))
    return found


CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}


async def test_a_claim_waits_for_its_volume(api: Api, namespace: str) -> None:
    found = await made(api, namespace, core.PersistentVolumeClaim, {
        **CLAIM, "dataSource": {"kind": "PersistentVolumeClaim", "name": "b"}})  # fmt: skip
    assert found["status"] == {"phase": "Pending"}
    assert found["spec"]["volumeMode"] == "Filesystem"
    assert found["spec"]["resources"] == {"requests": {"storage": "1Gi"}}
    assert found["spec"]["dataSourceRef"] == {"apiGroup": None, "kind": "PersistentVolumeClaim", "name": "b"}


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        ({}, {"spec.accessModes": "Required value: at least 1 access mode is required",
              "spec.resources[storage]": "Required value"}),
        ({**CLAIM, "accessModes": ["ReadWriteOncePod", "ReadWriteOnce"], "volumeMode": "Tape"}, {
            "spec.accessModes": "Forbidden: may not use ReadWriteOncePod with other access modes",
            "spec.volumeMode": 'Unsupported value: "Tape": supported values: "Block", "Filesystem"'}),
        ({**CLAIM, "resources": {"requests": {"storage": "0"}}, "storageClassName": "A_b"}, {
            "spec.resources[storage]": 'Invalid value: "0": must be greater than zero',
            "spec.storageClassName": None}),
        ({**CLAIM, "dataSource": {"kind": "Other", "name": "x"}}, {
            "spec.dataSource":
                "Invalid value: \"Other\": must be 'PersistentVolumeClaim' when referencing the default apiGroup",
            "spec.dataSourceRef": None}),
    ],
)  # fmt: skip
async def test_a_claim_is_checked(api: Api, namespace: str, spec: dict[str, Any], causes: dict[str, Any]) -> None:
    message = core.PersistentVolumeClaim
    found = await causes_of(api.manifest(message, text(message, spec), namespace=namespace))
    assert set(found) == set(causes)
    assert all(why is None or found[path] == why for path, why in causes.items())


async def test_a_bound_claim_may_only_grow(api: Api, namespace: str) -> None:
    message = core.PersistentVolumeClaim
    obj = await api.manifest(message, text(message, CLAIM), namespace=namespace)
    obj.spec.volume_name = "v"
    obj = await api.update(obj)
    obj.spec.resources.requests["storage"].string = "2Gi"
    with pytest.raises(errors.Invalid, match=r"spec is immutable after creation except resources\.requests"):
        await api.update(obj)
    obj.spec.resources.requests["storage"].string = "1Gi"
    obj.status.phase = "Bound"
    obj.status.capacity["storage"].string = "1Gi"
    obj = await api.update_status(obj)
    obj.spec.resources.requests["storage"].string = "2Gi"
    obj = await api.update(obj)
    obj.spec.resources.requests["storage"].string = "512Mi"
    assert await causes_of(api.update(obj)) == {
        "spec.resources.requests.storage": "Forbidden: field can not be less than status.capacity"
    }


def volume(name: str, **spec: Any) -> str:
    whole = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], **spec}
    return text(core.PersistentVolume, whole, name)


async def test_a_volume_is_defaulted_and_keeps_its_source(api: Api, namespace: str) -> None:
    obj = await api.manifest(core.PersistentVolume, volume(f"{namespace}-v", hostPath={"path": "/data"}))
    spec = codec.to_json(obj)["spec"]
    assert (spec["persistentVolumeReclaimPolicy"], spec["volumeMode"]) == ("Retain", "Filesystem")
    assert spec["hostPath"] == {"path": "/data", "type": ""}
    assert (obj.status.phase, obj.status.HasField("last_phase_transition_time")) == ("Pending", True)
    obj.spec.persistent_volume_source.host_path.path = "/other"
    with pytest.raises(errors.Invalid, match=r"spec\.persistentvolumesource is immutable after creation"):
        await api.update(obj)
    await api.delete(core.PersistentVolume, f"{namespace}-v", "")


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        ({}, {"spec": "Required value: must specify a volume type"}),
        ({"local": {"path": "/d"}}, {"spec.nodeAffinity": "Required value: Local volume requires node affinity"}),
        ({"nfs": {"server": "s", "path": "/p"}, "hostPath": {"path": "/x"}}, {
            "spec.nfs": "Forbidden: may not specify more than 1 volume type"}),
        ({"hostPath": {"path": "/"}, "persistentVolumeReclaimPolicy": "Recycle", "capacity": {}}, {
            "spec.persistentVolumeReclaimPolicy": "Forbidden: may not be 'recycle' for a hostPath mount of '/'",
            "spec.capacity": "Required value"}),
        ({"csi": {"driver": "d"}}, {"spec.csi.volumeHandle": "Required value"}),
    ],
)  # fmt: skip
async def test_a_volume_is_checked(api: Api, spec: dict[str, Any], causes: dict[str, str]) -> None:
    assert await causes_of(api.manifest(core.PersistentVolume, volume("a", **spec))) == causes


async def test_a_limit_range_fills_what_containers_leave_out(api: Api, namespace: str) -> None:
    item = {"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1024Ki"}, "default": {"memory": "2Mi"}}
    found = await made(api, namespace, core.LimitRange, {"limits": [item]})
    assert found["spec"]["limits"] == [{
        "type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}, "default": {"cpu": "2", "memory": "2Mi"},
        "defaultRequest": {"cpu": "2", "memory": "2Mi"},
    }]  # fmt: skip


async def test_a_limit_range_is_checked(api: Api, namespace: str) -> None:
    limits = [
        {"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1"}},
        {"type": "Pod", "default": {"cpu": "1"}},
        {"type": "Pod", "maxLimitRequestRatio": {"cpu": "0.5"}},
        {"type": "PersistentVolumeClaim"},
        {"type": "Thing"},
    ]
    found = await causes_of(
        api.manifest(core.LimitRange, text(core.LimitRange, {"limits": limits}), namespace=namespace)
    )
    assert found["spec.limits[0].min[cpu]"] == 'Invalid value: "2": min value 2 is greater than max value 1'
    assert found["spec.limits[1].default"] == "Forbidden: may not be specified when `type` is 'Pod'"
    assert found["spec.limits[2].type"] == 'Duplicate value: "Pod"'
    assert found["spec.limits[2].maxLimitRequestRatio[cpu]"].endswith("is less than 1")
    assert "spec.limits[3].limits" in found
    assert found["spec.limits[4].type"].endswith("must be a standard limit type or fully qualified")


async def test_a_quota_is_checked_and_keeps_its_scopes(api: Api, namespace: str) -> None:
    bad = {"hard": {"pods": "1.5", "cats": "1", "services": "2"}, "scopes": ["BestEffort", "NotBestEffort"]}
    found = await causes_of(api.manifest(core.ResourceQuota, text(core.ResourceQuota, bad), namespace=namespace))
    assert set(found) == {"spec.hard[pods]", "spec.hard[cats]", "spec.scopes"}
    good = {"hard": {"pods": "3"}, "scopes": ["NotTerminating"]}
    obj = await api.manifest(core.ResourceQuota, text(core.ResourceQuota, good), namespace=namespace)
    obj.spec.scopes[:] = ["Terminating"]
    assert await causes_of(api.update(obj)) == {"spec.scopes": 'Invalid value: ["Terminating"]: field is immutable'}


POD = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


async def test_a_replication_controller_takes_its_templates_labels_and_is_scaled(api: Api, namespace: str) -> None:
    message = core.ReplicationController
    found = await made(api, namespace, message, {"template": POD})
    assert (found["spec"]["replicas"], found["spec"]["selector"]) == (1, {"app": "a"})
    assert found["metadata"]["labels"] == {"app": "a"}
    scale = await api.of(message, "GetScale", meta.GetRequest(name="a", namespace=namespace), autoscaling.Scale)
    assert (scale.spec.replicas, scale.status.selector) == (1, "app=a")
    scale.spec.replicas = 4
    request = autoscaling.ScaleWriteRequest(object=scale, namespace=namespace)
    await api.of(message, "UpdateScale", request, autoscaling.Scale)
    obj = await api.get(message, "a", namespace)
    assert (obj.spec.replicas, obj.metadata.generation) == (4, 2)
    obj.spec.selector["app"] = "b"
    assert "spec.template.metadata.labels" in await causes_of(api.update(obj))


async def test_a_pod_template_is_defaulted(api: Api, namespace: str) -> None:
    document = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "a"}, "template": POD}
    found = codec.to_json(await api.manifest(core.PodTemplate, orjson.dumps(document).decode(), namespace=namespace))
    assert found["template"]["spec"]["restartPolicy"] == "Always"
    assert found["metadata"]["generation"] == 1


async def test_a_claim_of_devices_is_defaulted_checked_and_immutable(api: Api, namespace: str) -> None:
    message = resource.ResourceClaim
    bad = {"devices": {"requests": [{"name": "a"}, {"name": "a", "exactly": {"allocationMode": "Some"}}],
                       "constraints": [{"requests": ["z"], "matchAttribute": "x"}]}}  # fmt: skip
    assert set(await causes_of(api.manifest(message, text(message, bad), namespace=namespace))) == {
        "spec.devices.requests[0]", "spec.devices.requests[1].name", "spec.devices.constraints[0].requests[0]",
        "spec.devices.requests[1].exactly.deviceClassName", "spec.devices.requests[1].exactly.allocationMode",
        "spec.devices.constraints[0].matchAttribute",
    }  # fmt: skip
    good = {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com"}}]}}
    obj = await api.manifest(message, text(message, good), namespace=namespace)
    asked = obj.spec.devices.requests[0].exactly
    assert (asked.allocation_mode, asked.count) == ("ExactCount", 1)
    asked.count = 2
    with pytest.raises(errors.Invalid, match="field is immutable"):
        await api.update(obj)


async def test_a_slice_of_devices_is_checked_and_selected(api: Api, namespace: str) -> None:
    message = resource.ResourceSlice
    spec = {
        "driver": f"{namespace}.example.com",
        "pool": {"name": "p", "resourceSliceCount": 1},
        "nodeName": "n",
        "devices": [{"name": "d", "attributes": {"model": {"string": "x"}}, "capacity": {"mem": {"value": "1Gi"}}}],
    }
    await api.manifest(message, text(message, spec, namespace))
    found = await api.list(message, field_selector=f"spec.driver={namespace}.example.com")
    assert [one.metadata.name for one in found.items] == [namespace]
    bad = {**spec, "allNodes": True, "devices": [{"name": "d"}, {"name": "d", "attributes": {"1": {}}}]}
    assert set(await causes_of(api.manifest(message, text(message, bad)))) == {
        "spec", "spec.devices[1].name", "spec.devices[1].attributes[1]"
    }  # fmt: skip
    await api.delete(message, namespace, "")


async def test_components_say_how_they_are_when_asked(server: ApiServerProcess, api: Api) -> None:
    message = core.ComponentStatus
    service = "raftsman.core.v1.ComponentStatuses"
    listed = await api.call(service, "List", meta.ListRequest(), core.ComponentStatusList)
    healthy = {one.metadata.name: one.conditions[0].status for one in listed.items}
    assert set(healthy) == {"controller-manager", "scheduler", "etcd-0"}
    assert healthy["etcd-0"] == "True"
    found = await api.call(service, "Get", meta.GetRequest(name="etcd-0"), message)
    assert (found.conditions[0].type, found.conditions[0].message) == ("Healthy", "ok")
    with pytest.raises(errors.NotFound):
        await api.call(service, "Get", meta.GetRequest(name="other"), message)
    rest = Rest(server)
    _, table = rest.json(
        "GET", "/api/v1/componentstatuses", headers={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    )
    assert ["etcd-0", "Healthy", "ok", ""] in [row["cells"] for row in table["rows"]]
    assert rest.json("GET", "/api/v1/componentstatuses", watch="1")[0] == 405
    rest.close()


async def test_a_binding_of_the_old_kind_gives_a_pod_to_a_node(
    server: ApiServerProcess, api: Api, namespace: str
) -> None:
    for name in ("a", "b"):
        document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": POD["spec"]}
        await api.manifest(core.Pod, orjson.dumps(document).decode(), namespace=namespace)
    rest = Rest(server)
    body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n"}}
    path = f"/api/v1/namespaces/{namespace}/bindings"
    status, answer = rest.json("POST", path, body, headers={"Content-Type": "application/json"})
    rest.close()
    assert (status, answer["kind"], answer["status"]) == (201, "Status", "Success")
    binding = core.Binding()
    binding.metadata.name, binding.metadata.namespace, binding.target.name = "b", namespace, "n"
    request = meta.WriteRequest(object=binding.SerializeToString())
    assert (await api.call("raftsman.core.v1.Bindings", "Create", request, meta.Status)).status == "Success"
    for name in ("a", "b"):
        assert (await api.get(core.Pod, name, namespace)).spec.node_name == "n"


async def test_the_dynamic_service_knows_them_too(api: Api, namespace: str) -> None:
    async def call(verb: str, request: Any, answer: type[Any]) -> Any:
        return await api.call("raftsman.dynamic.v1.Objects", verb, request, answer)

    kind = dynamic.Resource(version="v1", name="componentstatuses")
    one = await call(
        "Get", dynamic.GetRequest(resource=kind, request=meta.GetRequest(name="etcd-0")), dynamic.ObjectResponse
    )
    assert orjson.loads(one.object)["conditions"][0]["status"] == "True"
    listed = await call("List", dynamic.ListRequest(resource=kind, request=meta.ListRequest()), dynamic.ListResponse)
    assert len(listed.items) == 3
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": POD["spec"]}
    await api.manifest(core.Pod, orjson.dumps(document).decode(), namespace=namespace)
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "a"},
        "target": {"kind": "Node", "name": "n"},
    }
    made = await call(
        "Create",
        dynamic.WriteRequest(
            resource=dynamic.Resource(version="v1", name="bindings"),
            request=meta.WriteRequest(manifest=orjson.dumps(binding), namespace=namespace),
        ),
        dynamic.ObjectResponse,
    )
    assert orjson.loads(made.object)["status"] == "Success"
