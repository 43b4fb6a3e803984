"""Every kind that the API knows, read from the options on its message.

`by_message(core.Pod)`, `by_kind("apps", "Deployment")`, `find("deploy")`. A resource whose `service` is empty is known
(its manifests can be parsed and named in errors) but not served yet.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf import message as protobuf
from raftsman.options import v1 as options

_PACKAGES = (
    "core.v1", "apps.v1", "batch.v1", "discovery.v1", "coordination.v1", "rbac.v1", "events.v1", "authentication.v1",
    "authorization.v1", "autoscaling.v2", "autoscaling.v1", "networking.v1", "policy.v1", "scheduling.v1", "storage.v1",
    "certificates.v1", "node.v1", "flowcontrol.v1", "resource.v1", "admissionregistration.v1", "apiextensions.v1",
    "apiregistration.v1",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind: its names, its messages and the gRPC service that serves it."""

    message: type[Any]
    list_message: type[Any] | None
    facts: options.Resource

    @property
    def group(self) -> str:
        return self.facts.group

    @property
    def version(self) -> str:
        return self.facts.version

    @property
    def kind(self) -> str:
        return self.facts.kind

    @property
    def name(self) -> str:
        """The plural, as in paths and roles."""
        return self.facts.name

    @property
    def namespaced(self) -> bool:
        return self.facts.namespaced

    @property
    def service(self) -> str:
        """The full gRPC service name, or "" while the kind is not served."""
        return self.facts.service

    @property
    def api_version(self) -> str:
        """`v1`, `apps/v1`: as in manifests."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`pods`, `deployments.apps`: as clients print it."""
        return f"{self.name}.{self.group}" if self.group else self.name

    def __hash__(self) -> int:
        return hash(self.message)


@functools.cache
def known() -> tuple[Resource, ...]:
    """All kinds, in the order of their groups."""
    found = []
    for package in _PACKAGES:
        module = importlib.import_module(f"raftsman.{package}")
        for name in module.__all__:
            message = getattr(module, name)
            if not (isinstance(message, type) and issubclass(message, protobuf.Message)):
                continue
            facts = message.DESCRIPTOR.GetOptions().Extensions[options.message]
            if facts.HasField("resource"):
                found.append(Resource(message, getattr(module, f"{name}List", None), facts.resource))
    return tuple(found)


_custom: dict[tuple[str, str], Resource] = {}
"""Of custom resources, by apiVersion and kind."""


def know(found: Iterable[Resource]) -> bool:
    """From now on these custom resources are known, and no others; whether their names are others than before."""
    now: dict[tuple[str, str], Resource] = {}
    for one in found:
        before = _custom.get((one.api_version, one.kind))
        # What has not changed stays the same class.
        now[one.api_version, one.kind] = before if before is not None and before.facts == one.facts else one
    changed = {key: one.facts for key, one in now.items()} != {key: one.facts for key, one in _custom.items()}
    _custom.clear()
    _custom.update(now)
    return changed


def custom() -> tuple[Resource, ...]:
    """Those of custom resources that are known, each version."""
    return tuple(_custom.values())


def distinct_custom() -> tuple[Resource, ...]:
    """Of those each kind of objects once: objects are the same in every version."""
    return tuple({one.qualified: one for one in reversed(custom())}.values())


@functools.cache
def served() -> tuple[Resource, ...]:
    return tuple(resource for resource in known() if resource.service)


@functools.cache
def distinct() -> tuple[Resource, ...]:
    """Of the served ones each kind of objects once: the version that is stored."""
    return tuple(resource for resource in served() if not resource.facts.stored_as)


@functools.cache
def _messages() -> dict[str, Resource]:
    return {resource.message.DESCRIPTOR.full_name: resource for resource in known()}


@functools.cache
def _kinds() -> dict[tuple[str, str], Resource]:
    return {(resource.api_version, resource.kind): resource for resource in known()}


def by_message(message: type[Any]) -> Resource:
    """The resource of a message type such as `core.Pod`; KeyError if it is no kind."""
    own: Resource | None = getattr(message, "RESOURCE", None)
    if own is not None:
        return own
    return _messages()[message.DESCRIPTOR.full_name]


def by_kind(api_version: str, kind: str) -> Resource | None:
    """The resource of a manifest's `apiVersion` and `kind`."""
    return _kinds().get((api_version, kind)) or _custom.get((api_version, kind))


def find(word: str) -> Resource | None:
    """What a user calls it: `pods`, `pod`, `po`, `Pod`, `deployments.apps`, `deployments.v1.apps`. Served kinds win."""
    word = word.lower()
    name, _, rest = word.partition(".")
    for resource in (*sorted(known(), key=lambda r: not r.service), *_custom.values()):
        facts = resource.facts
        names = {facts.name, facts.singular, facts.kind.lower(), *facts.short_names}
        groups = {"", facts.group, f"{facts.version}.{facts.group}", facts.version}
        if name in names and (rest in groups or (rest and facts.group.startswith(f"{rest}."))):
            return resource
    return None
