"""Default values of pod specs and templates, as Kubernetes' core/v1 has them."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping

from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

from . import claims, quantities, sources

GRACE_S = 30
FILE_MODE = 0o644
TOKEN_LIFETIME_S = 3600
TERMINATION_LOG = "/dev/termination-log"


def pod(found: core.Pod) -> None:
    spec(found.spec)
    if not found.spec.HasField("enable_service_links"):
        found.spec.enable_service_links = True
    for one in (*found.spec.init_containers, *found.spec.containers):
        # A limit is the request where none is given.
        for name, limit in one.resources.limits.items():
            if name not in one.resources.requests:
                one.resources.requests[name].CopyFrom(limit)
        if found.spec.host_network:
            for port in one.ports:
                port.host_port = port.host_port or port.container_port
    if found.spec.HasField("resources"):
        _whole_resources(found.spec.resources)


def _whole_resources(found: core.ResourceRequirements) -> None:
    quantities.canonical(found.limits)
    quantities.canonical(found.requests)
    for name, limit in found.limits.items():
        if name not in found.requests:
            found.requests[name].CopyFrom(limit)


def template(found: core.PodTemplateSpec) -> None:
    spec(found.spec)


def spec(found: core.PodSpec) -> None:
    found.dns_policy = found.dns_policy or "ClusterFirst"
    found.restart_policy = found.restart_policy or "Always"
    found.scheduler_name = found.scheduler_name or "default-scheduler"
    if not found.HasField("termination_grace_period_seconds"):
        found.termination_grace_period_seconds = GRACE_S
    if not found.HasField("security_context"):
        found.security_context.SetInParent()
    if found.service_account and not found.service_account_name:
        found.service_account_name = found.service_account
    elif found.service_account_name:
        found.service_account = found.service_account_name
    for one in found.init_containers:
        container(one)
    for one in found.containers:
        container(one)
    for source in found.volumes:
        volume(source)
    if found.overhead:
        quantities.canonical(found.overhead)


def container(found: core.Container) -> None:
    if not found.image_pull_policy:
        found.image_pull_policy = _pull_policy(found.image)
    found.termination_message_path = found.termination_message_path or TERMINATION_LOG
    found.termination_message_policy = found.termination_message_policy or "File"
    for port in found.ports:
        port.protocol = port.protocol or "TCP"
    _resources(found)
    for probe in ("liveness_probe", "readiness_probe", "startup_probe"):
        if found.HasField(probe):
            _probe(getattr(found, probe))
    if found.HasField("lifecycle"):
        for handler in ("post_start", "pre_stop"):
            if found.lifecycle.HasField(handler) and getattr(found.lifecycle, handler).HasField("http_get"):
                _http_get(getattr(found.lifecycle, handler).http_get)
    for variable in found.env:
        if variable.value_from.HasField("field_ref"):
            _field_ref(variable.value_from.field_ref)
        if variable.value_from.HasField("resource_field_ref"):
            _divisor(variable.value_from.resource_field_ref)
    if found.HasField("security_context") and found.security_context.proc_mount == "":
        found.security_context.ClearField("proc_mount")


def _pull_policy(image: str) -> str:
    return "Always" if _is_latest(image) else "IfNotPresent"


def _is_latest(image: str) -> bool:
    """Whether an image is named without a tag or digest, or by the tag `latest`."""
    if "@" in image:
        return False
    _, colon, tag = image.rpartition(":")
    return not colon or "/" in tag or tag == "latest"


def _resources(found: core.Container) -> None:
    if not found.HasField("resources"):
        found.resources.SetInParent()
        return
    quantities.canonical(found.resources.limits)
    quantities.canonical(found.resources.requests)


def _probe(found: core.Probe) -> None:
    found.timeout_seconds = found.timeout_seconds or 1
    found.period_seconds = found.period_seconds or 10
    found.success_threshold = found.success_threshold or 1
    found.failure_threshold = found.failure_threshold or 3
    if found.handler.HasField("http_get"):
        _http_get(found.handler.http_get)
    if found.handler.HasField("grpc") and not found.handler.grpc.HasField("service"):
        found.handler.grpc.service = ""


def _http_get(found: core.HTTPGetAction) -> None:
    found.path = found.path or "/"
    found.scheme = found.scheme or "HTTP"


def _field_ref(found: core.ObjectFieldSelector) -> None:
    found.api_version = found.api_version or "v1"


def _divisor(found: core.ResourceFieldSelector) -> None:
    if not found.divisor.string:
        found.divisor.string = "0"


def volume(found: core.Volume) -> None:
    source = found.volume_source
    if not source.ListFields():
        source.empty_dir.SetInParent()
    if source.HasField("secret"):
        _mode(source.secret)
    if source.HasField("config_map"):
        _mode(source.config_map)
    if source.HasField("downward_api"):
        _mode(source.downward_api)
        _files(source.downward_api.items)
    for _, given in source.ListFields():
        sources.source(given)
    if source.HasField("ephemeral"):
        claims.claim_spec(source.ephemeral.volume_claim_template.spec)
    if source.HasField("image"):
        source.image.pull_policy = source.image.pull_policy or _pull_policy(source.image.reference)
    if source.HasField("empty_dir") and source.empty_dir.HasField("size_limit"):
        quantities.canonical_one(source.empty_dir.size_limit)
    if source.HasField("projected"):
        _mode(source.projected)
        for projection in source.projected.sources:
            _files(projection.downward_api.items)
            if projection.HasField("service_account_token"):
                token = projection.service_account_token
                if not token.HasField("expiration_seconds"):
                    token.expiration_seconds = TOKEN_LIFETIME_S


def _mode(
    found: core.SecretVolumeSource
    | core.ConfigMapVolumeSource
    | core.DownwardAPIVolumeSource
    | core.ProjectedVolumeSource,
) -> None:
    if not found.HasField("default_mode"):
        found.default_mode = FILE_MODE


def _files(found: Iterable[core.DownwardAPIVolumeFile]) -> None:
    for one in found:
        if one.HasField("field_ref"):
            _field_ref(one.field_ref)
        if one.HasField("resource_field_ref"):
            _divisor(one.resource_field_ref)


_RESOURCES = ("cpu", "memory")


def quality(found: core.PodSpec) -> str:
    """The pod's class of service: Guaranteed, Burstable or BestEffort. Quantities must be valid."""
    requests: dict[str, int] = {}
    limits: dict[str, int] = {}
    guaranteed = True
    for one in (*found.containers, *found.init_containers):
        _add(requests, one.resources.requests)
        limited = _add(limits, one.resources.limits)
        guaranteed = guaranteed and limited >= set(_RESOURCES)
    if not requests and not limits:
        return "BestEffort"
    return "Guaranteed" if guaranteed and requests == limits else "Burstable"


def _add(total: dict[str, int], found: MutableMapping[str, meta.Quantity]) -> set[str]:
    """Sum the non-zero CPU and memory of one container; which of them there were."""
    from raftsman import quantity

    names = set()
    for name in _RESOURCES:
        if name in found and (milli := quantity.to_milli(found[name].string)) > 0:
            total[name] = total.get(name, 0) + milli
            names.add(name)
    return names
