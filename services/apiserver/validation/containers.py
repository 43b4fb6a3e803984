"""Containers of a pod: what each may say, and what they may not share."""

from __future__ import annotations

import re
from collections.abc import Sequence

from raftsman.core import v1 as core

from . import mounts, names, ports, resources, security
from .causes import Causes

PULL_POLICIES = frozenset({"Always", "IfNotPresent", "Never"})
_MESSAGE_POLICIES = frozenset({"File", "FallbackToLogsOnError"})
RESTART_POLICIES = frozenset({"Always", "Never", "OnFailure"})
_RULES_MAX = 20
_RULE_CODES_MAX = 255
_RULE_ACTIONS = ("Restart", "RestartAllContainers")
_RULE_OPERATORS = ("In", "NotIn")
_RESIZABLE = ("cpu", "memory")
_RESIZES = ("NotRequired", "RestartContainer")
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
    if not spec.containers:
        causes.required(f"{path}.containers")
    for word, found, init in (("initContainers", spec.init_containers, True), ("containers", spec.containers, False)):
        for index, container in enumerate(found):
            at = f"{path}.{word}[{index}]"
            if container.name in seen:
                causes.duplicate(f"{at}.name", container.name)
            seen.add(container.name)
            ends = init and container.restart_policy != "Always"
            one(container, causes, path=at, spec=spec, init=ends)
    _host_ports(spec, causes, path=path)


def one(found: core.Container, causes: Causes, *, path: str, spec: core.PodSpec, init: bool) -> None:
    """A container of `spec`; `init` if it is to end before the others start."""
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
    mounts.all_of(found, causes, path=path, volumes=spec.volumes)
    resources.requirements(found.resources, causes, path=f"{path}.resources")
    resources.claimed(found.resources, causes, path=f"{path}.resources", claims=spec.resource_claims)
    _restarts(found, causes, path=path)
    _resizes(found, causes, path=f"{path}.resizePolicy", pod_policy=spec.restart_policy)
    _probes(found, causes, path=path, init=init)
    if found.lifecycle.HasField("stop_signal") and not spec.os.name:
        causes.forbidden(f"{path}.lifecycle.stopSignal", "may not be set for containers with empty `spec.os.name`")
    if found.HasField("security_context"):
        security.container(found.security_context, causes, path=f"{path}.securityContext")


def _restarts(found: core.Container, causes: Causes, *, path: str) -> None:
    if found.HasField("restart_policy") and found.restart_policy not in RESTART_POLICIES:
        causes.not_supported(f"{path}.restartPolicy", found.restart_policy, RESTART_POLICIES)
    rules, at = found.restart_policy_rules, f"{path}.restartPolicyRules"
    if rules and not found.HasField("restart_policy"):
        causes.required(f"{path}.restartPolicy", "must specify restartPolicy when restart rules are used")
    if len(rules) > _RULES_MAX:
        causes.too_long(at, _RULES_MAX, "items")
    for index, rule in enumerate(rules):
        if rule.action not in _RULE_ACTIONS:
            causes.not_supported(f"{at}[{index}].action", rule.action, _RULE_ACTIONS)
        if not rule.HasField("exit_codes"):
            causes.required(f"{at}[{index}].exitCodes", "must be specified")
        elif rule.exit_codes.operator not in _RULE_OPERATORS:
            causes.not_supported(f"{at}[{index}].exitCodes.operator", rule.exit_codes.operator, _RULE_OPERATORS)
        elif not 0 < len(rule.exit_codes.values) <= _RULE_CODES_MAX:
            causes.invalid(f"{at}[{index}].exitCodes.values", list(rule.exit_codes.values), "1 to 255 are needed")


def _resizes(found: core.Container, causes: Causes, *, path: str, pod_policy: str) -> None:
    seen: set[str] = set()
    for index, policy in enumerate(found.resize_policy):
        at = f"{path}[{index}]"
        if policy.resource_name in seen:
            causes.duplicate(at, policy.resource_name)
        seen.add(policy.resource_name)
        if policy.resource_name not in _RESIZABLE:
            causes.not_supported(f"{at}.resourceName", policy.resource_name, _RESIZABLE)
        if policy.restart_policy not in _RESIZES:
            causes.not_supported(f"{at}.restartPolicy", policy.restart_policy, _RESIZES)
        if pod_policy == "Never" and policy.restart_policy == "RestartContainer":
            causes.invalid(
                f"{at}.restartPolicy", policy.restart_policy, "must be 'NotRequired' when `restartPolicy` is 'Never'"
            )


def _image(image: str, causes: Causes, *, path: str) -> None:
    if not image:
        causes.required(path)
    elif image != image.strip():
        causes.invalid(path, image, "must not have leading or trailing whitespace")


def _ports(found: Sequence[core.ContainerPort], causes: Causes, *, path: str) -> None:
    seen: set[str] = set()
    for index, port in enumerate(found):
        at = f"{path}[{index}]"
        if port.name:
            for wrong in names.port_name(port.name):
                causes.invalid(f"{at}.name", port.name, wrong)
            if port.name in seen:
                causes.duplicate(f"{at}.name", port.name)
            seen.add(port.name)
        if not port.container_port:
            causes.required(f"{at}.containerPort")
        else:
            ports.number(port.container_port, causes, path=f"{at}.containerPort")
        if port.host_port:
            ports.number(port.host_port, causes, path=f"{at}.hostPort")
        ports.protocol(port.protocol, causes, path=f"{at}.protocol")


def _host_ports(spec: core.PodSpec, causes: Causes, *, path: str) -> None:
    """Each port of the node once; in the node's network a container's port is the node's."""
    seen: set[tuple[str, str, int]] = set()
    for word, found in (("initContainers", spec.init_containers), ("containers", spec.containers)):
        for index, container in enumerate(found):
            for position, port in enumerate(container.ports):
                at = f"{path}.{word}[{index}].ports[{position}]"
                if spec.host_network and port.host_port not in (0, port.container_port):
                    why = "must match `hostPort` when `hostNetwork` is true"
                    causes.invalid(f"{at}.containerPort", port.container_port, why)
                key = (port.protocol, port.host_ip, port.host_port)
                if port.host_port and word == "containers":
                    if key in seen:
                        causes.duplicate(f"{at}.hostPort", f"{port.protocol}/{port.host_ip}/{port.host_port}")
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
            path,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
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
    if source.HasField("file_key_ref"):
        file = source.file_key_ref
        for word, value in (("key", file.key), ("volumeName", file.volume_name), ("path", file.path)):
            if not value:
                causes.required(f"{path}.fileKeyRef.{word}")
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
