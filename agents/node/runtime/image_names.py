"""Image references, read as Kubernetes' users write them. Pure.

nginx                    docker.io/library/nginx:latest
grafana/grafana:11       docker.io/grafana/grafana:11
localhost/demo           localhost/demo:latest          never pulled
registry:5000/a@sha256:… registry:5000/a@sha256:…
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import errors

DEFAULT_REGISTRY = "docker.io"
NAME_MAX = 255
_REGISTRY = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A full image name; `str` gives it as Podman takes it."""

    registry: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def local(self) -> bool:
        """Whether the image exists on this node or nowhere."""
        return self.registry == "localhost"

    @property
    def insecure(self) -> bool:
        """Whether its registry is on this machine's loopback, where plain HTTP is usual."""
        host = self.registry.rpartition(":")[0] or self.registry
        return host in {"localhost", "[::1]"} or host.startswith("127.")

    def __str__(self) -> str:
        # Podman refuses a tag together with a digest; the digest says more.
        suffix = f"@{self.digest}" if self.digest else f":{self.tag}"
        return f"{self.registry}/{self.path}{suffix}"


def parse(name: str) -> Reference:
    """InvalidImageName with a sentence if the name is none."""
    rest, _, digest = name.partition("@")
    if digest and not _DIGEST.fullmatch(digest):
        raise errors.InvalidImageName(f"image {name!r}: {digest!r} is not a digest such as sha256:…")
    head, slash, tail = rest.rpartition("/")
    last, colon, tag = tail.partition(":")
    if (colon and not tag) or (tag and not _TAG.fullmatch(tag)):
        raise errors.InvalidImageName(f"image {name!r}: {tag!r} is not a tag")
    registry, path = _split(head + slash + last)
    if not _REGISTRY.fullmatch(registry) or not _PATH.fullmatch(path) or len(path) > NAME_MAX:
        raise errors.InvalidImageName(f"image {name!r} is not a valid image name")
    return Reference(registry, path, tag if tag or digest else "latest", digest)


def _split(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, path = ("docker.io" if first == "index.docker.io" else first), rest
    else:
        registry, path = DEFAULT_REGISTRY, name
    if registry == DEFAULT_REGISTRY and "/" not in path:
        path = f"library/{path}"
    return registry, path
