"""All objects of one kind, their recent changes, and who watches them.

    objects   {"default": {"web": CachedObject(revision 7)}}
    window    [Change(6, None, web), Change(7, web, web')]     complete after revision `complete_after`
    watchers  all of the kind | of one namespace | pods of one node

The window holds at most WINDOW_CHANGES_MAX changes and WINDOW_BYTES_MAX bytes; a watch from before it is refused as
expired. A change costs work only for the watchers whose namespace or node it is in.
"""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Iterable

from raftsman import errors
from raftsman.errors import ApiError
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.kinds import Kind

from .object import CachedObject
from .selection import Selection
from .watcher import Change, Converting, Form, Over, Watcher

WINDOW_CHANGES_MAX = 10_000
WINDOW_BYTES_MAX = 16 << 20

Listener = Callable[[Change], None]


class KindCache:
    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._objects: dict[str, dict[str, CachedObject]] = {}
        self._by_node: dict[str, dict[tuple[str, str], CachedObject]] = defaultdict(dict)
        self._window: deque[Change] = deque()
        self._window_bytes = 0
        self._complete_after = 0
        self._everywhere: set[Watcher] = set()
        self._in_namespace: dict[str, set[Watcher]] = {}
        self._on_node: dict[str, set[Watcher]] = {}
        self.listeners: list[Listener] = []

    # Reading

    def __len__(self) -> int:
        return sum(map(len, self._objects.values()))

    def get(self, namespace: str, name: str) -> CachedObject | None:
        found = self._objects.get(namespace)
        return found.get(name) if found else None

    def select(self, selection: Selection) -> list[CachedObject]:
        """What is selected, in the order of namespaces and names."""
        if selection.node:
            candidates: Iterable[CachedObject] = self._by_node.get(selection.node, {}).values()
            return sorted(filter(selection.matches, candidates), key=lambda o: (o.namespace, o.name))
        spaces = (selection.namespace,) if selection.namespace else sorted(self._objects)
        found = []
        for space in spaces:
            named = self._objects.get(space)
            if not named:
                continue
            if selection.name:
                found += [named[selection.name]] if selection.name in named else []
            else:
                found += [named[name] for name in sorted(named)]
        return found if selection.everything else [one for one in found if selection.matches(one)]

    def count(self, namespace: str = "") -> int:
        """How many objects there are, everywhere or in a namespace."""
        if namespace:
            return len(self._objects.get(namespace, ()))
        return sum(map(len, self._objects.values()))

    def values(self) -> Iterable[CachedObject]:
        for named in self._objects.values():
            yield from named.values()

    # Writing: the feed alone

    def replace(self, objects: Iterable[CachedObject], revision: int) -> None:
        """Start anew from a full listing at `revision`. What changed in between is not known: watches end."""
        self.close_watchers(errors.Expired("the changes since then are gone; list anew"))
        self._objects.clear()
        self._by_node.clear()
        self._window.clear()
        self._window_bytes, self._complete_after = 0, revision
        for found in objects:
            self._store(found)

    def become(self, kind: Kind) -> None:
        """The same objects and changes, served in another way from now on. Watches end, to be taken up again."""
        self.kind = kind
        self.close_watchers(Over("the resource is served in another way now; watch again"))
        held = [found.of(kind) for found in self.values()]
        self._by_node.clear()
        self._objects.clear()
        for found in held:
            self._store(found)
        self._window = deque(
            Change(one.revision, one.old and one.old.of(kind), one.new and one.new.of(kind)) for one in self._window
        )

    def apply(self, namespace: str, name: str, new: CachedObject | None, *, revision: int) -> None:
        old = self.get(namespace, name)
        if new is None and old is None:
            return
        if old is not None:
            self._drop(old)
        if new is not None:
            self._store(new)
        change = Change(revision, old, new)
        self._remember(change)
        for watcher in self._interested(change):
            watcher.offer(change)
        for listener in self.listeners:
            listener(change)

    def _store(self, found: CachedObject) -> None:
        self._objects.setdefault(found.namespace, {})[found.name] = found
        if found.node:
            self._by_node[found.node][found.namespace, found.name] = found

    def _drop(self, found: CachedObject) -> None:
        named = self._objects[found.namespace]
        del named[found.name]
        if not named:
            del self._objects[found.namespace]
        if found.node:
            on_node = self._by_node[found.node]
            del on_node[found.namespace, found.name]
            if not on_node:
                del self._by_node[found.node]

    def _remember(self, change: Change) -> None:
        self._window.append(change)
        self._window_bytes += _size(change)
        while len(self._window) > WINDOW_CHANGES_MAX or self._window_bytes > WINDOW_BYTES_MAX:
            gone = self._window.popleft()
            self._window_bytes -= _size(gone)
            self._complete_after = gone.revision

    # Watching

    def watch(self, selection: Selection, *, since: int, bookmarks: bool, form: Form = Form.PROTOBUF) -> Watcher:
        """A registered watcher that gets every change after `since`. errors.Expired if some are gone."""
        return self.attach(Watcher(selection, since=since, bookmarks=bookmarks, form=form))

    def watch_as(self, kind: Kind, selection: Selection, *, since: int, bookmarks: bool, form: Form) -> Watcher:
        """The same for a kind with conversions, which may be another version than the one that is stored."""
        return self.attach(Converting(selection, kind, since=since, bookmarks=bookmarks, form=form))

    def attach(self, watcher: Watcher) -> Watcher:
        """Give a new watcher what it has missed, and from now on every change. errors.Expired if some are gone."""
        since = watcher.since
        if since < self._complete_after:
            raise failures.expired(since, self._complete_after)
        missed = list(itertools.takewhile(lambda change: change.revision > since, reversed(self._window)))
        for change in reversed(missed):
            watcher.offer(change)
        self._watchers_of(watcher.selection).add(watcher)
        return watcher

    def unwatch(self, watcher: Watcher) -> None:
        self._watchers_of(watcher.selection).discard(watcher)
        for index, key in ((self._on_node, watcher.selection.node), (self._in_namespace, watcher.selection.namespace)):
            if key in index and not index[key]:
                del index[key]

    def watchers(self) -> list[Watcher]:
        groups = (self._everywhere, *self._in_namespace.values(), *self._on_node.values())
        return [watcher for group in groups for watcher in group]

    def close_watchers(self, error: ApiError) -> None:
        for watcher in self.watchers():
            watcher.close(error)

    def _watchers_of(self, selection: Selection) -> set[Watcher]:
        if selection.node:
            return self._on_node.setdefault(selection.node, set())
        if selection.namespace:
            return self._in_namespace.setdefault(selection.namespace, set())
        return self._everywhere

    def _interested(self, change: Change) -> list[Watcher]:
        either = change.new or change.old
        assert either is not None
        found = [*self._everywhere, *self._in_namespace.get(either.namespace, ())]
        nodes = {one.node for one in (change.old, change.new) if one is not None and one.node}
        for node in nodes:
            found += self._on_node.get(node, ())
        return found


def _size(change: Change) -> int:
    return len(change.new.data) if change.new is not None else 64
