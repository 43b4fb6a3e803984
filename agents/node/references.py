"""The ConfigMaps and Secrets that pods of this node refer to: each followed while somebody refers to it, never all.

`acquire` waits until the objects that a pod names have been read once; `on_change(uid)` tells when one of them
changes, appears or goes. At most FOLLOWED_MAX objects are followed; a pod that needs more is refused until others go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from raftsman import mentions, resources
from raftsman.client import Client, EventType
from raftsman.client.reflection import Selection
from raftsman.core import v1 as core
from raftsman.informer import Informer
from raftsman.metadata import Key

FOLLOWED_MAX = 1000
SYNC_TIMEOUT_S = 10.0


class Reference(NamedTuple):
    """One object that a pod refers to."""

    message: type[Any]
    namespace: str
    name: str


class ReferenceFault(Exception):
    """Objects that could not be read; the message says which."""


@dataclass(slots=True)
class _Followed:
    informer: Informer[Any]
    task: asyncio.Task[None]
    users: set[str] = field(default_factory=set)


class References:
    """Follows referenced objects on behalf of pods, by uid."""

    def __init__(self, client: Client, *, on_change: Callable[[str], None]) -> None:
        self._client = client
        self._on_change = on_change
        self._followed: dict[Reference, _Followed] = {}
        self._by_pod: dict[str, frozenset[Reference]] = {}

    async def acquire(self, pod: core.Pod) -> None:
        """Follow all that `pod` refers to, and wait for the first sight of it. Idempotent."""
        wanted = frozenset(of_pod(pod))
        uid = pod.metadata.uid
        self._by_pod[uid] = wanted
        for reference in wanted:
            self._follow(reference).users.add(uid)
        entries = [(r, self._followed[r].informer) for r in wanted]
        missing = [(r, i) for r, i in entries if not i.has_synced]
        if not missing:
            return
        try:
            async with asyncio.timeout(SYNC_TIMEOUT_S):
                for _, informer in missing:
                    await informer.synced()
        except TimeoutError:
            names = ", ".join(f"{r.message.__name__} {r.namespace}/{r.name}" for r, i in missing if not i.has_synced)
            raise ReferenceFault(f"timed out reading {names}") from None

    def release(self, uid: str) -> None:
        """The pod is gone."""
        for reference in self._by_pod.pop(uid, ()):
            entry = self._followed.get(reference)
            if entry is None:
                continue
            entry.users.discard(uid)
            if not entry.users:
                entry.task.cancel()
                del self._followed[reference]

    def get(self, message: type[Any], namespace: str, name: str) -> Any | None:
        """The object as last seen; None: it does not exist, or nobody refers to it."""
        entry = self._followed.get(Reference(message, namespace, name))
        return entry.informer.cache.get(Key(namespace, name)) if entry else None

    def _follow(self, reference: Reference) -> _Followed:
        entry = self._followed.get(reference)
        if entry is not None:
            return entry
        if len(self._followed) >= FOLLOWED_MAX:
            raise ReferenceFault(f"pods on this node refer to more than {FOLLOWED_MAX} ConfigMaps and Secrets")
        resource = resources.by_message(reference.message)
        selection = Selection(resource, reference.namespace, "", f"metadata.name={reference.name}")
        informer: Informer[Any] = Informer(self._client, selection)
        users: set[str] = set()

        def changed(kind: EventType, old: Any, new: Any) -> None:
            if informer.has_synced:
                for uid in tuple(users):
                    self._on_change(uid)

        informer.add_handler(changed)
        task = asyncio.create_task(informer.run(), name=f"follow {reference.name}")
        entry = self._followed[reference] = _Followed(informer, task, users)
        return entry

    async def close(self) -> None:
        tasks = [entry.task for entry in self._followed.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._followed.clear()


def of_pod(pod: core.Pod) -> Iterable[Reference]:
    """The configuration and the secrets that a pod's variables, volumes and pull secrets name."""
    namespace = pod.metadata.namespace
    for message, name in mentions.of_pod(pod):
        if message in (core.ConfigMap, core.Secret):
            yield Reference(message, namespace, name)
