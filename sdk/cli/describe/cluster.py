"""Nodes, namespaces, configuration, accounts and roles, described."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raftsman import codec, quantity, times
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.printers import cluster
from raftsman.rbac import v1 as rbac

from .text import NONE, Text, conditions, head, moment


def node(text: Text, obj: core.Node) -> None:
    text.field("Name", obj.metadata.name)
    text.field("Roles", cluster.node_roles(obj))
    text.mapping("Labels", obj.metadata.labels)
    text.annotations(obj.metadata.annotations)
    text.field("CreationTimestamp", moment(obj.metadata.creation_timestamp))
    taints = [f"{t.key}{f'={t.value}' if t.value else ''}:{t.effect}" for t in obj.spec.taints]
    text.field("Taints", "\n".join(taints) or NONE)
    text.field("Unschedulable", str(obj.spec.unschedulable).lower())
    columns = ("Type", "Status", "LastHeartbeatTime", "LastTransitionTime", "Reason", "Message")
    conditions(text, obj.status.conditions, columns)
    text.heading("Addresses")
    for address in obj.status.addresses:
        text.field(address.type, address.address, 1)
    for label, amounts in (("Capacity", obj.status.capacity), ("Allocatable", obj.status.allocatable)):
        text.heading(label)
        for name in sorted(amounts):
            text.field(name, codec.to_json(amounts[name]), 1)
    text.heading("System Info")
    for key, value in codec.to_json(obj.status.node_info).items():
        text.field(f"{key[:1].upper()}{key[1:]}", value, 1)
    if obj.spec.pod_cidr:
        text.field("PodCIDR", obj.spec.pod_cidr)
        text.field("PodCIDRs", ",".join(obj.spec.pod_cidrs))


_NodeAmounts = Mapping[str, meta.Quantity]


def node_pods(text: Text, obj: core.Node, found: Sequence[core.Pod]) -> None:
    """The pods of a node and what they ask of it."""
    running = [p for p in found if p.status.phase not in ("Succeeded", "Failed")]
    text.line(f"Non-terminated Pods:  ({len(running)} in total)")
    rows = [["Namespace", "Name", "CPU Requests", "CPU Limits", "Memory Requests", "Memory Limits", "Age"]]
    rows.append(["-" * min(len(name), 13) for name in rows[0]])
    totals = {(what, name): 0 for what in ("requests", "limits") for name in ("cpu", "memory")}
    for pod in running:
        cells = []
        for name in ("cpu", "memory"):
            for what in ("requests", "limits"):
                amount = _sum(pod, what, name)
                totals[what, name] += amount
                cells.append(_share(amount, obj.status.allocatable, name))
        rows.append([pod.metadata.namespace, pod.metadata.name, *cells, times.age(pod.metadata.creation_timestamp)])
    text.table(rows)
    text.heading("Allocated resources")
    shares = [
        [name, *(_share(totals[what, name], obj.status.allocatable, name) for what in ("requests", "limits"))]
        for name in ("cpu", "memory")
    ]
    text.table([["Resource", "Requests", "Limits"], ["--------", "--------", "------"], *shares])


def _sum(pod: core.Pod, what: str, name: str) -> int:
    """Thousandths of what a pod's containers ask for."""
    amounts = [getattr(c.resources, what) for c in pod.spec.containers]
    return sum(quantity.to_milli(found[name].string) for found in amounts if name in found)


def _share(milli: int, allocatable: _NodeAmounts, name: str) -> str:
    whole = quantity.to_milli(allocatable[name].string) if name in allocatable else 0
    amount = quantity.from_milli(milli)
    binary = quantity.from_int(amount.value, quantity.Notation.BINARY) if name == "memory" else amount
    return f"{binary} ({milli * 100 // whole if whole else 0}%)"


def namespace(text: Text, obj: core.Namespace) -> None:
    head(text, obj, namespaced=False)
    text.field("Status", obj.status.phase)
    conditions(text, obj.status.conditions, ("Type", "Status", "Reason", "Message"))


def config_map(text: Text, obj: core.ConfigMap) -> None:
    head(text, obj)
    text.line("")
    text.line("Data")
    text.line("====")
    for key in sorted(obj.data):
        text.line(f"{key}:")
        text.line("----")
        for line in obj.data[key].split("\n"):
            text.line(line)
        text.line("")
    text.line("BinaryData")
    text.line("====")
    for key in sorted(obj.binary_data):
        text.line(f"{key}: {len(obj.binary_data[key])} bytes")
    text.line("")


def secret(text: Text, obj: core.Secret) -> None:
    """Only how long the values are."""
    head(text, obj)
    text.line("")
    text.field("Type", obj.type)
    text.line("")
    text.line("Data")
    text.line("====")
    for key in sorted(obj.data):
        text.field(key, f"{len(obj.data[key])} bytes")


def service_account(text: Text, obj: core.ServiceAccount) -> None:
    head(text, obj)
    text.field("Image pull secrets", "\n".join(s.name for s in obj.image_pull_secrets) or NONE)
    text.field("Mountable secrets", "\n".join(s.name for s in obj.secrets) or NONE)


def role(text: Text, obj: rbac.Role | rbac.ClusterRole) -> None:
    text.field("Name", obj.metadata.name)
    text.mapping("Labels", obj.metadata.labels)
    text.annotations(obj.metadata.annotations)
    text.heading("PolicyRule")
    rows = [["Resources", "Non-Resource URLs", "Resource Names", "Verbs"]]
    rows.append(["-" * min(len(name), 17) for name in rows[0]])
    for rule in obj.rules:
        groups = list(rule.api_groups) or [""]
        kinds = [f"{name}.{group}" if group else name for group in groups for name in rule.resources]
        urls, names, verbs = (f"[{' '.join(f)}]" for f in (rule.non_resource_urls, rule.resource_names, rule.verbs))
        rows += [[kind, urls, names, verbs] for kind in kinds or [""]]
    text.table(rows)


def role_binding(text: Text, obj: Any) -> None:
    text.field("Name", obj.metadata.name)
    text.mapping("Labels", obj.metadata.labels)
    text.annotations(obj.metadata.annotations)
    text.heading("Role")
    text.field("Kind", obj.role_ref.kind, 1)
    text.field("Name", obj.role_ref.name, 1)
    text.heading("Subjects")
    rows = [["Kind", "Name", "Namespace"], ["----", "----", "---------"]]
    text.table([*rows, *([s.kind, s.name, s.namespace] for s in obj.subjects)])
