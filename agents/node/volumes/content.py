"""What is in configMap, secret, downwardAPI and projected volumes. Pure: objects and tokens are passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from raftsman.agents.node import fields
from raftsman.core import v1 as core

from .atomic import File

MODE_DEFAULT = 0o644
TOKEN_MODE = 0o600
TOKEN_MODE_SHARED = 0o644


class VolumeFault(Exception):
    """A volume cannot be made ready; the message says which and why. Reason FailedMount."""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """Which token a projected volume asks for."""

    service_account: str
    audience: str
    expiration_s: int


@dataclass(frozen=True, slots=True)
class Objects:
    """Looks up what volumes refer to; None: there is no such object."""

    config_map: Callable[[str], core.ConfigMap | None]
    secret: Callable[[str], core.Secret | None]
    token: Callable[[TokenKey], str]
    facts: fields.Facts


def payload(pod: core.Pod, volume: core.Volume, objects: Objects) -> dict[str, File]:
    """All files of one volume; VolumeFault if something that must be there is not."""
    source = volume.volume_source
    if source.HasField("config_map"):
        ref = source.config_map
        mode = _mode(ref, MODE_DEFAULT)
        return _config_map(ref.local_object_reference.name, ref.items, objects, mode=mode, optional=ref.optional)
    if source.HasField("secret"):
        secret = source.secret
        mode = _mode(secret, MODE_DEFAULT)
        return _secret(secret.secret_name, secret.items, objects, mode=mode, optional=secret.optional)
    if source.HasField("downward_api"):
        return _downward(pod, source.downward_api.items, objects, mode=_mode(source.downward_api, MODE_DEFAULT))
    files: dict[str, File] = {}
    mode = _mode(source.projected, MODE_DEFAULT)
    for part in source.projected.sources:
        files.update(_projection(pod, part, objects, mode=mode))
    return files


def _projection(pod: core.Pod, part: core.VolumeProjection, objects: Objects, *, mode: int) -> dict[str, File]:
    if part.HasField("config_map"):
        ref = part.config_map
        return _config_map(ref.local_object_reference.name, ref.items, objects, mode=mode, optional=ref.optional)
    if part.HasField("secret"):
        secret = part.secret
        return _secret(secret.local_object_reference.name, secret.items, objects, mode=mode, optional=secret.optional)
    if part.HasField("downward_api"):
        return _downward(pod, part.downward_api.items, objects, mode=mode)
    if part.HasField("service_account_token"):
        token = objects.token(token_key(pod, part.service_account_token))
        return {part.service_account_token.path: File(token.encode(), _token_mode(pod))}
    raise VolumeFault("a projected volume has a source that this node does not support")


def token_key(pod: core.Pod, source: core.ServiceAccountTokenProjection) -> TokenKey:
    account = pod.spec.service_account_name or "default"
    return TokenKey(account, source.audience, int(source.expiration_seconds) or 3600)


def token_keys(pod: core.Pod) -> list[TokenKey]:
    """All tokens that the pod's volumes ask for."""
    return [
        token_key(pod, part.service_account_token)
        for volume in pod.spec.volumes
        for part in volume.volume_source.projected.sources
        if part.HasField("service_account_token")
    ]


def _token_mode(pod: core.Pod) -> int:
    """Only root reads a token, unless containers run as somebody else."""
    users = {
        c.security_context.run_as_user if c.security_context.HasField("run_as_user") else
        pod.spec.security_context.run_as_user
        for c in (*pod.spec.containers, *pod.spec.init_containers)
    }  # fmt: skip
    return TOKEN_MODE_SHARED if users - {0} else TOKEN_MODE


def _mode(source: object, default: int) -> int:
    return int(source.default_mode) if source.HasField("default_mode") else default  # type: ignore[attr-defined]


def _config_map(
    name: str, items: Iterable[core.KeyToPath], objects: Objects, *, mode: int, optional: bool
) -> dict[str, File]:
    found = objects.config_map(name)
    if found is None:
        return _absent("configmap", name, optional=optional)
    data = {key: text.encode() for key, text in found.data.items()} | dict(found.binary_data)
    return _select("configmap", name, data, items, mode=mode, optional=optional)


def _secret(
    name: str, items: Iterable[core.KeyToPath], objects: Objects, *, mode: int, optional: bool
) -> dict[str, File]:
    found = objects.secret(name)
    if found is None:
        return _absent("secret", name, optional=optional)
    return _select("secret", name, dict(found.data), items, mode=mode, optional=optional)


def _absent(kind: str, name: str, *, optional: bool) -> dict[str, File]:
    if optional:
        return {}
    raise VolumeFault(f'{kind} "{name}" not found')


def _select(
    kind: str, name: str, data: Mapping[str, bytes], items: Iterable[core.KeyToPath], *, mode: int, optional: bool
) -> dict[str, File]:
    chosen = list(items)
    if not chosen:
        return {key: File(value, mode) for key, value in data.items()}
    files: dict[str, File] = {}
    for item in chosen:
        if item.key not in data:
            if optional:
                continue
            raise VolumeFault(f'{kind} "{name}" references non-existent key: {item.key}')
        files[item.path] = File(data[item.key], int(item.mode) if item.HasField("mode") else mode)
    return files


def _downward(
    pod: core.Pod, items: Iterable[core.DownwardAPIVolumeFile], objects: Objects, *, mode: int
) -> dict[str, File]:
    files: dict[str, File] = {}
    for item in items:
        try:
            if item.HasField("field_ref"):
                text = fields.of_pod(pod, item.field_ref.field_path, objects.facts)
            else:
                first = pod.spec.containers[0]
                text = fields.of_resources(pod, first, item.resource_field_ref, objects.facts)
        except ValueError as error:
            raise VolumeFault(str(error)) from None
        files[item.path] = File(text.encode(), int(item.mode) if item.HasField("mode") else mode)
    return files
