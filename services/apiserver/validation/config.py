"""ConfigMaps and Secrets: keys, size, and immutability."""

from __future__ import annotations

import json
from collections.abc import Iterable

from raftsman.core import v1 as core

from . import names
from .causes import Causes

BYTES_MAX = 1 << 20
_IMMUTABLE = "field is immutable when `immutable` is set"
# What a secret of a type must hold.
_TYPES = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
_UNSERVED_TYPES = {
    "kubernetes.io/service-account-token": "the controller of long-lived tokens (use CreateToken)",
}


def config_map(found: core.ConfigMap, causes: Causes) -> None:
    _keys(found.data, causes, path="data")
    _keys(found.binary_data, causes, path="binaryData")
    for key in found.binary_data:
        if key in found.data:
            causes.invalid("data", key, "duplicate of key present in binaryData")
    size = sum(len(value.encode()) for value in found.data.values())
    size += sum(len(value) for value in found.binary_data.values())
    if size > BYTES_MAX:
        causes.too_long("", BYTES_MAX)


def config_map_update(new: core.ConfigMap, old: core.ConfigMap, causes: Causes) -> None:
    if old.immutable:
        if not new.immutable:
            causes.change_forbidden("immutable", _IMMUTABLE)
        if dict(new.data) != dict(old.data):
            causes.change_forbidden("data", _IMMUTABLE)
        if dict(new.binary_data) != dict(old.binary_data):
            causes.change_forbidden("binaryData", _IMMUTABLE)
    config_map(new, causes)


def secret(found: core.Secret, causes: Causes) -> None:
    _keys(found.data, causes, path="data")
    if sum(len(value) for value in found.data.values()) > BYTES_MAX:
        causes.too_long("data", BYTES_MAX)
    for key in _TYPES.get(found.type, ()):
        if key not in found.data:
            causes.required(f"data[{key}]")
        elif "docker" in found.type and not _is_json(found.data[key]):
            causes.invalid(f"data[{key}]", "<secret contents redacted>", "must be valid JSON")
    if found.type in _UNSERVED_TYPES:
        causes.unserved("type", f"it needs {_UNSERVED_TYPES[found.type]}")
    if found.type == "kubernetes.io/basic-auth" and not {"username", "password"} & set(found.data):
        causes.required("data[username]")


def secret_update(new: core.Secret, old: core.Secret, causes: Causes) -> None:
    if new.type != old.type:
        causes.changed("type", new.type)
    if old.immutable:
        if not new.immutable:
            causes.change_forbidden("immutable", _IMMUTABLE)
        if dict(new.data) != dict(old.data):
            causes.change_forbidden("data", _IMMUTABLE)
    secret(new, causes)


def _keys(found: Iterable[str], causes: Causes, *, path: str) -> None:
    for key in found:
        for wrong in names.config_key(key):
            causes.invalid(f"{path}[{key}]", key, wrong)


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True
