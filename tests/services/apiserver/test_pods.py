"""Pods may say all that Kubernetes' pods may; what is wrong with them is told in its words."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from raftsman import codec, errors
from raftsman.core import v1 as core

from .cluster import Api
from .test_validation import causes_of

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def text(spec: dict[str, Any], container: dict[str, Any] | None = None) -> str:
    whole = {"containers": [{"name": "c", "image": "i:1", **(container or {})}], **spec}
    return orjson.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": whole}).decode()


async def made(api: Api, namespace: str, spec: dict[str, Any], container: dict[str, Any] | None = None) -> Any:
    found = codec.to_json(await api.manifest(core.Pod, text(spec, container), namespace=namespace))
    return found["spec"]


TERM = {"labelSelector": {"matchLabels": {"app": "a"}}, "topologyKey": "kubernetes.io/hostname"}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


@pytest.mark.parametrize(
    ("spec", "container"),
    [
        ({"affinity": {
            "nodeAffinity": {
                REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In",
                                                                        "values": ["a"]}]}]},
                PREFERRED: [{"weight": 1, "preference": {"matchFields": [
                    {"key": "metadata.name", "operator": "In", "values": ["n"]}]}}]},
            "podAffinity": {REQUIRED: [TERM]},
            "podAntiAffinity": {PREFERRED: [{"weight": 100, "podAffinityTerm": TERM}]}}}, {}),
        ({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                                         "labelSelector": {"matchLabels": {"app": "a"}}, "minDomains": 2}]}, {}),
        ({"schedulingGates": [{"name": "example.com/g"}]}, {}),
        ({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]},
         {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}),
        ({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]},
         {"volumeDevices": [{"name": "v", "devicePath": "/dev/v"}]}),
        ({"volumes": [{"name": "v", "nfs": {"server": "s", "path": "/p"}},
                      {"name": "w", "csi": {"driver": "example.com"}},
                      {"name": "x", "image": {"reference": "i:1"}},
                      {"name": "y", "iscsi": {"targetPortal": "t", "iqn": "iqn.2001-04.com.example:d", "lun": 0}}]},
         {}),
        ({}, {"ports": [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 80}]}),
        ({"resourceClaims": [{"name": "gpu", "resourceClaimName": "c"}]}, {"resources": {"claims": [{"name": "gpu"}]}}),
        ({"resources": {"limits": {"cpu": "1"}}, "shareProcessNamespace": True, "hostUsers": False}, {}),
        ({}, {"resources": {"limits": {"hugepages-2Mi": "4Mi", "memory": "1Gi", "ephemeral-storage": "1Gi"}}}),
        ({"os": {"name": "windows"}}, {"securityContext": {"windowsOptions": {"runAsUserName": "u"}}}),
        ({"securityContext": {"seLinuxOptions": {"level": "s0"}, "supplementalGroupsPolicy": "Strict",
                              "appArmorProfile": {"type": "RuntimeDefault"}}},
         {"securityContext": {"procMount": "Unmasked"}, "resizePolicy": [
             {"resourceName": "cpu", "restartPolicy": "NotRequired"}]}),
    ],
)  # fmt: skip
async def test_every_field_of_a_pod_can_be_stored(
    api: Api, namespace: str, spec: dict[str, Any], container: dict[str, Any]
) -> None:
    found = await made(api, namespace, spec, container)
    assert set(spec) <= set(found)
    assert set(container) <= set(found["containers"][0])


async def test_volumes_of_every_source_are_defaulted(api: Api, namespace: str) -> None:
    found = await made(api, namespace, {"volumes": [
        {"name": "a", "rbd": {"monitors": ["m"], "image": "i"}},
        {"name": "b", "azureDisk": {"diskName": "d", "diskURI": "u"}},
        {"name": "c", "ephemeral": {"volumeClaimTemplate": {"spec": CLAIM}}},
        {"name": "d", "image": {"reference": "i"}},
    ]})  # fmt: skip
    volumes = {one["name"]: one for one in found["volumes"]}
    assert volumes["a"]["rbd"] == {
        "monitors": ["m"], "image": "i", "pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"
    }  # fmt: skip
    assert volumes["b"]["azureDisk"] == {
        "diskName": "d", "diskURI": "u", "cachingMode": "ReadWrite", "kind": "Shared", "fsType": "ext4",
        "readOnly": False,
    }  # fmt: skip
    assert volumes["c"]["ephemeral"]["volumeClaimTemplate"]["spec"]["volumeMode"] == "Filesystem"
    assert volumes["d"]["image"]["pullPolicy"] == "Always"


async def test_ports_in_the_nodes_network_are_the_nodes(api: Api, namespace: str) -> None:
    found = await made(api, namespace, {"hostNetwork": True}, {"ports": [{"containerPort": 80}]})
    assert found["containers"][0]["ports"] == [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]


@pytest.mark.parametrize(
    ("spec", "container", "causes"),
    [
        ({"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": []}}}}, {}, {
            f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms":
                "Required value: must have at least one node selector term"}),
        ({"affinity": {"nodeAffinity": {PREFERRED: [{"weight": 0, "preference": {"matchExpressions": [
            {"key": "a", "operator": "Near"}]}}]}}}, {}, {
            f"spec.affinity.nodeAffinity.{PREFERRED}[0].weight": "Invalid value: 0: must be in the range 1-100",
            f"spec.affinity.nodeAffinity.{PREFERRED}[0].preference.matchExpressions[0].operator":
                'Invalid value: "Near": not a valid selector operator'}),
        ({"affinity": {"podAntiAffinity": {REQUIRED: [{}]}}}, {}, {
            f"spec.affinity.podAntiAffinity.{REQUIRED}[0].topologyKey": "Required value: can not be empty"}),
        ({"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "z", "whenUnsatisfiable": "Maybe"}]}, {}, {
            "spec.topologySpreadConstraints[0].maxSkew": "Invalid value: 0: must be greater than zero",
            "spec.topologySpreadConstraints[0].whenUnsatisfiable":
                'Unsupported value: "Maybe": supported values: "DoNotSchedule", "ScheduleAnyway"'}),
        ({"schedulingGates": [{"name": "a"}, {"name": "a"}], "nodeName": "n"}, {}, {
            "spec.schedulingGates[1]": 'Duplicate value: "a"',
            "spec.nodeName": "Forbidden: cannot be set until all schedulingGates have been cleared"}),
        ({"ephemeralContainers": [{"name": "d", "image": "i"}]}, {}, {
            "spec.ephemeralContainers": "Forbidden: cannot be set on create"}),
        ({"volumes": [{"name": "v", "nfs": {"path": "p"}}]}, {}, {
            "spec.volumes[0].nfs.server": "Required value",
            "spec.volumes[0].nfs.path": 'Invalid value: "p": must be an absolute path'}),
        ({"volumes": [{"name": "v", "emptyDir": {}}]}, {"volumeDevices": [{"name": "v", "devicePath": "/d"}]}, {
            "spec.containers[0].volumeDevices[0].name": 'Invalid value: "v": can only use volume source type of '
                "PersistentVolumeClaim or Ephemeral for block mode"}),
        ({}, {"ports": [{"containerPort": 1, "hostPort": 9}, {"containerPort": 2, "hostPort": 9}]}, {
            "spec.containers[0].ports[1].hostPort": 'Duplicate value: "TCP//9"'}),
        ({"hostNetwork": True}, {"ports": [{"containerPort": 1, "hostPort": 9}]}, {
            "spec.containers[0].ports[0].containerPort":
                "Invalid value: 1: must match `hostPort` when `hostNetwork` is true"}),
        ({}, {"resources": {"claims": [{"name": "gpu"}]}}, {
            "spec.containers[0].resources.claims[0].name": 'Not found: "gpu"'}),
        ({}, {"resources": {"limits": {"hugepages-2Mi": "4Mi"}}}, {
            "spec.containers[0].resources": "Forbidden: HugePages require cpu or memory"}),
        ({"hostPID": True, "shareProcessNamespace": True}, {}, {
            "spec.shareProcessNamespace":
                "Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled"}),
        ({"securityContext": {"appArmorProfile": {"type": "Localhost"}}}, {"securityContext": {"procMount": "X"}}, {
            "spec.securityContext.appArmorProfile.localhostProfile":
                "Required value: must be set when AppArmor type is Localhost",
            "spec.containers[0].securityContext.procMount":
                'Unsupported value: "X": supported values: "Default", "Unmasked"'}),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_pod_is_told_by_path(
    api: Api, namespace: str, spec: dict[str, Any], container: dict[str, Any], causes: dict[str, str]
) -> None:
    assert await causes_of(api.manifest(core.Pod, text(spec, container), namespace=namespace)) == causes


async def test_a_pod_that_is_held_back_narrows_where_it_goes_and_loses_gates(api: Api, namespace: str) -> None:
    spec = {"schedulingGates": [{"name": "a"}, {"name": "b"}]}
    pod = await api.manifest(core.Pod, text(spec), namespace=namespace)
    pod.spec.node_selector["zone"] = "z"
    del pod.spec.scheduling_gates[1]
    pod = await api.update(pod)
    assert [gate.name for gate in pod.spec.scheduling_gates] == ["a"]
    pod.spec.scheduling_gates.add(name="c")
    with pytest.raises(errors.Invalid, match="only deletion is allowed, but found new scheduling gate 'c'"):
        await api.update(pod)
    del pod.spec.scheduling_gates[:]
    pod = await api.update(pod)
    pod.spec.node_selector["more"] = "m"
    with pytest.raises(errors.Invalid, match="pod updates may not change fields"):
        await api.update(pod)
