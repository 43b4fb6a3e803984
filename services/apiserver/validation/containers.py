"""Containers of a pod: what each may say, and what they may not share."""

from __future__ import annotations

import re
from collections.abc import Sequence

from raftsman.core import v1 as core

from . import names, ports, resources
from .causes import Causes

PULL_POLICIES = frozenset({"Always", "IfNotPresent", "Never"})
_PROPAGATIONS = frozenset({"", "None", "HostToContainer", "Bidirectional"})
_MESSAGE_POLICIES = frozenset({"File", "FallbackToLogsOnError"})
_SECCOMP_TYPES = frozenset({"Localhost", "RuntimeDefault", "Unconfined"})
_SYSCTL = re.compile(r"[a-z0-9]([-_a-z0-9]*[a-z0-9])?([./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*")
_SYSCTL_MAX = 253
_FIELD_PATHS = frozenset({
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
})  # fmt: skip
_SUBSCRIPTED = re.compile(r"(metadata\.(?:labels|annotations))\['([^']*)'\]")
_CONTAINER_RESOURCES = frozenset({
    "limits.cpu", "limits.memory", "limits.ephemeral-storage",
    "requests.cpu", "requests.memory", "requests.ephemeral-storage",
})  # fmt: skip


def all_of(spec: core.PodSpec, causes: Causes, *, path: str) -> None:
    """Every container, names unique over init containers too. An init container that restarts always is a sidecar."""
    seen: set[str] = set()
    volumes = {one.name for one in spec.volumes}
    if not spec.containers:
        causes.required(f"{path}.containers")
    for word, found, init in (("initContainers", spec.init_containers, True), ("containers", spec.containers, False)):
        for index, container in enumerate(found):
            at = f"{path}.{word}[{index}]"
            if container.name in seen:
                causes.duplicate(f"{at}.name", container.name)
            seen.add(container.name)
            if init and container.HasField("restart_policy") and container.restart_policy != "Always":
                causes.not_supported(f"{at}.restartPolicy", container.restart_policy, ("Always",))
            ends = init and container.restart_policy != "Always"
            one(container, causes, path=at, volumes=volumes, init=ends)


def one(found: core.Container, causes: Causes, *, path: str, volumes: set[str], init: bool) -> None:
    if not found.name:
        causes.required(f"{path}.name")
    else:
        for wrong in names.dns_label(found.name):
            causes.invalid(f"{path}.name", found.name, wrong)
    _image(found.image, causes, path=f"{path}.image")
    if found.image_pull_policy not in PULL_POLICIES:
        causes.not_supported(f"{path}.imagePullPolicy", found.image_pull_policy, PULL_POLICIES)
    if found.termination_message_policy not in _MESSAGE_POLICIES:
        causes.not_supported(f"{path}.terminationMessagePolicy", found.termination_message_policy, _MESSAGE_POLICIES)
    _ports(found.ports, causes, path=f"{path}.ports")
    _environment(found, causes, path=path)
    _mounts(found, causes, path=f"{path}.volumeMounts", volumes=volumes)
    resources.requirements(found.resources, causes, path=f"{path}.resources")
    _probes(found, causes, path=path, init=init)
    if found.HasField("security_context"):
        security(found.security_context, causes, path=f"{path}.securityContext")


def _image(image: str, causes: Causes, *, path: str) -> None:
    if not image:
        causes.required(path)
    elif image != image.strip():
        causes.invalid(path, image, "must not have leading or trailing whitespace")


def _ports(found: Sequence[core.ContainerPort], causes: Causes, *, path: str) -> None:
    seen_names: set[str] = set()
    seen: set[tuple[int, str]] = set()
    for index, port in enumerate(found):
        at = f"{path}[{index}]"
        if port.name:
            for wrong in names.port_name(port.name):
                causes.invalid(f"{at}.name", port.name, wrong)
            if port.name in seen_names:
                causes.duplicate(f"{at}.name", port.name)
            seen_names.add(port.name)
        if not port.container_port:
            causes.required(f"{at}.containerPort")
        else:
            ports.number(port.container_port, causes, path=f"{at}.containerPort")
        ports.protocol(port.protocol, causes, path=f"{at}.protocol")
        key = (port.container_port, port.protocol)
        if key in seen:
            causes.duplicate(at, f"{port.container_port}/{port.protocol}")
        seen.add(key)


def _environment(found: core.Container, causes: Causes, *, path: str) -> None:
    for index, variable in enumerate(found.env):
        at = f"{path}.env[{index}]"
        if not variable.name:
            causes.required(f"{at}.name")
        else:
            for wrong in names.env_name(variable.name):
                causes.invalid(f"{at}.name", variable.name, wrong)
        if variable.HasField("value_from"):
            _value_from(variable, causes, path=f"{at}.valueFrom")
    for index, source in enumerate(found.env_from):
        _env_from(source, causes, path=f"{path}.envFrom[{index}]")


def _value_from(variable: core.EnvVar, causes: Causes, *, path: str) -> None:
    source = variable.value_from
    given = [field.name for field, _ in source.ListFields()]
    if not given:
        causes.invalid(
            path, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        )
    elif variable.value:
        causes.invalid(path, "", "may not be specified when `value` is not empty")
    elif len(given) > 1:
        causes.invalid(path, "", "may not have more than one field specified at a time")
    if source.HasField("field_ref"):
        field_path(source.field_ref, causes, path=f"{path}.fieldRef")
    if source.HasField("resource_field_ref"):
        resource_field(source.resource_field_ref, causes, path=f"{path}.resourceFieldRef", named=False)
    if source.HasField("config_map_key_ref"):
        reference = source.config_map_key_ref
        _key_reference(reference.local_object_reference.name, reference.key, causes, path=f"{path}.configMapKeyRef")
    if source.HasField("secret_key_ref"):
        secret = source.secret_key_ref
        _key_reference(secret.local_object_reference.name, secret.key, causes, path=f"{path}.secretKeyRef")


def field_path(found: core.ObjectFieldSelector, causes: Causes, *, path: str, volume: bool = False) -> None:
    """A field of the pod; in a volume also whole label and annotation maps."""
    if not found.field_path:
        causes.required(f"{path}.fieldPath")
        return
    subscript = _SUBSCRIPTED.fullmatch(found.field_path)
    if subscript:
        for wrong in names.qualified(subscript[2].lower()):
            causes.invalid(f"{path}.fieldPath", found.field_path, wrong)
        return
    allowed = _FIELD_PATHS
    if volume:
        allowed = frozenset(
            {"metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels", "metadata.annotations"}
        )
    if found.field_path not in allowed:
        causes.not_supported(f"{path}.fieldPath", found.field_path, allowed)


def resource_field(found: core.ResourceFieldSelector, causes: Causes, *, path: str, named: bool) -> None:
    if named and not found.container_name:
        causes.required(f"{path}.containerName")
    if not found.resource:
        causes.required(f"{path}.resource")
    elif found.resource not in _CONTAINER_RESOURCES:
        causes.not_supported(f"{path}.resource", found.resource, _CONTAINER_RESOURCES)
    if found.divisor.string not in ("", "0"):
        resources.one(found.divisor, causes, path=f"{path}.divisor")


def _key_reference(name: str, key: str, causes: Causes, *, path: str) -> None:
    if not name:
        causes.required(f"{path}.name")
    if not key:
        causes.required(f"{path}.key")
    else:
        for wrong in names.config_key(key):
            causes.invalid(f"{path}.key", key, wrong)


def _env_from(source: core.EnvFromSource, causes: Causes, *, path: str) -> None:
    if source.prefix:
        for wrong in names.env_name(source.prefix):
            causes.invalid(f"{path}.prefix", source.prefix, wrong)
    given = [
        word
        for word, field in (("configMapRef", "config_map_ref"), ("secretRef", "secret_ref"))
        if source.HasField(field)  # type: ignore[arg-type]
    ]
    if len(given) != 1:
        causes.invalid(
            path,
            "",
            "must specify one of: `configMapRef` or `secretRef`"
            if not given
            else "may not have more than one field specified at a time",
        )
    for word, reference in (("configMapRef", source.config_map_ref), ("secretRef", source.secret_ref)):
        if word in given and not reference.local_object_reference.name:
            causes.required(f"{path}.{word}.name")


def _mounts(container: core.Container, causes: Causes, *, path: str, volumes: set[str]) -> None:
    seen: set[str] = set()
    for index, mount in enumerate(container.volume_mounts):
        at = f"{path}[{index}]"
        privileged = container.security_context.privileged
        _propagation(mount, privileged=privileged, causes=causes, path=f"{at}.mountPropagation")
        if not mount.name:
            causes.required(f"{at}.name")
        elif mount.name not in volumes:
            causes.not_found(f"{at}.name", mount.name)
        if not mount.mount_path:
            causes.required(f"{at}.mountPath")
        elif mount.mount_path in seen:
            causes.invalid(f"{at}.mountPath", mount.mount_path, "must be unique")
        seen.add(mount.mount_path)
        if mount.sub_path and mount.sub_path_expr:
            causes.invalid(f"{at}.subPathExpr", mount.sub_path_expr, "subPathExpr and subPath are mutually exclusive")
        for word, text in (("subPath", mount.sub_path), ("subPathExpr", mount.sub_path_expr)):
            if text:
                below(text, causes, path=f"{at}.{word}")


def _propagation(mount: core.VolumeMount, *, privileged: bool, causes: Causes, path: str) -> None:
    if mount.mount_propagation not in _PROPAGATIONS:
        causes.not_supported(path, mount.mount_propagation, _PROPAGATIONS - {""})
    elif mount.mount_propagation == "Bidirectional" and not privileged:
        causes.forbidden(path, "Bidirectional mount propagation is available only to privileged containers")


def below(text: str, causes: Causes, *, path: str) -> None:
    """A relative path that stays inside."""
    if text.startswith("/"):
        causes.invalid(path, text, "must be a relative path")
    if ".." in text.split("/"):
        causes.invalid(path, text, "must not contain '..'")


def _probes(found: core.Container, causes: Causes, *, path: str, init: bool) -> None:
    for field, word in (
        ("liveness_probe", "livenessProbe"), ("readiness_probe", "readinessProbe"), ("startup_probe", "startupProbe"),
    ):  # fmt: skip
        if not found.HasField(field):  # type: ignore[arg-type]
            continue
        at = f"{path}.{word}"
        if init:
            causes.forbidden(at, "may not be set for init containers without restartPolicy=Always")
            continue
        _probe(getattr(found, field), causes, path=at, only_once=field != "readiness_probe")
    if found.HasField("lifecycle"):
        if init:
            causes.forbidden(f"{path}.lifecycle", "may not be set for init containers without restartPolicy=Always")
        for field, word in (("post_start", "postStart"), ("pre_stop", "preStop")):
            if found.lifecycle.HasField(field):  # type: ignore[arg-type]
                _handler(
                    getattr(found.lifecycle, field),
                    causes,
                    path=f"{path}.lifecycle.{word}",
                    allowed=("exec", "http_get", "tcp_socket", "sleep"),
                )


def _probe(found: core.Probe, causes: Causes, *, path: str, only_once: bool) -> None:
    _handler(found.handler, causes, path=path, allowed=("exec", "http_get", "tcp_socket", "grpc"))
    for field, word in (
        ("initial_delay_seconds", "initialDelaySeconds"), ("timeout_seconds", "timeoutSeconds"),
        ("period_seconds", "periodSeconds"), ("success_threshold", "successThreshold"),
        ("failure_threshold", "failureThreshold"),
    ):  # fmt: skip
        if getattr(found, field) < 0:
            causes.invalid(f"{path}.{word}", getattr(found, field), "must be greater than or equal to 0")
    if only_once and found.success_threshold > 1:
        causes.invalid(f"{path}.successThreshold", found.success_threshold, "must be 1")
    if found.HasField("termination_grace_period_seconds"):
        if found.termination_grace_period_seconds <= 0:
            causes.invalid(
                f"{path}.terminationGracePeriodSeconds",
                found.termination_grace_period_seconds,
                "must be greater than 0",
            )
        if not only_once:
            causes.invalid(
                f"{path}.terminationGracePeriodSeconds",
                found.termination_grace_period_seconds,
                "must not be set for readinessProbes",
            )


def _handler(
    found: core.ProbeHandler | core.LifecycleHandler, causes: Causes, *, path: str, allowed: tuple[str, ...]
) -> None:
    given = [field for field in allowed if found.HasField(field)]  # type: ignore[arg-type]
    if not given:
        causes.required(path, "must specify a handler type")
    elif len(given) > 1:
        causes.forbidden(path, "may not specify more than 1 handler type")
    if found.HasField("exec") and not found.exec.command:
        causes.required(f"{path}.exec.command")
    if found.HasField("http_get"):
        _http_get(found.http_get, causes, path=f"{path}.httpGet")
    if found.HasField("tcp_socket"):
        ports.number_or_name(found.tcp_socket.port, causes, path=f"{path}.tcpSocket.port")
    if isinstance(found, core.ProbeHandler):
        if found.HasField("grpc"):
            ports.number(found.grpc.port, causes, path=f"{path}.grpc.port")
    elif found.HasField("sleep") and found.sleep.seconds < 0:
        causes.invalid(f"{path}.sleep.seconds", found.sleep.seconds, "must be greater than or equal to 0")


def _http_get(found: core.HTTPGetAction, causes: Causes, *, path: str) -> None:
    if not found.path:
        causes.required(f"{path}.path")
    ports.number_or_name(found.port, causes, path=f"{path}.port")
    if found.scheme not in ("HTTP", "HTTPS"):
        causes.not_supported(f"{path}.scheme", found.scheme, ("HTTP", "HTTPS"))
    for index, header in enumerate(found.http_headers):
        if not re.fullmatch(r"[-A-Za-z0-9_]+", header.name):
            causes.invalid(
                f"{path}.httpHeaders[{index}].name",
                header.name,
                "a valid HTTP header must consist of alphanumeric characters or '-'",
            )


def security(found: core.SecurityContext, causes: Causes, *, path: str) -> None:
    _ids(found, causes, path=path)
    _seccomp(found, causes, path=path)
    if found.HasField("allow_privilege_escalation") and not found.allow_privilege_escalation:
        if found.privileged:
            causes.invalid(path, "", "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
        if "CAP_SYS_ADMIN" in found.capabilities.add:
            causes.invalid(
                path, "", "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            )


def pod_security(found: core.PodSecurityContext, causes: Causes, *, path: str) -> None:
    _ids(found, causes, path=path)
    _seccomp(found, causes, path=path)
    _sysctls(found.sysctls, causes, path=f"{path}.sysctls")
    if found.HasField("fs_group") and not 0 <= found.fs_group < 1 << 31:
        causes.invalid(f"{path}.fsGroup", found.fs_group, "must be between 0 and 2147483647, inclusive")
    for index, group in enumerate(found.supplemental_groups):
        if not 0 <= group < 1 << 31:
            causes.invalid(f"{path}.supplementalGroups[{index}]", group, "must be between 0 and 2147483647, inclusive")
    if found.HasField("fs_group_change_policy") and found.fs_group_change_policy not in ("Always", "OnRootMismatch"):
        causes.not_supported(f"{path}.fsGroupChangePolicy", found.fs_group_change_policy, ("Always", "OnRootMismatch"))


def _seccomp(found: core.SecurityContext | core.PodSecurityContext, causes: Causes, *, path: str) -> None:
    profile = found.seccomp_profile
    if found.HasField("seccomp_profile") and profile.type not in _SECCOMP_TYPES:
        if profile.type:
            causes.not_supported(f"{path}.seccompProfile.type", profile.type, _SECCOMP_TYPES)
        else:
            causes.required(f"{path}.seccompProfile.type")
    if profile.type == "Localhost" and not profile.localhost_profile:
        causes.required(f"{path}.seccompProfile.localhostProfile", "must be set when seccomp type is Localhost")


def _sysctls(found: Sequence[core.Sysctl], causes: Causes, *, path: str) -> None:
    seen: set[str] = set()
    for index, sysctl in enumerate(found):
        at = f"{path}[{index}].name"
        if not sysctl.name:
            causes.required(at)
        elif len(sysctl.name) > _SYSCTL_MAX or not _SYSCTL.fullmatch(sysctl.name):
            causes.invalid(at, sysctl.name, f"must have at most {_SYSCTL_MAX} characters and match {_SYSCTL.pattern}")
        elif sysctl.name.replace("/", ".") in seen:
            causes.duplicate(at, sysctl.name)
        seen.add(sysctl.name.replace("/", "."))


def _ids(found: core.SecurityContext | core.PodSecurityContext, causes: Causes, *, path: str) -> None:
    for field, word in (("run_as_user", "runAsUser"), ("run_as_group", "runAsGroup")):
        value = getattr(found, field)
        if found.HasField(field) and not 0 <= value < 1 << 31:  # type: ignore[arg-type]
            causes.invalid(f"{path}.{word}", value, "must be between 0 and 2147483647, inclusive")
