"""Registry credentials from a pod's imagePullSecrets. Pure. Malformed secrets give none."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator
from typing import Any

from raftsman.agents.node.runtime import Credentials
from raftsman.core import v1 as core

DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
JSON_KEY = ".dockerconfigjson"
OLD_KEY = ".dockercfg"


def of_pod(pod: core.Pod, image: str, secret: Callable[[core.Pod, str], core.Secret | None]) -> tuple[Credentials, ...]:
    """What may open the registry of `image`, most specific first."""
    found: list[tuple[int, Credentials]] = []
    wanted = _normal(image)
    for reference in pod.spec.image_pull_secrets:
        held = secret(pod, reference.name)
        for registry, entry in _entries(held):
            place = _place(registry)
            if wanted == place or wanted.startswith(place.rstrip("/") + "/"):
                credentials = _credentials(entry)
                if credentials is not None:
                    found.append((len(place), credentials))
    return tuple(one for _, one in sorted(found, key=lambda pair: -pair[0]))


def _normal(image: str) -> str:
    first, _, rest = image.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        return f"docker.io/{rest}" if first in DOCKER_HUB else image
    return f"docker.io/{image}"


def _place(registry: str) -> str:
    place = registry.removeprefix("https://").removeprefix("http://").rstrip("/")
    place = place.removesuffix("/v1").removesuffix("/v2")
    host, slash, path = place.partition("/")
    return "docker.io" + slash + path if host in DOCKER_HUB else place


def _entries(secret: core.Secret | None) -> Iterator[tuple[str, Any]]:
    if secret is None:
        return
    for key in (JSON_KEY, OLD_KEY):
        if key not in secret.data:
            continue
        try:
            document = json.loads(secret.data[key])
            entries = document.get("auths", {}) if key == JSON_KEY else document
            yield from entries.items()
        except (ValueError, AttributeError):
            continue


def _credentials(entry: Any) -> Credentials | None:
    if not isinstance(entry, dict):
        return None
    if entry.get("username"):
        return Credentials(str(entry["username"]), str(entry.get("password", "")))
    try:
        name, _, password = base64.b64decode(str(entry.get("auth", ""))).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return Credentials(name, password) if name else None
