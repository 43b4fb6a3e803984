"""Ingresses, network policies, budgets, classes and signing requests, described."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raftsman import times
from raftsman.certificates import v1 as certificates
from raftsman.core import v1 as core
from raftsman.networking import v1 as networking
from raftsman.policy import v1 as policy
from raftsman.printers import control, scheduling, storage, workloads
from raftsman.scheduling import v1 as priorities
from raftsman.storage import v1 as volumes

from .templates import int_or_string
from .text import NONE, Text, head, moment


def ingress(text: Text, obj: networking.Ingress) -> None:
    head(text, obj)
    spec = obj.spec
    text.field("Address", ",".join(one.ip or one.hostname for one in obj.status.load_balancer.ingress))
    text.field("Ingress Class", spec.ingress_class_name or NONE)
    text.field("Default backend", backend(spec.default_backend) if spec.HasField("default_backend") else "<default>")
    if spec.tls:
        text.heading("TLS")
        for tls in spec.tls:
            text.line(f"{tls.secret_name or 'SNI routes'} terminates {','.join(tls.hosts)}", 1)
    text.heading("Rules")
    rows = [["Host", "Path", "Backends"], ["----", "----", "--------"]]
    for rule in spec.rules:
        rows.append([rule.host or "*", "", ""])
        rows += [["", one.path, backend(one.backend)] for one in rule.ingress_rule_value.http.paths]
    if not spec.rules:
        rows.append(["*", "*", backend(spec.default_backend)])
    text.table(rows)


def backend(found: networking.IngressBackend) -> str:
    """`web:80`, or the resource that answers."""
    if found.HasField("service"):
        port = found.service.port
        return f"{found.service.name}:{port.name or port.number}"
    if found.HasField("resource"):
        resource = found.resource
        return f"APIGroup: {resource.api_group or NONE}, Kind: {resource.kind}, Name: {resource.name}"
    return "<default>"


def ingress_class(text: Text, obj: networking.IngressClass) -> None:
    head(text, obj, namespaced=False)
    text.field("Controller", obj.spec.controller)
    if not obj.spec.HasField("parameters"):
        return
    found = obj.spec.parameters
    text.heading("Parameters")
    if found.HasField("api_group"):
        text.field("APIGroup", found.api_group, 1)
    text.field("Kind", found.kind, 1)
    text.field("Name", f"{found.namespace}/{found.name}" if found.namespace else found.name, 1)


def network_policy(text: Text, obj: networking.NetworkPolicy) -> None:
    text.field("Name", obj.metadata.name)
    text.field("Namespace", obj.metadata.namespace)
    text.field("Created on", moment(obj.metadata.creation_timestamp))
    text.mapping("Labels", obj.metadata.labels)
    text.annotations(obj.metadata.annotations)
    text.heading("Spec")
    spec = obj.spec
    chosen = workloads.selector(spec.pod_selector)
    every = f"{NONE} (Allowing the specific traffic to all pods in this namespace)"
    text.field("PodSelector", every if chosen == NONE else chosen, 1)
    _direction(text, "ingress", "From", [(one.ports, one.from_field) for one in spec.ingress],
               policed="Ingress" in spec.policy_types)  # fmt: skip
    _direction(text, "egress", "To", [(one.ports, one.to) for one in spec.egress],
               policed="Egress" in spec.policy_types)  # fmt: skip
    text.line(f"Policy Types: {', '.join(spec.policy_types)}", 1)


def _direction(text: Text, word: str, side: str, rules: Sequence[tuple[Any, Any]], *, policed: bool) -> None:
    if not policed:
        text.line(f"Not affecting {word} traffic", 1)
        return
    text.heading(f"Allowing {word} traffic", 1)
    if not rules:
        text.line(f"{NONE} (Selected pods are isolated for {word} connectivity)", 2)
    for index, (ports, peers) in enumerate(rules):
        if index:
            text.line("----------", 2)
        for port in ports:
            text.line(f"To Port: {_port(port)}", 2)
        if not ports:
            text.line("To Port: <any> (traffic allowed to all ports)", 2)
        if not peers:
            text.line(f"{side}: <any> (traffic not restricted by {'source' if side == 'From' else 'destination'})", 2)
        for peer in peers:
            text.heading(side, 2)
            _peer(text, peer)


def _port(found: networking.NetworkPolicyPort) -> str:
    number = int_or_string(found.port) if found.HasField("port") else "<any>"
    until = f"-{found.end_port}" if found.HasField("end_port") else ""
    return f"{number}{until}/{found.protocol or 'TCP'}"


def _peer(text: Text, found: networking.NetworkPolicyPeer) -> None:
    if found.HasField("namespace_selector"):
        text.line(f"NamespaceSelector: {workloads.selector(found.namespace_selector)}", 3)
    if found.HasField("pod_selector"):
        text.line(f"PodSelector: {workloads.selector(found.pod_selector)}", 3)
    if found.HasField("ip_block"):
        text.heading("IPBlock", 3)
        text.line(f"CIDR: {found.ip_block.cidr}", 4)
        text.line(f"Except: {', '.join(found.ip_block.except_field)}", 4)


def budget(text: Text, obj: policy.PodDisruptionBudget) -> None:
    text.field("Name", obj.metadata.name)
    text.field("Namespace", obj.metadata.namespace)
    if obj.spec.HasField("min_available"):
        text.field("Min available", scheduling.amount(obj.spec.min_available))
    elif obj.spec.HasField("max_unavailable"):
        text.field("Max unavailable", scheduling.amount(obj.spec.max_unavailable))
    text.field("Selector", workloads.selector(obj.spec.selector) if obj.spec.HasField("selector") else "<unset>")
    text.heading("Status")
    status = obj.status
    text.field("Allowed disruptions", status.disruptions_allowed, 2)
    text.field("Current", status.current_healthy, 2)
    text.field("Desired", status.desired_healthy, 2)
    text.field("Total", status.expected_pods, 2)


def priority_class(text: Text, obj: priorities.PriorityClass) -> None:
    text.field("Name", obj.metadata.name)
    text.field("Value", obj.value)
    text.field("GlobalDefault", storage.word(obj.global_default))
    text.field("PreemptionPolicy", obj.preemption_policy)
    text.field("Description", obj.description)
    text.annotations(obj.metadata.annotations)


def storage_class(text: Text, obj: volumes.StorageClass) -> None:
    text.field("Name", obj.metadata.name)
    text.field("IsDefaultClass", "Yes" if storage.is_default(obj) else "No")
    text.annotations(obj.metadata.annotations)
    text.field("Provisioner", obj.provisioner)
    text.field("Parameters", ",".join(f"{key}={obj.parameters[key]}" for key in sorted(obj.parameters)) or NONE)
    allowed = obj.allow_volume_expansion
    text.field("AllowVolumeExpansion", storage.word(allowed) if obj.HasField("allow_volume_expansion") else "<unset>")
    if obj.mount_options:
        text.heading("MountOptions")
        for option in obj.mount_options:
            text.line(option, 1)
    else:
        text.field("MountOptions", NONE)
    text.field("ReclaimPolicy", obj.reclaim_policy)
    text.field("VolumeBindingMode", obj.volume_binding_mode)
    for term in obj.allowed_topologies:
        text.field("AllowedTopologies", _term(term))


def _term(found: core.TopologySelectorTerm) -> str:
    return "; ".join(f"{one.key} in [{', '.join(one.values)}]" for one in found.match_label_expressions) or NONE


def signing_request(text: Text, obj: certificates.CertificateSigningRequest) -> None:
    head(text, obj, namespaced=False)
    text.field("CreationTimestamp", moment(obj.metadata.creation_timestamp))
    text.field("Requesting User", obj.spec.username)
    text.field("Signer", obj.spec.signer_name)
    if obj.spec.HasField("expiration_seconds"):
        text.field("Requested Duration", times.human_duration(obj.spec.expiration_seconds))
    text.field("Status", control.signing_state(obj))
    subject = _subject(obj.spec.request)
    if subject:
        text.heading("Subject")
        for label, value in subject:
            text.field(label, value, 1)


def _subject(request: bytes) -> list[tuple[str, str]]:
    """Whose certificate is asked for; empty where it cannot be read, or the library for that is not installed."""
    try:
        from cryptography import x509
        from cryptography.x509.oid import NameOID

        found = x509.load_pem_x509_csr(request).subject
    except (ImportError, ValueError):
        return []
    labels = (("Common Name", NameOID.COMMON_NAME), ("Serial Number", NameOID.SERIAL_NUMBER),
              ("Organization", NameOID.ORGANIZATION_NAME))  # fmt: skip
    told = [(label, ",".join(str(one.value) for one in found.get_attributes_for_oid(oid))) for label, oid in labels]
    return [(label, value) for label, value in told if value or label != "Organization"]
