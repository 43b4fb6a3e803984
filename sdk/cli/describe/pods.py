"""A pod, described."""

from __future__ import annotations

from raftsman.core import v1 as core
from raftsman.metadata import controller_of

from . import templates
from .text import NONE, Text, conditions, moment


def pod(text: Text, obj: core.Pod) -> None:
    _head(text, obj)
    _addresses(text, obj)
    statuses = {s.name: s for s in [*obj.status.init_container_statuses, *obj.status.container_statuses]}
    for title, found in (("Init Containers", obj.spec.init_containers), ("Containers", obj.spec.containers)):
        if found:
            text.heading(title)
            for container in found:
                templates.container(text, container, statuses.get(container.name))
    conditions(text, obj.status.conditions, ("Type", "Status"))
    templates.volumes(text, obj.spec.volumes)
    text.field("QoS Class", obj.status.qos_class or NONE)
    text.mapping("Node-Selectors", obj.spec.node_selector)
    text.field("Tolerations", "\n".join(templates.toleration(t) for t in obj.spec.tolerations) or NONE)


def _head(text: Text, obj: core.Pod) -> None:
    text.field("Name", obj.metadata.name)
    text.field("Namespace", obj.metadata.namespace)
    text.field("Priority", obj.spec.priority)
    text.field("Service Account", obj.spec.service_account_name or "default")
    text.field("Node", f"{obj.spec.node_name}/{obj.status.host_ip}" if obj.spec.node_name else NONE)
    if obj.status.HasField("start_time"):
        text.field("Start Time", moment(obj.status.start_time))
    text.mapping("Labels", obj.metadata.labels)
    text.annotations(obj.metadata.annotations)
    if obj.metadata.HasField("deletion_timestamp"):
        text.field("Status", f"Terminating (since {moment(obj.metadata.deletion_timestamp)})")
        text.field("Termination Grace Period", f"{obj.metadata.deletion_grace_period_seconds}s")
    else:
        text.field("Status", obj.status.phase)
    if obj.status.reason:
        text.field("Reason", obj.status.reason)
    if obj.status.message:
        text.field("Message", obj.status.message)


def _addresses(text: Text, obj: core.Pod) -> None:
    text.field("IP", obj.status.pod_ip)
    if obj.status.pod_ips:
        text.heading("IPs")
        for address in obj.status.pod_ips:
            text.field("IP", address.ip, 1)
    else:
        text.field("IPs", NONE)
    owner = controller_of(obj)
    if owner is not None:
        text.field("Controlled By", f"{owner.kind}/{owner.name}")
