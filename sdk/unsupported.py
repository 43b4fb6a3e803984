"""Fields that are known and that nothing acts upon yet, each with what it would need.

Nothing is accepted and ignored. Pods may say everything that Kubernetes' pods may, so that manifests, and templates in
workloads, can be stored; the scheduler gives a pod that uses one of these fields no node and says why in its condition,
and a node agent that is handed one anyway fails it by name. What a service may not say yet the API refuses.

Tables hold paths below a spec, in JSON names, `[]` for each element of a list; any value that is not the type's zero
counts, unless it is listed as meaning nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from raftsman.core import v1 as core

# (path, what it needs)
Offence = tuple[str, str]
REASON = "UnsupportedPodSpec"

_CONTAINER = {
    "volumeDevices": "block volumes",
    "restartPolicyRules": "per-container restart rules in the node agent",
    "resources.claims": "dynamic resource allocation",
    "volumeMounts[].recursiveReadOnly": "recursive read-only mounts in the node agent",
    "env[].valueFrom.fileKeyRef": "environment files in the node agent",
    "securityContext.seLinuxOptions": "SELinux support in the node agent",
    "securityContext.windowsOptions": "Windows nodes",
    "securityContext.procMount": "proc mount types in the node agent",
    "securityContext.appArmorProfile": "AppArmor support in the node agent",
    "securityContext.seccompProfile.localhostProfile": "local seccomp profiles in the node agent",
    "lifecycle.stopSignal": "stop signals of containers in the node agent",
}

_VOLUME = {
    "gcePersistentDisk": "a CSI driver", "awsElasticBlockStore": "a CSI driver", "gitRepo": "a removed volume type",
    "nfs": "the volume controllers", "iscsi": "the volume controllers", "glusterfs": "a removed volume type",
    "persistentVolumeClaim": "the volume controllers", "rbd": "a removed volume type", "flexVolume": "flex drivers",
    "cinder": "a CSI driver", "cephfs": "a removed volume type", "flocker": "a removed volume type",
    "fc": "the volume controllers", "azureFile": "a CSI driver", "vsphereVolume": "a CSI driver",
    "quobyte": "a removed volume type", "azureDisk": "a CSI driver", "photonPersistentDisk": "a removed volume type",
    "portworxVolume": "a CSI driver", "scaleIO": "a removed volume type", "storageos": "a removed volume type",
    "csi": "CSI drivers", "ephemeral": "the volume controllers", "image": "image volumes in the node agent",
    "projected.sources[].clusterTrustBundle": "trust bundles", "projected.sources[].podCertificate": "pod certificates",
}  # fmt: skip

_POD = {
    "hostUsers": "user namespaces in the node agent",
    "runtimeClassName": "runtime classes",
    "overhead": "runtime classes",
    "resourceClaims": "dynamic resource allocation",
    "resources": "pod-level resources in the node agent",
    "hostnameOverride": "host name overrides in the node agent",
    "setHostnameAsFQDN": "host name overrides in the node agent",
    "schedulingGroup": "gang scheduling",
    "os.name": "nodes of that operating system",
    "securityContext.seLinuxOptions": "SELinux support in the node agent",
    "securityContext.windowsOptions": "Windows nodes",
    "securityContext.seLinuxChangePolicy": "SELinux support in the node agent",
    "securityContext.supplementalGroupsPolicy": "supplemental group policies in the node agent",
    "securityContext.appArmorProfile": "AppArmor support in the node agent",
    "securityContext.seccompProfile.localhostProfile": "local seccomp profiles in the node agent",
    "securityContext.fsGroupChangePolicy": "changing ownership of volumes only when needed",
}

ON_NODES: dict[str, str] = {
    **_POD,
    **{f"volumes[].{path}": needs for path, needs in _VOLUME.items()},
    **{f"{list_}[].{path}": needs for list_ in ("containers", "initContainers") for path, needs in _CONTAINER.items()},
    "containers[].restartPolicy": "per-container restart rules in the node agent (sidecars are init containers)",
}

# Values that ask for what happens anyway.
_HARMLESS: dict[str, tuple[object, ...]] = {
    "hostUsers": (True,),
    "os.name": ("linux",),
    "containers[].volumeMounts[].recursiveReadOnly": ("Disabled", "IfPossible"),
    "initContainers[].volumeMounts[].recursiveReadOnly": ("Disabled", "IfPossible"),
    "containers[].securityContext.procMount": ("Default",),
    "initContainers[].securityContext.procMount": ("Default",),
    "containers[].securityContext.appArmorProfile": (core.AppArmorProfile(type="Unconfined"),),
    "initContainers[].securityContext.appArmorProfile": (core.AppArmorProfile(type="Unconfined"),),
    "securityContext.appArmorProfile": (core.AppArmorProfile(type="Unconfined"),),
    "securityContext.supplementalGroupsPolicy": ("Merge",),
    "securityContext.fsGroupChangePolicy": ("Always",),
    "resources": (core.ResourceRequirements(),),
}


def on_nodes(pod: core.Pod) -> list[Offence]:
    """What of a pod no node acts upon."""
    return [*_node_fields()(pod.spec, "spec"), *_host_ports(pod.spec), *_disk_limits(pod.spec)]


def in_scheduler(pod: core.Pod) -> list[Offence]:
    """What of a pod the scheduler does not act upon, nor any node."""
    return [*_namespace_selectors(pod.spec), *on_nodes(pod)]


def sentence(found: list[Offence]) -> str:
    return "; ".join(f"{path} is not supported yet: it needs {needs}" for path, needs in found)


@functools.cache
def _node_fields() -> Finder:
    return finder(core.PodSpec, ON_NODES)


def _namespace_selectors(spec: core.PodSpec) -> Iterator[Offence]:
    """An empty one is every namespace; labels of namespaces are not looked at."""
    for word, found in (
        ("podAffinity", spec.affinity.pod_affinity),
        ("podAntiAffinity", spec.affinity.pod_anti_affinity),
    ):
        required = found.required_during_scheduling_ignored_during_execution
        preferred = found.preferred_during_scheduling_ignored_during_execution
        for term in (*required, *(one.pod_affinity_term for one in preferred)):
            if term.namespace_selector.ListFields():
                yield f"spec.affinity.{word}.namespaceSelector", "labels of namespaces in the scheduler"


def _host_ports(spec: core.PodSpec) -> Iterator[Offence]:
    """A pod in the node's network has the node's ports anyway."""
    if spec.host_network:
        return
    for word, containers in (("containers", spec.containers), ("initContainers", spec.init_containers)):
        for index, container in enumerate(containers):
            for position, port in enumerate(container.ports):
                if port.host_port:
                    at = f"spec.{word}[{index}].ports[{position}].hostPort"
                    yield at, "host ports in the node's network"


def _disk_limits(spec: core.PodSpec) -> Iterator[Offence]:
    for word, containers in (("containers", spec.containers), ("initContainers", spec.init_containers)):
        for index, container in enumerate(containers):
            if "ephemeral-storage" in container.resources.limits:
                at = f"spec.{word}[{index}].resources.limits[ephemeral-storage]"
                yield at, "disk accounting in the node agent"


Finder = Callable[[Any, str], Iterator[Offence]]


def finder(message: type[Any], table: dict[str, str]) -> Finder:
    """A function (message, path) that finds every field of `table` that is in use."""
    root: dict[str, Any] = {}
    for path, needs in table.items():
        node = root
        for name in path.split("."):
            node = node.setdefault(name, {})
        node["!"] = (needs, _HARMLESS.get(path, ()))
    plan = _compile(message.DESCRIPTOR, root)
    return lambda found, path: _offences(found, plan, path)


# name in Python, name in JSON, whether repeated, what is refused with which harmless values, plan below, inlined
_Plan = list[tuple[str, str, bool, Any, Any, bool]]


def _compile(descriptor: Any, node: dict[str, Any]) -> _Plan:
    plan: _Plan = []
    for name, below in node.items():
        if name == "!":
            continue
        json_name = name.removesuffix("[]")
        field, inlined = _field(descriptor, json_name)
        deeper = _compile(field.message_type, below) if any(key != "!" for key in below) else None
        entry = (field.name, json_name, field.is_repeated, below.get("!"), deeper, False)
        plan.append((inlined.name, "", False, None, [entry], True) if inlined is not None else entry)
    return plan


def _field(descriptor: Any, json_name: str) -> tuple[Any, Any]:
    """The field of that JSON name, and the inlined message that holds it, if one does."""
    for field in descriptor.fields:
        if field.json_name == json_name:
            return field, None
    for field in descriptor.fields:
        if field.name in ("volume_source", "handler", "ephemeral_container_common"):
            return _field(field.message_type, json_name)[0], field
    raise KeyError(f"{descriptor.full_name} has no field {json_name}")


def _offences(found: Any, plan: _Plan, path: str) -> Iterator[tuple[str, str]]:
    for name, json_name, repeated, refused, below, inlined in plan:
        if inlined:
            if found.HasField(name):
                yield from _offences(getattr(found, name), below, path)
            continue
        if not (len(getattr(found, name)) if repeated else found.HasField(name)):
            continue
        at, value = f"{path}.{json_name}", getattr(found, name)
        if refused is not None and (repeated or _means_something(value, refused[1])):
            yield at, refused[0]
        elif below is not None:
            elements = enumerate(value) if repeated else ((None, value),)
            for index, element in elements:
                yield from _offences(element, below, at if index is None else f"{at}[{index}]")


def _means_something(value: Any, harmless: tuple[object, ...]) -> bool:
    if isinstance(value, (str, int, float, bytes)):
        # Where a value is harmless, the zero may be what asks for something: hostUsers: false.
        return value not in (*harmless, "") if harmless else bool(value)
    return value not in harmless
