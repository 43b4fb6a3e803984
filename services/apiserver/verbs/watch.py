"""Watch: one stream of changes from a revision on, in their order, none twice, none left out.

Several changes that wait go out in one message. A stream that cannot keep up is closed and told so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

from raftsman import errors
from raftsman.meta import v1 as meta
from raftsman.services.apiserver import metrics
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.rpc import Call
from raftsman.services.apiserver.watchcache import selection as selections
from raftsman.services.apiserver.watchcache import watcher as watchers
from raftsman.services.apiserver.watchcache.object import encode_all
from raftsman.services.apiserver.watchcache.selection import Selection
from raftsman.services.apiserver.watchcache.watcher import Form, Pipe, Watcher

from . import read

INITIAL_EVENTS_END = "k8s.io/initial-events-end"

Write = Callable[[bytes], Awaitable[None]]


async def watch(
    api: Api, call: Call, raw: bytes, write: Write, *, form: Form = Form.PROTOBUF, pipe: Pipe | None = None
) -> None:
    """`write` waits for its reader; where a `pipe` is given, what comes after the initial state goes there."""
    request = meta.WatchRequest.FromString(raw)
    kind = call.kind
    selected = selections.parse(
        kind, request.namespace if kind.resource.namespaced else "",
        label_selector=request.label_selector, field_selector=request.field_selector,
    )  # fmt: skip
    api.allow(call.user, "watch", kind, namespace=request.namespace, name=selected.name, node=selected.node)
    cache = api.cache(kind)
    initial, watcher = await _start(api, kind, selected, request, form)
    call.streams()
    gauge = metrics.WATCHES.labels(*metrics.labels("watch", kind.resource))
    gauge.inc()
    try:
        while initial:
            await write(watchers.joined(initial))
        if pipe is not None:
            await watcher.run(pipe)
        while True:
            await write(await watcher.next())
    finally:
        gauge.dec()
        cache.unwatch(watcher)


async def _start(
    api: Api, kind: Kind, selected: Selection, request: meta.WatchRequest, form: Form
) -> tuple[deque[bytes], Watcher]:
    """The state to send first, and the watcher of all that comes after it. No await between taking the two."""
    from_state = request.send_initial_events or request.resource_version in ("", "0")
    if not from_state:
        since = read.revision_of(request.resource_version)
        return deque(), _watcher(api, kind, selected, request, since, form)
    await read.at_least(api, request.resource_version)
    if form is Form.JSON:
        await encode_all(api.cache(kind).select(selected))
    revision = api.feed.revision
    found = api.cache(kind).select(selected)
    # From here on nothing is missed, however long it takes to show what there is.
    watcher = _watcher(api, kind, selected, request, revision, form)
    if kind.conversions is not None:
        try:
            found = await kind.conversions.seen(kind, found)
        except errors.ApiError:
            api.cache(kind).unwatch(watcher)
            raise
    initial = watchers.frames_of(found, form)
    if request.send_initial_events:
        initial.append(bookmark(kind, revision, form, initial_end=True))
    return initial, watcher


def _watcher(api: Api, kind: Kind, selected: Selection, request: meta.WatchRequest, since: int, form: Form) -> Watcher:
    cache, bookmarks = api.cache(kind), request.allow_bookmarks
    if kind.conversions is None:
        return cache.watch(selected, since=since, bookmarks=bookmarks, form=form)
    return cache.watch_as(kind, selected, since=since, bookmarks=bookmarks, form=form)


def bookmark(kind: Kind, revision: int, form: Form, *, initial_end: bool = False) -> bytes:
    """The frame of a BOOKMARK event."""
    marked = kind.form.empty()
    if initial_end:
        marked.metadata.annotations[INITIAL_EVENTS_END] = "true"
    data = kind.form.opened(kind.form.serialise(marked), revision)
    if form is Form.JSON:
        return watchers.line(watchers.BOOKMARK, kind.form.whole(kind.form.item(data)))
    if form is Form.ENVELOPED:
        return watchers.enveloped(watchers.BOOKMARK, kind, data)
    return watchers.frame(watchers.BOOKMARK, data)


def send_bookmarks(api: Api) -> None:
    """Tell every watch that wants it how far it is; called once a minute."""
    for cache in api.feed.caches.values():
        frames: dict[tuple[Form, str], bytes] = {}
        for watcher in cache.watchers():
            if watcher.bookmarks:
                version = watcher.view or cache.kind
                key = (watcher.form, version.resource.api_version)
                if key not in frames:
                    frames[key] = bookmark(version, api.feed.revision, watcher.form)
                watcher.push(frames[key])
