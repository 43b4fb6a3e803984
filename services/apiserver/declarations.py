"""One declaration per served kind: its rules of names, defaults, validation, updates and selectable fields."""

from __future__ import annotations

from typing import Any

from raftsman import resources
from raftsman.apps import v1 as apps
from raftsman.coordination import v1 as coordination
from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery
from raftsman.rbac import v1 as rbac

from .kinds import Kind
from .validation import names

EVENT_TTL_S = 3600


def _kind(message: type[Any], **facts: Any) -> Kind:
    return Kind(resources.by_message(message), **facts)


def _drop_status(obj: Any) -> None:
    obj.ClearField("status")


def table() -> dict[str, Kind]:
    """Every served kind by its qualified name."""
    kinds = (
        _kind(core.Pod, name_rule=names.dns_subdomain, has_status=True, has_generation=True,
              node_of=lambda pod: pod.spec.node_name),
        _kind(core.Node, name_rule=names.dns_subdomain, has_status=True),
        _kind(core.Namespace, name_rule=names.dns_label, has_status=True),
        _kind(core.Service, name_rule=names.dns_1035_label, has_status=True),
        _kind(core.ConfigMap, name_rule=names.dns_subdomain),
        _kind(core.Secret, name_rule=names.dns_subdomain),
        _kind(core.ServiceAccount, name_rule=names.dns_subdomain),
        _kind(core.Endpoints, name_rule=names.dns_subdomain),
        _kind(core.Event, name_rule=names.dns_subdomain, ttl_s=EVENT_TTL_S),
        _kind(apps.Deployment, name_rule=names.dns_subdomain, has_status=True, has_generation=True),
        _kind(apps.ReplicaSet, name_rule=names.dns_subdomain, has_status=True, has_generation=True),
        _kind(discovery.EndpointSlice, name_rule=names.dns_subdomain, has_generation=True),
        _kind(coordination.Lease, name_rule=names.dns_subdomain),
        _kind(rbac.Role, name_rule=names.path_segment),
        _kind(rbac.RoleBinding, name_rule=names.path_segment),
        _kind(rbac.ClusterRole, name_rule=names.path_segment),
        _kind(rbac.ClusterRoleBinding, name_rule=names.path_segment),
    )  # fmt: skip
    return {kind.resource.qualified: kind for kind in kinds}
