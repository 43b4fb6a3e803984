"""Nodes, namespaces, service accounts and leases."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from raftsman.coordination import v1 as coordination
from raftsman.core import v1 as core

from . import names, pods, resources
from .causes import Causes


def node(found: core.Node, causes: Causes) -> None:
    _taints(found.spec.taints, causes)
    for index, network in enumerate(found.spec.pod_cidrs):
        try:
            ipaddress.ip_network(network)
        except ValueError:
            causes.invalid(f"spec.podCIDRs[{index}]", network, "must be a valid CIDR value, (e.g. 10.9.8.0/24)")
    if found.spec.pod_cidrs and found.spec.pod_cidr not in ("", found.spec.pod_cidrs[0]):
        causes.invalid("spec.podCIDR", found.spec.pod_cidr, "must be the first of podCIDRs")
    node_status(found, found, causes)


def _taints(found: Sequence[core.Taint], causes: Causes) -> None:
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(found):
        at = f"spec.taints[{index}]"
        for wrong in names.qualified(taint.key):
            causes.invalid(f"{at}.key", taint.key, wrong)
        for wrong in names.label_value(taint.value):
            causes.invalid(f"{at}.value", taint.value, wrong)
        if not taint.effect:
            causes.required(f"{at}.effect")
        elif taint.effect not in pods.EFFECTS:
            causes.not_supported(f"{at}.effect", taint.effect, pods.EFFECTS)
        if (taint.key, taint.effect) in seen:
            causes.duplicate(at, f"{taint.key}:{taint.effect}")
        seen.add((taint.key, taint.effect))


def node_update(new: core.Node, old: core.Node, causes: Causes) -> None:
    node(new, causes)
    if old.spec.pod_cidrs and list(new.spec.pod_cidrs) != list(old.spec.pod_cidrs):
        causes.change_forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid')
    if old.spec.provider_id and new.spec.provider_id != old.spec.provider_id:
        causes.change_forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid')


def node_status(new: core.Node, old: core.Node, causes: Causes) -> None:
    resources.amounts(new.status.capacity, causes, path="status.capacity")
    resources.amounts(new.status.allocatable, causes, path="status.allocatable")
    seen: set[tuple[str, str]] = set()
    for index, address in enumerate(new.status.addresses):
        if (address.type, address.address) in seen:
            causes.duplicate(f"status.addresses[{index}]", f"{address.type}:{address.address}")
        seen.add((address.type, address.address))


def service_account(found: core.ServiceAccount, causes: Causes) -> None:
    for index, reference in enumerate(found.image_pull_secrets):
        if not reference.name:
            causes.required(f"imagePullSecrets[{index}].name")


def lease(found: coordination.Lease, causes: Causes) -> None:
    spec = found.spec
    if spec.HasField("lease_duration_seconds") and spec.lease_duration_seconds <= 0:
        causes.invalid("spec.leaseDurationSeconds", spec.lease_duration_seconds, "must be greater than 0")
    for field, word in (("strategy", "strategy"), ("preferred_holder", "preferredHolder")):
        if getattr(spec, field):
            causes.unserved(f"spec.{word}", "it needs coordinated leader election")
    if spec.HasField("lease_transitions") and spec.lease_transitions < 0:
        causes.invalid("spec.leaseTransitions", spec.lease_transitions, "must be greater than or equal to 0")


def lease_update(new: coordination.Lease, old: coordination.Lease, causes: Causes) -> None:
    lease(new, causes)
