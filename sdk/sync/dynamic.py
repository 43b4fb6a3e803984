"""Objects of any resource, as raftsman.client.dynamic has them, waiting for each answer."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from raftsman.client.dynamic import Dynamic as Async
from raftsman.client.types import Event
from raftsman.meta import v1 as meta

from .portal import Portal

Tree = dict[str, Any]


class Dynamic:
    """The objects of one resource. Takes what the async one takes."""

    def __init__(self, portal: Portal, asynchronous: Async) -> None:
        self._portal, self._async = portal, asynchronous

    def get(self, name: str, **options: Any) -> Tree:
        return self._portal.run(self._async.get(name, **options))

    def list(self, **options: Any) -> tuple[Sequence[Tree], meta.ListMeta]:
        return self._portal.run(self._async.list(**options))

    def watch(self, **options: Any) -> Generator[Event[Tree], None, None]:
        return self._portal.iterate(self._async.watch(**options))

    def create(self, obj: Tree, **options: Any) -> Tree:
        return self._portal.run(self._async.create(obj, **options))

    def update(self, obj: Tree, **options: Any) -> Tree:
        return self._portal.run(self._async.update(obj, **options))

    def update_status(self, obj: Tree, **options: Any) -> Tree:
        return self._portal.run(self._async.update_status(obj, **options))

    def patch(self, name: str, patch: Any, **options: Any) -> Tree:
        return self._portal.run(self._async.patch(name, patch, **options))

    def apply(self, name: str, config: Tree, *, field_manager: str, **options: Any) -> Tree:
        return self._portal.run(self._async.apply(name, config, field_manager=field_manager, **options))

    def delete(self, name: str, **options: Any) -> Tree:
        return self._portal.run(self._async.delete(name, **options))

    def delete_collection(self, *, namespace: str, **options: Any) -> Sequence[Tree]:
        return self._portal.run(self._async.delete_collection(namespace=namespace, **options))

    def get_scale(self, name: str, **options: Any) -> Tree:
        return self._portal.run(self._async.get_scale(name, **options))
