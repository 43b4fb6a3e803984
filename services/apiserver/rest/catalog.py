"""Which groups and versions are served: the built-in ones, and those that other sources add while the server runs.

A source (custom resources, aggregated servers) returns its GroupVersions when asked, and says `forget` when they have
changed. Discovery and OpenAPI are documents about what all sources say; each is made when it is first asked for and
kept until something changes, CACHED_MAX of them at most.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CACHED_MAX = 512
_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")
_MATURITY = {"alpha": 0, "beta": 1, None: 2}


@dataclass(frozen=True, slots=True)
class GroupVersion:
    """One group version. `resources` are as the aggregated discovery document has them (APIResourceDiscovery).

    The higher a priority, the earlier the group, and the version within it, is named. `openapi` makes its OpenAPI 3.0
    document. `hashes` tell by a resource's name how its objects are stored: clients notice when that changes.
    """

    group: str
    version: str
    group_priority: int
    version_priority: int
    resources: tuple[Mapping[str, Any], ...]
    openapi: Callable[[], Mapping[str, Any]]
    hashes: Mapping[str, str] = field(default_factory=dict)
    stale: bool = False
    # Its documents are somebody else's: they are not to be trusted, and may be as old as `stale` says.
    foreign: bool = False

    @property
    def name(self) -> str:
        """`v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def path(self) -> str:
        """`api/v1`, `apis/apps/v1`."""
        return f"apis/{self.name}" if self.group else f"api/{self.version}"


Source = Callable[[], Sequence[GroupVersion]]


class Catalog:
    """All group versions, in the order in which clients are to prefer them."""

    def __init__(self, *sources: Source) -> None:
        self._sources = list(sources)
        self._versions: tuple[GroupVersion, ...] | None = None
        self._kept: dict[Hashable, Any] = {}

    def add(self, source: Source) -> None:
        """One more source, whose group versions give way to those of the sources before it."""
        self._sources.append(source)
        self.forget()

    def forget(self) -> None:
        """What a source says has changed."""
        self._versions = None
        self._kept.clear()

    def versions(self) -> tuple[GroupVersion, ...]:
        if self._versions is None:
            found: dict[str, GroupVersion] = {}
            for source in self._sources:
                for one in source():
                    found.setdefault(one.name, one)
            self._versions = _ordered(found.values())
        return self._versions

    def groups(self) -> dict[str, list[GroupVersion]]:
        found: dict[str, list[GroupVersion]] = {}
        for one in self.versions():
            found.setdefault(one.group, []).append(one)
        return found

    def known(self, key: Hashable) -> Any:
        """What was kept under `key` since the last change; None if nothing was."""
        return self._kept.get(key)

    def keep(self, key: Hashable, value: Any, *, about: tuple[GroupVersion, ...]) -> None:
        """Keep a document that was made of `about`, unless that is not what is served any more."""
        if about is self.versions():
            if len(self._kept) >= CACHED_MAX:
                self._kept.clear()
            self._kept[key] = value


def storage_hash(group: str, version: str, kind: str) -> str:
    """What stands for the form in which a kind is stored."""
    return base64.b64encode(hashlib.sha256(f"{group}/{version}/{kind}".encode()).digest()[:8]).decode()


def _ordered(found: Any) -> tuple[GroupVersion, ...]:
    versions = list(found)
    priorities: dict[str, int] = {}
    for one in versions:
        priorities[one.group] = max(priorities.get(one.group, 0), one.group_priority)

    def rank(one: GroupVersion) -> tuple[Any, ...]:
        return -priorities[one.group], one.group, -one.version_priority, _rank(one.version)

    return tuple(sorted(versions, key=rank))


def _rank(version: str) -> tuple[Any, ...]:
    """v2 before v1, v1 before v1beta1, that before v1alpha1; anything else after them, by name."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return 1, version
    major, maturity, minor = match.groups()
    return 0, -_MATURITY[maturity], -int(major), -int(minor or 0)
