"""The cache of a kind as another version of it shows it: an object is stored and cached once, and converted on reading.

A ViewCache is asked like a KindCache. What is selected is selected by the names of the version that is asked for. A
change is converted once for each version, whoever watches.
"""

from __future__ import annotations

from collections.abc import Iterator

from raftsman.services.apiserver.kinds import Kind

from .kind_cache import KindCache
from .object import CachedObject
from .selection import Selection
from .watcher import Change, Form, Watcher


def shown(kind: Kind, found: CachedObject) -> CachedObject:
    """A stored object in the version of `kind`; itself if that is the one that is stored."""
    if kind.view is None:
        return found
    message = kind.view.from_stored(found.parsed())
    message.metadata.ClearField("resource_version")
    return CachedObject(kind, found.namespace, found.name, kind.form.serialise(message), found.revision)


class ViewCache(KindCache):
    """Holds nothing itself."""

    def __init__(self, kind: Kind, stored: KindCache) -> None:
        super().__init__(kind)
        self._stored = stored

    def get(self, namespace: str, name: str) -> CachedObject | None:
        found = self._stored.get(namespace, name)
        return found and shown(self.kind, found)

    def select(self, selection: Selection) -> list[CachedObject]:
        candidates = self._stored.select(Selection(selection.namespace, name=selection.name))
        converted = (shown(self.kind, found) for found in candidates)
        return [one for one in converted if selection.everything or selection.matches(one)]

    def values(self) -> Iterator[CachedObject]:
        return (shown(self.kind, found) for found in self._stored.values())

    def watch(self, selection: Selection, *, since: int, bookmarks: bool, form: Form = Form.PROTOBUF) -> Watcher:
        watcher = ViewWatcher(self.kind, selection, since=since, bookmarks=bookmarks, form=form)
        return self._stored.attach(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        self._stored.unwatch(watcher)

    def watchers(self) -> list[Watcher]:
        return [watcher for watcher in self._stored.watchers() if watcher.view is self.kind]


class ViewWatcher(Watcher):
    """Is offered changes of stored objects, and sees them in its own version."""

    __slots__ = ()

    def __init__(self, kind: Kind, selection: Selection, *, since: int, bookmarks: bool, form: Form) -> None:
        super().__init__(selection, since=since, bookmarks=bookmarks, form=form)
        self.view = kind

    def offer(self, change: Change) -> None:
        if change.revision > self.since:
            assert self.view is not None
            super().offer(_seen(change, self.view))


def _seen(change: Change, kind: Kind) -> Change:
    version = kind.resource.api_version
    found = change.views.get(version)
    if found is None:
        old, new = (one and shown(kind, one) for one in (change.old, change.new))
        found = change.views[version] = Change(change.revision, old, new)
    return found
