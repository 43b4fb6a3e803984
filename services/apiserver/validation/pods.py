"""Pods: the spec as it is created, and what of it an update may change."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from raftsman.core import v1 as core

from . import affinity, containers, metadata, names, resources, security, volumes
from .causes import Causes

RESTART_POLICIES = frozenset({"Always", "OnFailure", "Never"})
DNS_POLICIES = frozenset({"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"})
SYSTEMS = frozenset({"linux", "windows"})
EFFECTS = frozenset({"NoSchedule", "PreferNoSchedule", "NoExecute"})
_DNS_SERVERS_MAX = 3
_DNS_SEARCHES_MAX = 32
_UPDATE = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
    "(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 "
    "if it was previously negative)"
)


def pod(found: core.Pod, causes: Causes) -> None:
    spec(found.spec, causes, path="spec")
    if found.spec.ephemeral_containers:
        causes.forbidden("spec.ephemeralContainers", "cannot be set on create")
    if found.spec.scheduling_gates and found.spec.node_name:
        causes.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared")
    if found.spec.priority_class_name and not found.spec.HasField("priority"):
        causes.required("spec.priority")


def spec(found: core.PodSpec, causes: Causes, *, path: str) -> None:
    """Whatever holds for pods and for templates of pods."""
    volumes.all_of(found.volumes, causes, path=f"{path}.volumes")
    containers.all_of(found, causes, path=path)
    _choices(found, causes, path=path)
    _numbers(found, causes, path=path)
    _names(found, causes, path=path)
    metadata.labels(found.node_selector, causes, path=f"{path}.nodeSelector")
    tolerations(found.tolerations, causes, path=f"{path}.tolerations")
    if found.HasField("security_context"):
        security.pod(found.security_context, causes, path=f"{path}.securityContext")
    if found.HasField("affinity"):
        affinity.affinity(found.affinity, causes, path=f"{path}.affinity")
    affinity.spread(found.topology_spread_constraints, causes, path=f"{path}.topologySpreadConstraints")
    _gates(found, causes, path=path)
    _claims(found.resource_claims, causes, path=f"{path}.resourceClaims")
    _own_resources(found, causes, path=f"{path}.resources")
    resources.amounts(found.overhead, causes, path=f"{path}.overhead")
    _sharing(found, causes, path=path)
    _host_aliases(found.host_aliases, causes, path=f"{path}.hostAliases")
    _dns(found, causes, path=path)
    if found.HasField("os"):
        _system(found.os.name, causes, path=f"{path}.os.name")
    if found.preemption_policy not in ("", "PreemptLowerPriority", "Never"):
        causes.not_supported(f"{path}.preemptionPolicy", found.preemption_policy, ("Never", "PreemptLowerPriority"))


def _choices(found: core.PodSpec, causes: Causes, *, path: str) -> None:
    for value, word, allowed in (
        (found.restart_policy, "restartPolicy", RESTART_POLICIES), (found.dns_policy, "dnsPolicy", DNS_POLICIES),
    ):  # fmt: skip
        if not value:
            causes.required(f"{path}.{word}")
        elif value not in allowed:
            causes.not_supported(f"{path}.{word}", value, allowed)


def _numbers(found: core.PodSpec, causes: Causes, *, path: str) -> None:
    if found.HasField("active_deadline_seconds") and not 1 <= found.active_deadline_seconds < 1 << 31:
        causes.invalid(
            f"{path}.activeDeadlineSeconds",
            found.active_deadline_seconds,
            "must be between 1 and 2147483647, inclusive",
        )
    if found.termination_grace_period_seconds < 0:
        causes.invalid(
            f"{path}.terminationGracePeriodSeconds",
            found.termination_grace_period_seconds,
            "must be greater than or equal to 0",
        )


def _names(found: core.PodSpec, causes: Causes, *, path: str) -> None:
    for value, word, rule in (
        (found.hostname, "hostname", names.dns_label), (found.subdomain, "subdomain", names.dns_label),
        (found.node_name, "nodeName", names.dns_subdomain),
        (found.service_account_name, "serviceAccountName", names.dns_subdomain),
        (found.priority_class_name, "priorityClassName", names.dns_subdomain),
        (found.runtime_class_name, "runtimeClassName", names.dns_subdomain),
        (found.hostname_override, "hostnameOverride", names.dns_subdomain),
    ):  # fmt: skip
        if value:
            for wrong in rule(value):
                causes.invalid(f"{path}.{word}", value, wrong)
    for wrong in names.qualified(found.scheduler_name):
        causes.invalid(f"{path}.schedulerName", found.scheduler_name, wrong)


def _system(name: str, causes: Causes, *, path: str) -> None:
    if not name:
        causes.required(path)
    elif name not in SYSTEMS:
        causes.not_supported(path, name, SYSTEMS)


def _gates(found: core.PodSpec, causes: Causes, *, path: str) -> None:
    seen: set[str] = set()
    for index, gate in enumerate(found.scheduling_gates):
        for wrong in names.qualified(gate.name):
            causes.invalid(f"{path}.schedulingGates[{index}]", gate.name, wrong)
        if gate.name in seen:
            causes.duplicate(f"{path}.schedulingGates[{index}]", gate.name)
        seen.add(gate.name)
    for index, ready in enumerate(found.readiness_gates):
        for wrong in names.qualified(ready.condition_type):
            causes.invalid(f"{path}.readinessGates[{index}].conditionType", ready.condition_type, wrong)


def _claims(found: Sequence[core.PodResourceClaim], causes: Causes, *, path: str) -> None:
    seen: set[str] = set()
    for index, claim in enumerate(found):
        at = f"{path}[{index}]"
        if not claim.name:
            causes.required(f"{at}.name")
        for wrong in names.dns_label(claim.name) if claim.name else ():
            causes.invalid(f"{at}.name", claim.name, wrong)
        if claim.name in seen:
            causes.duplicate(f"{at}.name", claim.name)
        seen.add(claim.name)
        given = (claim.HasField("resource_claim_name"), claim.HasField("resource_claim_template_name"))
        if all(given):
            why = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            causes.invalid(at, claim, why)
        elif not any(given):
            why = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            causes.invalid(at, claim, why)
        for word, value in (
            ("resourceClaimName", claim.resource_claim_name),
            ("resourceClaimTemplateName", claim.resource_claim_template_name),
        ):
            for wrong in names.dns_subdomain(value) if value else ():
                causes.invalid(f"{at}.{word}", value, wrong)


def _own_resources(found: core.PodSpec, causes: Causes, *, path: str) -> None:
    """Of the whole pod: processor time, memory and huge pages only."""
    if not found.HasField("resources"):
        return
    if found.resources.claims:
        causes.forbidden(f"{path}.claims", "claims may not be set for Resources at pod-level")
    for word, listed in (("limits", found.resources.limits), ("requests", found.resources.requests)):
        for name in listed:
            if name not in ("cpu", "memory") and not name.startswith("hugepages-"):
                causes.not_supported(f"{path}.{word}[{name}]", name, ("cpu", "hugepages-", "memory"))
    resources.requirements(found.resources, causes, path=path)


def _sharing(found: core.PodSpec, causes: Causes, *, path: str) -> None:
    """What a pod shares with its node, and what that excludes."""
    if found.share_process_namespace and found.host_pid:
        why = "ShareProcessNamespace and HostPID cannot both be enabled"
        causes.invalid(f"{path}.shareProcessNamespace", found.share_process_namespace, why)
    if found.HasField("host_users") and not found.host_users:
        for word, value in (
            ("hostNetwork", found.host_network), ("hostPID", found.host_pid), ("hostIPC", found.host_ipc),
        ):  # fmt: skip
            if value:
                causes.forbidden(f"{path}.{word}", "when `hostUsers` is false")


def tolerations(found: Sequence[core.Toleration], causes: Causes, *, path: str) -> None:
    for index, one in enumerate(found):
        at = f"{path}[{index}]"
        if one.key:
            for wrong in names.qualified(one.key):
                causes.invalid(f"{at}.key", one.key, wrong)
        elif one.operator != "Exists":
            causes.invalid(
                f"{at}.operator",
                one.operator,
                'operator must be Exists when `key` is empty, which means "match all values and all keys"',
            )
        if one.HasField("toleration_seconds") and one.effect != "NoExecute":
            causes.invalid(f"{at}.effect", one.effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
        if one.operator == "Exists" and one.value:
            causes.invalid(f"{at}.operator", one.value, "value must be empty when `operator` is 'Exists'")
        elif one.operator in ("", "Equal"):
            for wrong in names.label_value(one.value):
                causes.invalid(f"{at}.operator", one.value, wrong)
        elif one.operator != "Exists":
            causes.not_supported(f"{at}.operator", one.operator, ("Equal", "Exists"))
        if one.effect and one.effect not in EFFECTS:
            causes.not_supported(f"{at}.effect", one.effect, EFFECTS)


def _host_aliases(found: Sequence[core.HostAlias], causes: Causes, *, path: str) -> None:
    for index, alias in enumerate(found):
        _address(alias.ip, causes, path=f"{path}[{index}].ip")
        for position, name in enumerate(alias.hostnames):
            for wrong in names.dns_subdomain(name):
                causes.invalid(f"{path}[{index}].hostnames[{position}]", name, wrong)


def _address(text: str, causes: Causes, *, path: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        causes.invalid(path, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")


def _dns(found: core.PodSpec, causes: Causes, *, path: str) -> None:
    config = found.dns_config
    if found.dns_policy == "None" and not config.nameservers:
        causes.required(
            f"{path}.dnsConfig.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None"
        )
    if len(config.nameservers) > _DNS_SERVERS_MAX:
        causes.too_many(f"{path}.dnsConfig.nameservers", len(config.nameservers), _DNS_SERVERS_MAX)
    for index, server in enumerate(config.nameservers):
        _address(server, causes, path=f"{path}.dnsConfig.nameservers[{index}]")
    if len(config.searches) > _DNS_SEARCHES_MAX:
        causes.too_many(f"{path}.dnsConfig.searches", len(config.searches), _DNS_SEARCHES_MAX)
    for index, search in enumerate(config.searches):
        for wrong in names.dns_subdomain(search.rstrip(".").replace("_", "-").lower() or "a"):
            causes.invalid(f"{path}.dnsConfig.searches[{index}]", search, wrong)
    for index, option in enumerate(config.options):
        if not option.name:
            causes.required(f"{path}.dnsConfig.options[{index}].name")


# Updates


def update(new: core.Pod, old: core.Pod, causes: Causes) -> None:
    """Images, more tolerations, and an earlier deadline; nothing else of the spec."""
    _deadline(new.spec, old.spec, causes)
    _images(new.spec, causes)
    if len(new.spec.containers) != len(old.spec.containers):
        causes.change_forbidden("spec.containers", "pod updates may not add or remove containers")
        return
    if len(new.spec.init_containers) != len(old.spec.init_containers):
        causes.change_forbidden("spec.initContainers", "pod updates may not add or remove containers")
        return
    _tolerations_grow(new.spec, old.spec, causes)
    _gates_shrink(new.spec, old.spec, causes)
    allowed = core.PodSpec()
    allowed.CopyFrom(new.spec)
    _take_over(allowed, old.spec)
    if old.spec.scheduling_gates:
        _take_narrower(allowed, old.spec)
    if allowed != old.spec:
        causes.change_forbidden("spec", _UPDATE)


def _images(found: core.PodSpec, causes: Causes) -> None:
    for word, listed in (("initContainers", found.init_containers), ("containers", found.containers)):
        for index, container in enumerate(listed):
            if not container.image:
                causes.required(f"spec.{word}[{index}].image")


def _deadline(new: core.PodSpec, old: core.PodSpec, causes: Causes) -> None:
    path = "spec.activeDeadlineSeconds"
    if new.HasField("active_deadline_seconds"):
        if new.active_deadline_seconds <= 0:
            causes.invalid(path, new.active_deadline_seconds, "must be greater than 0")
        if old.HasField("active_deadline_seconds") and new.active_deadline_seconds > old.active_deadline_seconds:
            causes.invalid(path, new.active_deadline_seconds, "must be less than or equal to previous value")
    elif old.HasField("active_deadline_seconds"):
        causes.invalid(path, 0, "must not update from a positive integer to nil value")


def _tolerations_grow(new: core.PodSpec, old: core.PodSpec, causes: Causes) -> None:
    tolerations(new.tolerations, causes, path="spec.tolerations")
    for before in old.tolerations:
        if all(one != before and not _only_seconds_differ(one, before) for one in new.tolerations):
            causes.change_forbidden(
                "spec.tolerations", "existing toleration can not be modified except its tolerationSeconds"
            )
            return


def _gates_shrink(new: core.PodSpec, old: core.PodSpec, causes: Causes) -> None:
    before = {gate.name for gate in old.scheduling_gates}
    for index, gate in enumerate(new.scheduling_gates):
        if gate.name not in before:
            why = f"only deletion is allowed, but found new scheduling gate '{gate.name}'"
            causes.change_forbidden(f"spec.schedulingGates[{index}]", why)


def _take_narrower(spec_: core.PodSpec, old: core.PodSpec) -> None:
    """A pod that is held back may ask for fewer nodes: more labels, and an affinity to nodes where there was none."""
    if all(spec_.node_selector.get(key) == value for key, value in old.node_selector.items()):
        spec_.ClearField("node_selector")
        spec_.node_selector.update(old.node_selector)
    if not old.affinity.HasField("node_affinity") and spec_.affinity.HasField("node_affinity"):
        spec_.affinity.ClearField("node_affinity")
        if not old.HasField("affinity") and not spec_.affinity.ListFields():
            spec_.ClearField("affinity")


def _only_seconds_differ(one: core.Toleration, other: core.Toleration) -> bool:
    same = all(getattr(one, field) == getattr(other, field) for field in ("key", "operator", "value", "effect"))
    return same and one.HasField("toleration_seconds") and other.HasField("toleration_seconds")


def _take_over(spec_: core.PodSpec, old: core.PodSpec) -> None:
    """Make what may change the same, so that any other difference shows."""
    for ours, theirs in ((spec_.containers, old.containers), (spec_.init_containers, old.init_containers)):
        for one, before in zip(ours, theirs, strict=True):
            one.image = before.image
    spec_.ClearField("tolerations")
    spec_.tolerations.extend(old.tolerations)
    spec_.ClearField("scheduling_gates")
    spec_.scheduling_gates.extend(old.scheduling_gates)
    if old.termination_grace_period_seconds < 0 and spec_.termination_grace_period_seconds == 1:
        spec_.termination_grace_period_seconds = old.termination_grace_period_seconds
    spec_.ClearField("active_deadline_seconds")
    if old.HasField("active_deadline_seconds"):
        spec_.active_deadline_seconds = old.active_deadline_seconds


def status(new: core.Pod, old: core.Pod, causes: Causes) -> None:
    """A container that ended for good does not start again."""
    if old.status.phase in ("Succeeded", "Failed") and new.status.phase not in (old.status.phase, "Failed"):
        causes.forbidden("status.phase", f"may not be updated from {old.status.phase} to {new.status.phase}")
