"""One declaration per served kind: its rules of names, defaults, validation, updates and selectable fields."""

from __future__ import annotations

from typing import Any

from raftsman import quantity, resources
from raftsman.apps import v1 as apps
from raftsman.authentication import v1 as authentication
from raftsman.authorization import v1 as authorization
from raftsman.coordination import v1 as coordination
from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery
from raftsman.rbac import v1 as rbac

from . import selectable
from .defaulting import cluster as cluster_defaults
from .defaulting import pods as pod_defaults
from .defaulting import services as service_defaults
from .defaulting import workloads as workload_defaults
from .kinds import Kind
from .validation import cluster, config, names, pods, services, workloads
from .validation import rbac as roles

EVENT_TTL_S = 3600


def _kind(message: type[Any], **facts: Any) -> Kind:
    return Kind(resources.by_message(message), **facts)


def _drop_status(obj: Any) -> None:
    obj.ClearField("status")


def _new_pod(pod: core.Pod) -> None:
    pod.status.phase = "Pending"
    try:
        pod.status.qos_class = pod_defaults.quality(pod.spec)
    except quantity.QuantityError:
        # Validation names it.
        pass


def table() -> dict[str, Kind]:
    """Every served kind by its qualified name."""
    kinds = (*_core(), *_workloads(), *_network(), *_rbac(), *_reviews())
    return {kind.resource.qualified: kind for kind in kinds}


def _core() -> tuple[Kind, ...]:
    return (
        _kind(
            core.Pod, name_rule=names.dns_subdomain, has_status=True, has_generation=True,
            default=pod_defaults.pod, prepare_create=_drop_status, complete_create=_new_pod,
            node_of=lambda pod: pod.spec.node_name, selectable=selectable.POD, fields_of=selectable.pod,
            validate=pods.pod, validate_update=pods.update, validate_status=pods.status,
        ),
        _kind(
            core.Node, name_rule=names.dns_subdomain, has_status=True, default=cluster_defaults.node_status,
            selectable=selectable.NODE, fields_of=selectable.node,
            validate=cluster.node, validate_update=cluster.node_update, validate_status=cluster.node_status,
        ),
        _kind(
            core.Namespace, judges=True, name_rule=names.dns_label, has_status=True, default=cluster_defaults.namespace,
            prepare_create=cluster_defaults.new_namespace, prepare_update=cluster_defaults.namespace_update,
            selectable=selectable.NAMESPACE, fields_of=selectable.namespace,
        ),
        _kind(
            core.ConfigMap, name_rule=names.dns_subdomain,
            validate=config.config_map, validate_update=config.config_map_update,
        ),
        _kind(
            core.Secret, name_rule=names.dns_subdomain, default=cluster_defaults.secret,
            selectable=selectable.SECRET, fields_of=selectable.secret,
            validate=config.secret, validate_update=config.secret_update,
        ),
        _kind(
            core.ServiceAccount, judges=True, name_rule=names.dns_subdomain, validate=cluster.service_account,
            validate_update=lambda new, _, causes: cluster.service_account(new, causes),
        ),
        _kind(
            core.Event, name_rule=names.dns_subdomain, ttl_s=EVENT_TTL_S,
            selectable=selectable.EVENT, fields_of=selectable.event,
            validate=cluster.event, validate_update=cluster.event_update,
        ),
        _kind(
            coordination.Lease, name_rule=names.dns_subdomain, validate=cluster.lease,
            validate_update=cluster.lease_update,
        ),
    )  # fmt: skip


def _workloads() -> tuple[Kind, ...]:
    return (
        _kind(
            apps.Deployment, name_rule=names.dns_subdomain, has_status=True, has_generation=True,
            default=workload_defaults.deployment, prepare_create=_drop_status,
            validate=workloads.deployment, validate_update=workloads.deployment_update,
        ),
        _kind(
            apps.ReplicaSet, name_rule=names.dns_subdomain, has_status=True, has_generation=True,
            default=workload_defaults.replica_set, prepare_create=_drop_status,
            selectable=selectable.REPLICA_SET, fields_of=selectable.replica_set,
            validate=workloads.replica_set, validate_update=workloads.replica_set_update,
        ),
    )  # fmt: skip


def _network() -> tuple[Kind, ...]:
    return (
        _kind(
            core.Service, name_rule=names.dns_1035_label, has_status=True, default=service_defaults.service,
            prepare_create=_drop_status, prepare_update=service_defaults.service_update,
            selectable=selectable.SERVICE, fields_of=selectable.service,
            validate=services.service, validate_update=services.service_update,
        ),
        _kind(
            core.Endpoints, name_rule=names.dns_subdomain, default=service_defaults.endpoints,
            validate=services.endpoints, validate_update=lambda new, _, causes: services.endpoints(new, causes),
        ),
        _kind(
            discovery.EndpointSlice, name_rule=names.dns_subdomain, has_generation=True,
            default=service_defaults.endpoint_slice,
            validate=services.endpoint_slice, validate_update=services.endpoint_slice_update,
        ),
    )  # fmt: skip


def _reviews() -> tuple[Kind, ...]:
    """Questions: created, answered, never stored."""
    return tuple(
        _kind(message, name_rule=names.dns_subdomain)
        for message in (
            authentication.SelfSubjectReview, authentication.TokenReview, authorization.LocalSubjectAccessReview,
            authorization.SelfSubjectAccessReview, authorization.SelfSubjectRulesReview,
            authorization.SubjectAccessReview,
        )
    )  # fmt: skip


def _rbac() -> tuple[Kind, ...]:
    return (
        _kind(
            rbac.Role, judges=True, name_rule=names.path_segment, validate=roles.role,
            validate_update=roles.role_update,
        ),
        _kind(
            rbac.ClusterRole, judges=True, name_rule=names.path_segment, validate=roles.cluster_role,
            validate_update=roles.cluster_role_update,
        ),
        *(
            _kind(
                message, judges=True, name_rule=names.path_segment, default=cluster_defaults.binding,
                validate=roles.binding, validate_update=roles.binding_update,
            )
            for message in (rbac.RoleBinding, rbac.ClusterRoleBinding)
        ),
    )  # fmt: skip
