"""What a shell may complete a word with: kinds, and the names of objects that the cluster has.

Asks the server within TIMEOUT_S for at most NAMES_MAX objects; whatever goes wrong, there are no suggestions and no
message. The words before on the command line say which kind is meant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from raftsman import errors, resources
from raftsman.client.config import ConfigError
from raftsman.resources import Resource

from .session import Session
from .verb import Globals

TIMEOUT_S = 3.0
NAMES_MAX = 500


def words(flags: Globals, before: Sequence[str], begun: str, *, pods: bool) -> list[str]:
    """The next of `TYPE[/NAME] [NAME]…`; with `pods`, a word alone is a pod's name."""
    kind, slash, _ = begun.rpartition("/")
    if slash:
        return [f"{kind}/{name}" for name in names(flags, kind)]
    if pods:
        return [] if before else [*names(flags, "pods"), *(f"{kind}/" for kind in ("deployment", "replicaset"))]
    if not before:
        return kinds()
    if "/" in before[0]:
        return []
    return [name for name in names(flags, before[0]) if name not in before]


def kinds() -> list[str]:
    """Every kind that is served, by its plural; two of one name have their groups."""
    found: dict[str, str] = {}
    for resource in resources.distinct():
        if resource.service:
            found.setdefault(resource.name if resource.name not in found else resource.qualified, "")
    return ["all", *sorted(found)]


def names(flags: Globals, kind: str) -> list[str]:
    resource = resources.find(kind)
    if resource is None or not resource.service:
        return []
    try:
        return asyncio.run(_names(flags, resource))
    except (errors.ApiError, ConfigError, TimeoutError, OSError):
        return []


async def _names(flags: Globals, resource: Resource) -> list[str]:
    async with asyncio.timeout(TIMEOUT_S), Session(flags) as session:
        found: Any = await session.client.list(resource.message, namespace=session.namespace, limit=NAMES_MAX)
        return [item.metadata.name for item in found.items]


def contexts(flags: Globals) -> list[str]:
    from . import config

    try:
        return sorted(config.merged(Session(flags)).contexts)
    except ConfigError:
        return []
