"""Containers, volumes and pod templates, described."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raftsman import codec
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

from .text import NONE, Text, moment


def pod_template(template: core.PodTemplateSpec) -> str:
    """The text of `rollout history --revision`."""
    text = Text()
    template_section(text, template)
    return text.rendered().rstrip("\n")


def template_section(text: Text, template: core.PodTemplateSpec) -> None:
    text.heading("Pod Template")
    text.mapping("Labels", template.metadata.labels, 1)
    if template.metadata.annotations:
        text.mapping("Annotations", template.metadata.annotations, 1)
    if template.spec.service_account_name:
        text.field("Service Account", template.spec.service_account_name, 1)
    for title, found in (("Init Containers", template.spec.init_containers), ("Containers", template.spec.containers)):
        if found:
            text.heading(title, 1)
            for item in found:
                container(text, item, None, level=2)
    volumes(text, template.spec.volumes, level=1)
    text.mapping("Node-Selectors", template.spec.node_selector, 1)
    text.field("Tolerations", "\n".join(toleration(t) for t in template.spec.tolerations) or NONE, 1)


def container(text: Text, found: core.Container, status: core.ContainerStatus | None, level: int = 1) -> None:
    text.heading(found.name, level)
    inner = level + 1
    if status is not None:
        text.field("Container ID", status.container_id, inner)
    text.field("Image", found.image, inner)
    if status is not None:
        text.field("Image ID", status.image_id, inner)
    ports = [f"{p.container_port}/{p.protocol or 'TCP'}{f' ({p.name})' if p.name else ''}" for p in found.ports]
    text.field("Port" if len(ports) < 2 else "Ports", ", ".join(ports) or NONE, inner)
    hosts = [f"{p.host_port}/{p.protocol or 'TCP'}" for p in found.ports]
    text.field("Host Port" if len(hosts) < 2 else "Host Ports", ", ".join(hosts) or NONE, inner)
    for label, words in (("Command", found.command), ("Args", found.args)):
        if words:
            text.heading(label, inner)
            for word in words:
                for line in word.split("\n"):
                    text.line(line, inner + 1)
    if status is not None:
        _state(text, "State", status.state, inner)
        if status.last_state.ListFields():
            _state(text, "Last State", status.last_state, inner)
        text.field("Ready", status.ready, inner)
        text.field("Restart Count", status.restart_count, inner)
    _resources(text, found.resources, inner)
    for label, check in (("Liveness", found.liveness_probe), ("Readiness", found.readiness_probe),
                         ("Startup", found.startup_probe)):  # fmt: skip
        if check.HasField("handler"):
            text.field(label, probe(check), inner)
    _environment(text, found, inner)
    _mounts(text, found, inner)


def _state(text: Text, label: str, state: core.ContainerState, level: int) -> None:
    if state.HasField("running"):
        text.field(label, "Running", level)
        text.field("Started", moment(state.running.started_at), level + 1)
    elif state.HasField("terminated"):
        ended = state.terminated
        text.field(label, "Terminated", level)
        if ended.reason:
            text.field("Reason", ended.reason, level + 1)
        if ended.message:
            text.field("Message", ended.message, level + 1)
        text.field("Exit Code", ended.exit_code, level + 1)
        if ended.signal:
            text.field("Signal", ended.signal, level + 1)
        text.field("Started", moment(ended.started_at), level + 1)
        text.field("Finished", moment(ended.finished_at), level + 1)
    else:
        text.field(label, "Waiting", level)
        if state.waiting.reason:
            text.field("Reason", state.waiting.reason, level + 1)
        if state.waiting.message:
            text.field("Message", state.waiting.message, level + 1)


def _resources(text: Text, found: core.ResourceRequirements, level: int) -> None:
    for label, amounts in (("Limits", found.limits), ("Requests", found.requests)):
        if amounts:
            text.heading(label, level)
            for name in sorted(amounts):
                text.field(name, codec.to_json(amounts[name]), level + 1)


def probe(found: core.Probe) -> str:
    """`http-get http://:8080/healthz delay=0s timeout=1s period=10s #success=1 #failure=3`."""
    handler = found.handler
    if handler.HasField("http_get"):
        get = handler.http_get
        what = f"http-get {(get.scheme or 'HTTP').lower()}://{get.host}:{int_or_string(get.port)}{get.path}"
    elif handler.HasField("tcp_socket"):
        what = f"tcp-socket {handler.tcp_socket.host}:{int_or_string(handler.tcp_socket.port)}"
    elif handler.HasField("exec"):
        what = f"exec [{' '.join(handler.exec.command)}]"
    elif handler.HasField("grpc"):
        what = f"grpc <pod>:{handler.grpc.port} {handler.grpc.service}"
    else:
        what = "unknown"
    return (
        f"{what} delay={found.initial_delay_seconds}s timeout={found.timeout_seconds or 1}s "
        f"period={found.period_seconds or 10}s #success={found.success_threshold or 1} "
        f"#failure={found.failure_threshold or 3}"
    )


def int_or_string(found: meta.IntOrString) -> str:
    return str(found.str_val if found.type == 1 else found.int_val)


def _environment(text: Text, found: core.Container, level: int) -> None:
    if found.env_from:
        text.heading("Environment Variables from", level)
        for source in found.env_from:
            is_secret = source.HasField("secret_ref")
            ref = source.secret_ref if is_secret else source.config_map_ref
            kind = "Secret" if is_secret else "ConfigMap"
            text.field(ref.local_object_reference.name, f"{kind}  Optional: {str(ref.optional).lower()}", level + 1)
    if not found.env:
        text.field("Environment", NONE, level)
        return
    text.heading("Environment", level)
    for variable in found.env:
        value = _source(variable.value_from) if variable.HasField("value_from") else variable.value
        text.field(variable.name, value, level + 1)


def _source(source: core.EnvVarSource) -> str:
    if source.HasField("field_ref"):
        return f" ({source.field_ref.api_version or 'v1'}:{source.field_ref.field_path})"
    if source.HasField("resource_field_ref"):
        ref = source.resource_field_ref
        return f"{ref.resource} of {ref.container_name or 'this container'}"
    for kind, found in (("secret", source.secret_key_ref), ("config map", source.config_map_key_ref)):
        if found.key:
            name = found.local_object_reference.name
            return f"<set to the key '{found.key}' of {kind} '{name}'>  Optional: {str(found.optional).lower()}"
    return "<set from elsewhere>"


def _mounts(text: Text, found: core.Container, level: int) -> None:
    if not found.volume_mounts:
        text.field("Mounts", NONE, level)
        return
    text.heading("Mounts", level)
    for mount in sorted(found.volume_mounts, key=lambda m: m.mount_path):
        options = ["ro" if mount.read_only else "rw"]
        if mount.sub_path:
            options.append(f'path="{mount.sub_path}"')
        text.line(f"{mount.mount_path} from {mount.name} ({','.join(options)})", level + 1)


def volumes(text: Text, found: Sequence[core.Volume], level: int = 0) -> None:
    if not found:
        text.field("Volumes", NONE, level)
        return
    text.heading("Volumes", level)
    for volume in found:
        text.heading(volume.name, level + 1)
        for source, value in codec.to_json(volume.volume_source).items():
            text.field("Type", f"{source[:1].upper()}{source[1:]}", level + 2)
            _flat(text, value, level + 2)


def _flat(text: Text, value: Any, level: int) -> None:
    """The fields of a volume source, whichever they are."""
    for key, item in value.items() if isinstance(value, dict) else ():
        label = f"{key[:1].upper()}{key[1:]}"
        if isinstance(item, dict):
            text.heading(label, level)
            _flat(text, item, level + 1)
        elif isinstance(item, list) and item and isinstance(item[0], dict):
            text.heading(label, level)
            for entry in item:
                _flat(text, entry, level + 1)
        else:
            shown = ", ".join(map(str, item)) if isinstance(item, list) else item
            text.field(label, str(shown).lower() if isinstance(item, bool) else shown, level)


def toleration(found: core.Toleration) -> str:
    """`key=value:Effect op=Exists for 300s`."""
    text = found.key + (f"={found.value}" if found.value else "") + (f":{found.effect}" if found.effect else "")
    if found.operator == "Exists" and not found.value:
        text += " op=Exists" if found.key or found.effect else "op=Exists"
    if found.HasField("toleration_seconds"):
        text += f" for {found.toleration_seconds}s"
    return text
