"""What is known and not acted upon: kinds, methods and fields, each with what would be needed.

Nothing is accepted and ignored: a manifest that uses one of these is refused by name. `FIELDS` holds paths below a
pod's spec, in JSON names, `[]` for each element of a list; any value that is not the type's zero is refused, unless the
value is listed as meaningless (`Value.harmless`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .validation.causes import Causes

KINDS = {
    "events.events.k8s.io": "conversion to the core group's events (use v1 Event)",
    "componentstatuses": "component probes (use /readyz of each process)",
    "bindings": "the old binding API (use Pods/Bind)",
}

VERBS = {
    "Evict": "disruption budgets",
    "Attach": "attaching to a running container in the node agent (use Exec)",
    "PortForward": "port forwarding in the node agent",
    "Apply": "nothing more than Patch, which applies with type APPLY",
    "Resize": "in-place resizing in the node agent",
    "UpdateEphemeralContainers": "ephemeral containers in the node agent",
    "Proxy": "an HTTP proxy in the API server",
}

_CONTAINER = {
    "volumeDevices": "block volumes",
    "restartPolicyRules": "per-container restart rules in the node agent",
    "resizePolicy": "in-place resizing",
    "ports[].hostPort": "host ports in the node's network",
    "ports[].hostIP": "host ports in the node's network",
    "resources.claims": "dynamic resource allocation",
    "volumeMounts[].recursiveReadOnly": "recursive read-only mounts in the node agent",
    "env[].valueFrom.fileKeyRef": "environment files in the node agent",
    "securityContext.seLinuxOptions": "SELinux support in the node agent",
    "securityContext.windowsOptions": "Windows nodes",
    "securityContext.procMount": "proc mount types in the node agent",
    "securityContext.appArmorProfile": "AppArmor support in the node agent",
    "securityContext.seccompProfile.localhostProfile": "local seccomp profiles in the node agent",
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
    "ephemeralContainers": "ephemeral containers in the node agent",
    "affinity": "affinity in the scheduler (use nodeSelector)",
    "topologySpreadConstraints": "topology spread in the scheduler",
    "shareProcessNamespace": "shared process namespaces in the node agent",
    "hostUsers": "user namespaces in the node agent",
    "runtimeClassName": "runtime classes",
    "overhead": "runtime classes",
    "schedulingGates": "scheduling gates in the scheduler",
    "resourceClaims": "dynamic resource allocation",
    "resources": "pod-level resources",
    "hostnameOverride": "host name overrides in the node agent",
    "setHostnameAsFQDN": "host name overrides in the node agent",
    "schedulingGroup": "gang scheduling",
    "securityContext.seLinuxOptions": "SELinux support in the node agent",
    "securityContext.windowsOptions": "Windows nodes",
    "securityContext.seLinuxChangePolicy": "SELinux support in the node agent",
    "securityContext.supplementalGroupsPolicy": "supplemental group policies in the node agent",
    "securityContext.appArmorProfile": "AppArmor support in the node agent",
    "securityContext.seccompProfile.localhostProfile": "local seccomp profiles in the node agent",
    "securityContext.fsGroupChangePolicy": "changing ownership of volumes only when needed",
}

POD_SPEC: dict[str, str] = {
    **_POD,
    **{f"volumes[].{path}": needs for path, needs in _VOLUME.items()},
    **{f"{list_}[].{path}": needs for list_ in ("containers", "initContainers") for path, needs in _CONTAINER.items()},
    "containers[].restartPolicy": "per-container restart rules in the node agent (sidecars are init containers)",
}

# Values that ask for what happens anyway.
HARMLESS: dict[str, tuple[object, ...]] = {
    "hostUsers": (True,),
    "containers[].volumeMounts[].recursiveReadOnly": ("Disabled",),
    "initContainers[].volumeMounts[].recursiveReadOnly": ("Disabled",),
    "containers[].securityContext.procMount": ("Default",),
    "initContainers[].securityContext.procMount": ("Default",),
    "securityContext.supplementalGroupsPolicy": ("Merge",),
    "securityContext.fsGroupChangePolicy": ("Always",),
}

SERVICE_SPEC = {
    "loadBalancerIP": "the cloud controller",
    "loadBalancerSourceRanges": "the cloud controller",
    "loadBalancerClass": "the cloud controller",
    "healthCheckNodePort": "the cloud controller",
    "trafficDistribution": "topology hints",
}


Check = Callable[[Any, Causes, str], None]


def checker(message: type[Any], table: dict[str, str]) -> Check:
    """A function (message, causes, path) that refuses every field of `table` that is in use."""
    root: dict[str, Any] = {}
    for path, needs in table.items():
        node = root
        for name in path.split("."):
            node = node.setdefault(name, {})
        node["!"] = (needs, HARMLESS.get(path, ()))
    plan = _compile(message.DESCRIPTOR, root)

    def check(found: Any, causes: Causes, path: str) -> None:
        for at, needs in _offences(found, plan, path):
            causes.unserved(at, f"it needs {needs}")

    return check


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
    return True
