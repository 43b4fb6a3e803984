"""The core group: pods, nodes, namespaces, configuration, services, volumes and quotas."""

from __future__ import annotations

from raftsman import quantity, selectors
from raftsman.autoscaling import v1 as autoscaling
from raftsman.conversion import events as event_conversion
from raftsman.core import v1 as core
from raftsman.events import v1 as events
from raftsman.services.apiserver import selectable
from raftsman.services.apiserver.defaulting import claims as claim_defaults
from raftsman.services.apiserver.defaulting import cluster as cluster_defaults
from raftsman.services.apiserver.defaulting import pods as pod_defaults
from raftsman.services.apiserver.defaulting import quotas as quota_defaults
from raftsman.services.apiserver.defaulting import services as service_defaults
from raftsman.services.apiserver.defaulting import workloads as workload_defaults
from raftsman.services.apiserver.kinds import Kind, Part, View, Workload
from raftsman.services.apiserver.validation import (
    claims,
    cluster,
    config,
    endpoints,
    names,
    persistent_volumes,
    pod_parts,
    pods,
    quotas,
    services,
    workloads,
)
from raftsman.services.apiserver.validation import events as event_rules

from .declaring import WITH_STATUS, drop_status, kind

EVENT_TTL_S = 3600


def _new_pod(pod: core.Pod) -> None:
    pod.status.phase = "Pending"
    try:
        pod.status.qos_class = pod_defaults.quality(pod.spec)
    except quantity.QuantityError:
        # Validation names it.
        pass


def kinds() -> tuple[Kind, ...]:
    """Their declarations."""
    return (
        kind(
            core.Pod, name_rule=names.dns_subdomain, has_status=True, has_generation=True,
            default=pod_defaults.pod, prepare_create=drop_status, complete_create=_new_pod,
            node_of=lambda pod: pod.spec.node_name, selectable=selectable.POD, fields_of=selectable.pod,
            validate=pods.pod, validate_update=pods.update, validate_status=pods.status,
            parts={
                "ephemeralcontainers": Part(pod_parts.take_ephemeral, pod_parts.ephemeral, "UpdateEphemeralContainers"),
                "resize": Part(pod_parts.take_resources, pod_parts.resized, "Resize"),
            },
        ),
        kind(
            core.Node, name_rule=names.dns_subdomain, has_status=True, default=cluster_defaults.node_status,
            selectable=selectable.NODE, fields_of=selectable.node,
            validate=cluster.node, validate_update=cluster.node_update, validate_status=cluster.node_status,
        ),
        kind(
            core.Namespace, judges=True, name_rule=names.dns_label, has_status=True, default=cluster_defaults.namespace,
            prepare_create=cluster_defaults.new_namespace, prepare_update=cluster_defaults.namespace_update,
            selectable=selectable.NAMESPACE, fields_of=selectable.namespace,
        ),
        kind(
            core.ConfigMap, name_rule=names.dns_subdomain,
            validate=config.config_map, validate_update=config.config_map_update,
        ),
        kind(
            core.Secret, name_rule=names.dns_subdomain, default=cluster_defaults.secret,
            selectable=selectable.SECRET, fields_of=selectable.secret,
            validate=config.secret, validate_update=config.secret_update,
        ),
        kind(
            core.ServiceAccount, judges=True, name_rule=names.dns_subdomain, validate=cluster.service_account,
            validate_update=lambda new, _, causes: cluster.service_account(new, causes),
        ),
        kind(
            core.Event, name_rule=names.dns_subdomain, ttl_s=EVENT_TTL_S,
            selectable=selectable.EVENT, fields_of=selectable.event,
            validate=event_rules.event, validate_update=event_rules.event_update,
        ),
        kind(
            core.Service, name_rule=names.dns_1035_label, has_status=True, default=service_defaults.service,
            prepare_create=drop_status, prepare_update=service_defaults.service_update,
            selectable=selectable.SERVICE, fields_of=selectable.service,
            validate=services.service, validate_update=services.service_update,
        ),
        kind(
            core.Endpoints, name_rule=names.dns_subdomain, default=service_defaults.endpoints,
            warning="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
            validate=endpoints.endpoints, validate_update=endpoints.endpoints_update,
        ),
        *_volumes(), *_bounds(), *_older(),
        kind(core.Binding, name_rule=names.dns_subdomain),
        kind(
            core.ComponentStatus, name_rule=names.dns_subdomain, computed=True,
            warning="v1 ComponentStatus is deprecated in v1.19+",
        ),
    )  # fmt: skip


def _volumes() -> tuple[Kind, ...]:
    return (
        kind(
            core.PersistentVolume, name_rule=names.dns_subdomain, has_status=True,
            default=claim_defaults.volume, prepare_create=claim_defaults.new_volume,
            prepare_status=claim_defaults.volume_status, validate=persistent_volumes.volume,
            validate_update=persistent_volumes.update, validate_status=persistent_volumes.status,
        ),
        kind(
            core.PersistentVolumeClaim, name_rule=names.dns_subdomain, has_status=True,
            default=claim_defaults.claim, prepare_create=claim_defaults.new_claim, validate=claims.claim,
            validate_update=claims.claim_update, validate_status=claims.claim_status,
        ),
    )  # fmt: skip


def _bounds() -> tuple[Kind, ...]:
    return (
        kind(
            core.LimitRange, judges=True, name_rule=names.dns_subdomain, default=quota_defaults.limit_range,
            validate=quotas.limit_range, validate_update=quotas.limit_range_update,
        ),
        kind(
            core.ResourceQuota, judges=True, name_rule=names.dns_subdomain, **WITH_STATUS,
            default=quota_defaults.resource_quota, validate=quotas.resource_quota,
            validate_update=quotas.resource_quota_update, validate_status=quotas.resource_quota_status,
        ),
    )  # fmt: skip


def _older() -> tuple[Kind, ...]:
    """What deployments have taken the place of."""
    return (
        kind(
            core.PodTemplate, name_rule=names.dns_subdomain, has_generation=True,
            default=workload_defaults.pod_template, validate=workloads.pod_template,
            validate_update=workloads.pod_template_update,
        ),
        kind(
            core.ReplicationController, name_rule=names.dns_subdomain, **WITH_STATUS, has_generation=True,
            default=workload_defaults.replication_controller, scale=Controlled(),
            selectable=selectable.REPLICATION_CONTROLLER, fields_of=selectable.replica_set,
            validate=workloads.replication_controller, validate_update=workloads.replication_controller_update,
            validate_status=workloads.replica_set_status,
        ),
    )  # fmt: skip


class Controlled(Workload):
    """The scale of a replication controller, whose selector is of labels alone."""

    def read(self, obj: core.ReplicationController, scale: autoscaling.Scale) -> None:
        scale.spec.replicas = obj.spec.replicas
        scale.status.replicas = obj.status.replicas
        scale.status.selector = str(selectors.from_mapping(obj.spec.selector))


def event_v1(kinds: dict[str, Kind]) -> Kind:
    """events.k8s.io/v1, of the same objects."""
    return kind(
        events.Event, name_rule=names.dns_subdomain, validate=event_rules.new_event,
        validate_update=event_rules.changed_event, selectable=selectable.NEW_EVENT,
        fields_of=selectable.new_event,
        storage=kinds["events"], view=View(event_conversion.to_stored, event_conversion.from_stored),
    )  # fmt: skip
