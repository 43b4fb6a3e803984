"""The fields by which objects can be selected, beyond their name and namespace: Kubernetes' own, by kind."""

from __future__ import annotations

from collections.abc import Mapping

from raftsman.apps import v1 as apps
from raftsman.batch import v1 as batch
from raftsman.certificates import v1 as certificates
from raftsman.conversion import events as event_conversion
from raftsman.core import v1 as core
from raftsman.events import v1 as events
from raftsman.resource import v1 as resource

POD = frozenset({
    "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
    "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName",
})  # fmt: skip
NODE = frozenset({"spec.unschedulable"})
NAMESPACE = frozenset({"status.phase"})
SECRET = frozenset({"type"})
SERVICE = frozenset({"spec.clusterIP", "spec.type"})
REPLICA_SET = frozenset({"status.replicas"})
REPLICATION_CONTROLLER = frozenset({"status.replicas"})
JOB = frozenset({"status.successful"})
SIGNING_REQUEST = frozenset({"spec.signerName"})
RESOURCE_SLICE = frozenset({"spec.nodeName", "spec.driver"})
EVENT = frozenset({
    "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
    "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
    "reportingComponent", "source", "type",
})  # fmt: skip


def _text(value: bool) -> str:
    return "true" if value else "false"


def pod(found: core.Pod) -> Mapping[str, str]:
    spec, status = found.spec, found.status
    return {
        "spec.nodeName": spec.node_name,
        "spec.restartPolicy": spec.restart_policy,
        "spec.schedulerName": spec.scheduler_name,
        "spec.serviceAccountName": spec.service_account_name,
        "spec.hostNetwork": _text(spec.host_network),
        "status.phase": status.phase,
        "status.podIP": status.pod_ip,
        "status.podIPs": status.pod_ips[0].ip if status.pod_ips else "",
        "status.nominatedNodeName": status.nominated_node_name,
    }


def node(found: core.Node) -> Mapping[str, str]:
    return {"spec.unschedulable": _text(found.spec.unschedulable)}


def namespace(found: core.Namespace) -> Mapping[str, str]:
    return {"status.phase": found.status.phase}


def secret(found: core.Secret) -> Mapping[str, str]:
    return {"type": found.type}


def service(found: core.Service) -> Mapping[str, str]:
    return {"spec.clusterIP": found.spec.cluster_ip, "spec.type": found.spec.type}


def replica_set(found: apps.ReplicaSet | core.ReplicationController) -> Mapping[str, str]:
    return {"status.replicas": str(found.status.replicas)}


def job(found: batch.Job) -> Mapping[str, str]:
    return {"status.successful": str(found.status.succeeded)}


def signing_request(found: certificates.CertificateSigningRequest) -> Mapping[str, str]:
    return {"spec.signerName": found.spec.signer_name}


def resource_slice(found: resource.ResourceSlice) -> Mapping[str, str]:
    return {"spec.nodeName": found.spec.node_name, "spec.driver": found.spec.driver}


def event(found: core.Event) -> Mapping[str, str]:
    about = found.involved_object
    return {
        "involvedObject.kind": about.kind,
        "involvedObject.namespace": about.namespace,
        "involvedObject.name": about.name,
        "involvedObject.uid": about.uid,
        "involvedObject.apiVersion": about.api_version,
        "involvedObject.resourceVersion": about.resource_version,
        "involvedObject.fieldPath": about.field_path,
        "reason": found.reason,
        "reportingComponent": found.reporting_component,
        "source": found.source.component or found.reporting_component,
        "type": found.type,
    }


# Of events.k8s.io: the same fields, some under other names, and without the source.
_NEW_NAMES = {"involvedObject": "regarding", "reportingComponent": "reportingController"}


def _new_name(field: str) -> str:
    head, dot, rest = field.partition(".")
    return f"{_NEW_NAMES.get(head, head)}{dot}{rest}"


NEW_EVENT = frozenset(_new_name(field) for field in EVENT if field != "source")


def new_event(found: events.Event) -> Mapping[str, str]:
    stored = event(event_conversion.to_stored(found))
    return {_new_name(field): value for field, value in stored.items() if field != "source"}
