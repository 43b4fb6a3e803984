"""Get and List: bytes out of the cache, after the store's revision was confirmed unless the caller asks for any."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass

from raftsman import errors
from raftsman.etcd import rpc_pb2
from raftsman.meta import v1 as meta
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.access import nodes
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.rpc import Call
from raftsman.services.apiserver.storage import keys, wire
from raftsman.services.apiserver.storage.store import PAGE_KEYS, Compacted
from raftsman.services.apiserver.watchcache import selection as selections
from raftsman.services.apiserver.watchcache import views
from raftsman.services.apiserver.watchcache.object import CachedObject
from raftsman.services.apiserver.watchcache.selection import Selection

_ITEM = b"\x12"
REVISION_DIGITS_MAX = 18


async def at_least(api: Api, resource_version: str) -> None:
    """Wait until the cache is as new as the caller asks: "" everything written so far, "0" anything, N at least N."""
    if resource_version == "":
        await api.feed.fresh()
    elif resource_version != "0" or not api.feed.synced.is_set():
        await api.feed.reached(revision_of(resource_version))


def revision_of(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= REVISION_DIGITS_MAX):
        raise errors.BadRequest(f'invalid resource version "{text[:40]}": a decimal number is needed')
    return int(text)


def exact_revision_of(text: str) -> int:
    """Of a list at just that revision, which neither "" nor "0" names."""
    if not text.strip("0"):
        raise errors.BadRequest('resourceVersionMatch "Exact" is forbidden unless a resourceVersion above 0 is given')
    return revision_of(text)


async def get(api: Api, call: Call, raw: bytes) -> bytes:
    return (await got(api, call, meta.GetRequest.FromString(raw))).data


async def got(api: Api, call: Call, request: meta.GetRequest, *, subresource: str = "") -> CachedObject:
    """The whole object, also where only a part of it may be read by itself. errors.Forbidden, errors.NotFound."""
    allow = functools.partial(
        api.allow, call.user, "get", call.kind, namespace=request.namespace, name=request.name, subresource=subresource
    )
    try:
        allow()
    except errors.Forbidden:
        if not nodes.node_of(call.user):
            raise
        # What is a node's own is judged by what the cache has, and a pod may have been bound a moment ago.
        await api.feed.fresh()
        allow()
    return await fetch(api, call.kind, request)


async def fetch(api: Api, kind: Kind, request: meta.GetRequest) -> CachedObject:
    """errors.NotFound if there is none."""
    namespace = namespace_of(kind, request.namespace, request.name)
    await at_least(api, request.resource_version)
    found = api.cache(kind).get(namespace, request.name)
    if found is None:
        raise failures.not_found(kind.resource, request.name)
    return found if kind.conversions is None else (await kind.conversions.seen(kind, (found,)))[0]


def namespace_of(kind: Kind, namespace: str, name: str) -> str:
    """The namespace of a single object's key. errors.BadRequest if it or the name is missing."""
    if not name:
        raise errors.BadRequest(f"{kind.resource.qualified}: a name is needed")
    if not kind.resource.namespaced:
        return ""
    if not namespace:
        raise errors.BadRequest(f'{kind.resource.qualified} "{name}": a namespace is needed')
    return namespace


@dataclass(frozen=True, slots=True)
class Page:
    """Objects in the order of their names, and what is said of the list."""

    header: meta.ListMeta
    found: list[CachedObject]


async def list_(api: Api, call: Call, raw: bytes) -> bytes:
    return serialised(await listed(api, call, meta.ListRequest.FromString(raw)))


def serialised(page: Page) -> bytes:
    """The kind's list message."""
    return wire.framed(0x0A, page.header.SerializeToString()) + _items(page.found)


async def listed(api: Api, call: Call, request: meta.ListRequest) -> Page:
    kind = call.kind
    selected = selections.parse(
        kind, request.namespace if kind.resource.namespaced else "",
        label_selector=request.label_selector, field_selector=request.field_selector,
    )  # fmt: skip
    api.allow(call.user, "list", kind, namespace=request.namespace, name=selected.name, node=selected.node)
    limit = max(0, request.limit)
    if request.resource_version_match not in meta.ResourceVersionMatch.values():
        raise errors.BadRequest(f"resourceVersionMatch {request.resource_version_match} is not known")
    if request.continue_token:
        revision, after = _read_token(request.continue_token)
        await api.feed.reached(revision)
        return await _from_store(api, kind, selected, revision=revision, after=after, limit=limit)
    if request.resource_version_match == meta.RESOURCE_VERSION_MATCH_EXACT:
        revision = exact_revision_of(request.resource_version)
        await api.feed.reached(revision)
        return await _from_store(api, kind, selected, revision=revision, after="", limit=limit)
    await at_least(api, request.resource_version)
    found = api.cache(kind).select(selected)
    if 0 < request.limit < len(found):
        page = found[: request.limit]
        header = _header(api.feed.revision, last=page[-1], remaining=len(found) - len(page), selected=selected)
        return await _shown(kind, Page(header, page))
    return await _shown(kind, Page(_header(api.feed.revision), found))


async def _shown(kind: Kind, page: Page) -> Page:
    return page if kind.conversions is None else Page(page.header, await kind.conversions.seen(kind, page.found))


def _items(found: Iterable[CachedObject]) -> bytes:
    parts: list[bytes] = []
    for one in found:
        parts += (_ITEM, wire.varint(len(one.data)), one.data)
    return b"".join(parts)


def _header(
    revision: int, *, last: CachedObject | None = None, remaining: int = 0, selected: Selection | None = None
) -> meta.ListMeta:
    """The ListMeta of a page; `last` is set if there is more."""
    header = meta.ListMeta(resource_version=str(revision))
    if last is not None:
        header.continue_token = _token(revision, last)
        if remaining and selected is not None and selected.labels is None and selected.fields is None:
            header.remaining_item_count = remaining
    return header


def _token(revision: int, last: CachedObject) -> str:
    data = json.dumps([revision, f"{last.namespace}/{last.name}"]).encode()
    return base64.urlsafe_b64encode(data).decode()


def _read_token(token: str) -> tuple[int, str]:
    try:
        revision, after = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError, RecursionError):
        revision, after = None, None
    if type(revision) is not int or not isinstance(after, str) or not 0 < revision < 10**REVISION_DIGITS_MAX:
        raise errors.BadRequest("continue key is not valid: use the one of the last answer")
    return revision, after


async def _from_store(api: Api, kind: Kind, selected: Selection, *, revision: int, after: str, limit: int) -> Page:
    """One page of the state at a past revision, which only the store knows."""
    storage = kind if kind.view is None else kind.stored_as
    start = end = keys.prefix(storage.resource, selected.namespace)
    end = keys.end_of(start)
    if after:
        namespace, _, name = after.partition("/")
        start = keys.of(storage.resource, namespace, name) + b"\0"
    page: list[CachedObject] = []
    more = True
    while more and (not limit or len(page) < limit):
        wanted = limit - len(page) if limit else PAGE_KEYS
        answer = await _range(api, rpc_pb2.RangeRequest(key=start, range_end=end, limit=wanted, revision=revision))
        found = (views.shown(kind, one) for one in api.objects.opened(storage, answer.kvs))
        page += [one for one in found if selected.matches(one)]
        more = answer.more
        if answer.kvs:
            start = answer.kvs[-1].key + b"\0"
    return await _shown(kind, Page(_header(revision, last=page[-1] if more and page else None), page))


async def _range(api: Api, request: rpc_pb2.RangeRequest) -> rpc_pb2.RangeResponse:
    try:
        return await api.store.range(request)
    except Compacted:
        raise errors.Expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list "
            "without the continue parameter."
        ) from None
