"""What a path means: `/apis/apps/v1/namespaces/x/deployments/y/scale` is the scale of deployment y in x."""

from __future__ import annotations

from dataclasses import dataclass

from raftsman import errors
from raftsman.resources import Resource
from raftsman.services.apiserver.registry import Registry


@dataclass(frozen=True, slots=True)
class Target:
    """One object, one part of it, or a collection. `watch` is set by the old /watch/ paths."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    watch: bool = False


def target(path: str, registry: Registry) -> Target | None:
    """What a path under /api/VERSION/ or /apis/GROUP/VERSION/ names; None if it is nothing that is served."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    watch = rest[0] == "watch" and len(rest) > 1
    if watch:
        rest = rest[1:]
    return _in_version(registry, (group, version), rest, watch=watch)


def _in_version(registry: Registry, group_version: tuple[str, str], rest: list[str], *, watch: bool) -> Target | None:
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        inside = registry.of_path(*group_version, rest[2])
        if inside is not None and inside.resource.namespaced:
            namespace, rest = rest[1], rest[2:]
    kind = registry.of_path(*group_version, rest[0])
    if kind is None or len(rest) > 3 or "" in rest:
        return None
    resource = kind.resource
    name, subresource = (rest[1] if len(rest) > 1 else ""), (rest[2] if len(rest) > 2 else "")
    if name and resource.namespaced and not namespace:
        return None
    return Target(resource, namespace, name, subresource, watch)


def not_found() -> errors.ApiError:
    return errors.NotFound("the server could not find the requested resource")


def not_allowed() -> errors.ApiError:
    return errors.MethodNotSupported("the server does not allow this method on the requested resource")
