"""Rows and columns: which columns a kind has, its cells, and printing them with padding.

Three blanks divide columns. A writer remembers the widths that it has used, so that the rows of a watch stay in line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Any

from raftsman import conversion, times
from raftsman.resources import Resource

from . import (
    admission,
    autoscaling,
    cluster,
    control,
    custom,
    devices,
    jobs,
    network,
    pods,
    quotas,
    registrations,
    scheduling,
    storage,
    volumes,
    workloads,
)

Cells = Sequence[str]
NONE = "<none>"

# The cells of every column of a kind, in the order of its columns, by the kind's qualified name.
_PRINTERS: dict[str, Callable[[Any, datetime], Cells]] = {
    "pods": pods.pod,
    "deployments.apps": workloads.deployment,
    "replicasets.apps": workloads.replica_set,
    "daemonsets.apps": workloads.daemon_set,
    "statefulsets.apps": workloads.stateful_set,
    "controllerrevisions.apps": workloads.controller_revision,
    "replicationcontrollers": workloads.replication_controller,
    "podtemplates": workloads.pod_template,
    "jobs.batch": jobs.job,
    "cronjobs.batch": jobs.cron_job,
    "horizontalpodautoscalers.autoscaling": autoscaling.autoscaler,
    "persistentvolumes": volumes.volume,
    "persistentvolumeclaims": volumes.claim,
    "resourcequotas": quotas.resource_quota,
    "limitranges": quotas.limit_range,
    "resourceclaims.resource.k8s.io": devices.claim,
    "resourceslices.resource.k8s.io": devices.resource_slice,
    "services": network.service,
    "endpoints": network.endpoints,
    "endpointslices.discovery.k8s.io": network.endpoint_slice,
    "ingresses.networking.k8s.io": network.ingress,
    "ingressclasses.networking.k8s.io": network.ingress_class,
    "networkpolicies.networking.k8s.io": network.network_policy,
    "ipaddresses.networking.k8s.io": network.ip_address,
    "servicecidrs.networking.k8s.io": network.service_cidr,
    "poddisruptionbudgets.policy": scheduling.budget,
    "priorityclasses.scheduling.k8s.io": scheduling.priority_class,
    "csidrivers.storage.k8s.io": storage.csi_driver,
    "csinodes.storage.k8s.io": storage.csi_node,
    "csistoragecapacities.storage.k8s.io": storage.capacity,
    "storageclasses.storage.k8s.io": storage.storage_class,
    "volumeattachments.storage.k8s.io": storage.attachment,
    "volumeattributesclasses.storage.k8s.io": storage.attributes_class,
    "certificatesigningrequests.certificates.k8s.io": control.signing_request,
    "flowschemas.flowcontrol.apiserver.k8s.io": control.flow_schema,
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": control.priority_level,
    "runtimeclasses.node.k8s.io": control.runtime_class,
    "apiservices.apiregistration.k8s.io": registrations.api_service,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": admission.webhooks,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": admission.webhooks,
    "validatingadmissionpolicies.admissionregistration.k8s.io": admission.validating_policy,
    "mutatingadmissionpolicies.admissionregistration.k8s.io": admission.mutating_policy,
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": admission.binding,
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io": admission.binding,
    "nodes": cluster.node,
    "namespaces": cluster.namespace,
    "componentstatuses": cluster.component_status,
    "events": cluster.event,
    "events.events.k8s.io": cluster.event,
    "configmaps": cluster.config_map,
    "secrets": cluster.secret,
    "leases.coordination.k8s.io": cluster.lease,
    "customresourcedefinitions.apiextensions.k8s.io": cluster.role,
    "roles.rbac.authorization.k8s.io": cluster.role,
    "clusterroles.rbac.authorization.k8s.io": cluster.role,
    "rolebindings.rbac.authorization.k8s.io": cluster.role_binding,
    "clusterrolebindings.rbac.authorization.k8s.io": cluster.role_binding,
}


def columns(resource: Resource, *, wide: bool = False) -> list[str]:
    """The headers of a kind's table."""
    facts = _facts(resource)
    return [_header(column) for column in facts if wide or not _priority(column)]


_NAME_AND_AGE: Sequence[Any] = ("Name", "Age")


def _facts(resource: Resource) -> Sequence[Any]:
    own = getattr(resource.message, "COLUMNS", None)
    if own:
        return ["Name", *own]
    return resource.facts.columns if resource.qualified in _PRINTERS else _NAME_AND_AGE


def _header(column: Any) -> str:
    name: str = column if isinstance(column, str) else column.name
    return name.upper()


def _priority(column: Any) -> int:
    return 0 if isinstance(column, str) else column.priority


def cells(resource: Resource, obj: Any, *, wide: bool = False, now: datetime | None = None) -> list[str]:
    """The cells of one object, one for each of `columns`."""
    printer = _PRINTERS.get(resource.qualified)
    if resource.facts.stored_as:
        obj = conversion.stored(obj)
    moment = now or datetime.now(UTC)
    if getattr(obj, "COLUMNS", None):
        tree = obj.to_json()
        own = [obj.metadata.name, *(custom.cell(column, tree, moment) for column in obj.COLUMNS)]
        return [cell for cell, column in zip(own, _facts(resource), strict=True) if wide or not _priority(column)]
    if printer is None:
        return [obj.metadata.name, times.age(obj.metadata.creation_timestamp, now=moment)]
    found = printer(obj, moment)
    assert len(found) == len(resource.facts.columns), f"{resource.qualified}: one cell for each column"
    return [cell for cell, column in zip(found, resource.facts.columns, strict=True) if wide or not column.priority]


def definitions(resource: Resource) -> list[dict[str, Any]]:
    """The columnDefinitions of a kind's Table, the wide ones with priority 1."""
    facts = resource.facts.columns if resource.qualified in _PRINTERS else _NAME_AND_AGE
    found = []
    for column in facts:
        name = column if isinstance(column, str) else column.name
        type_, format_ = (
            ("string", "name" if name == "Name" else "") if isinstance(column, str) else (column.type, column.format)
        )
        found.append({"name": name, "type": type_, "format": format_, "description": "", "priority": _priority(column)})
    return found


def typed_cells(resource: Resource, obj: Any) -> list[str | int | bool]:
    """The cells of a Table's row, all columns: those of type integer as numbers, of type boolean as such."""
    found = cells(resource, obj, wide=True)
    if resource.qualified not in _PRINTERS:
        return list(found)
    return [_typed(cell, column.type) for cell, column in zip(found, resource.facts.columns, strict=True)]


def _typed(cell: str, type_: str) -> str | int | bool:
    if type_ == "integer" and cell.removeprefix("-").isdigit():
        return int(cell)
    return cell == "true" if type_ == "boolean" else cell


def labels_text(labels: Any) -> str:
    """`a=b,c=d`, sorted; `<none>` without labels."""
    return ",".join(f"{key}={labels[key]}" for key in sorted(labels)) or NONE


@dataclass(slots=True)
class Layout:
    """What a table shows around the kind's own columns."""

    wide: bool = False
    namespace: bool = False
    labels: bool = False
    kind_prefix: bool = False
    label_columns: tuple[str, ...] = ()

    def headers(self, resource: Resource) -> list[str]:
        head = ["NAMESPACE"] if self.namespace else []
        tail = [key.rpartition("/")[2].upper() for key in self.label_columns] + (["LABELS"] if self.labels else [])
        return [*head, *columns(resource, wide=self.wide), *tail]

    def row(self, resource: Resource, obj: Any, now: datetime | None = None) -> list[str]:
        found = cells(resource, obj, wide=self.wide, now=now)
        if self.kind_prefix:
            prefix = kind_prefix(resource)
            at = columns(resource, wide=self.wide).index("NAME") if "NAME" in columns(resource, wide=self.wide) else -1
            if at >= 0:
                found[at] = f"{prefix}/{found[at]}"
        head = [obj.metadata.namespace or NONE] if self.namespace else []
        tail = [obj.metadata.labels.get(key, NONE) for key in self.label_columns]
        if self.labels:
            tail.append(labels_text(obj.metadata.labels))
        return [*head, *found, *tail]


def kind_prefix(resource: Resource) -> str:
    """`pod`, `deployment.apps`: what stands before the slash when an object is named."""
    singular = resource.facts.singular
    return f"{singular}.{resource.group}" if resource.group else singular


@dataclass(slots=True)
class Writer:
    """Prints rows to a stream, padded; columns only ever grow."""

    out: IO[str]
    widths: list[int] = field(default_factory=list)

    def write(self, lines: Iterable[Sequence[str]]) -> None:
        """Print rows that belong together: their widths are found before the first is printed."""
        found = [[_one_line(cell) for cell in line] for line in lines]
        for line in found:
            for index, cell in enumerate(line):
                if index == len(self.widths):
                    self.widths.append(0)
                self.widths[index] = max(self.widths[index], len(cell))
        for line in found:
            padded = [cell.ljust(self.widths[index] + 3) for index, cell in enumerate(line[:-1])]
            self.out.write("".join([*padded, *line[-1:]]) + "\n")
        self.out.flush()


def _one_line(cell: str) -> str:
    """Control characters in an object must not move the terminal's cursor."""
    if cell.isprintable():
        return cell
    return "".join(c if c.isprintable() else " " if c in "\n\r\t" else repr(c)[1:-1] for c in cell)
