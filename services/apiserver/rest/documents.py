"""From a verb's answer, protobuf bytes, to what a client reads: JSON, YAML, enveloped protobuf, tables, metadata."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import orjson
from google.protobuf import message as protobuf
from raftsman import codec, errors
from raftsman.dynamic import v1 as dynamic
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.storage import wire
from raftsman.services.apiserver.verbs import read
from raftsman.services.apiserver.watchcache.object import CachedObject, encode_all

from . import media, requests
from .http import Answer, Request
from .media import View, Wanted

_META = "meta.k8s.io/v1"


def dumped(tree: Any, form: str = media.JSON) -> bytes:
    """A JSON tree as JSON or YAML."""
    if form == media.YAML:
        import yaml

        return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode()
    return orjson.dumps(tree)


def as_read(answer: Answer, request: Request) -> Answer:
    """JSON with line breaks for who wants to read it."""
    packed = any(name == "Content-Encoding" for name, _ in answer.headers)
    if packed or not answer.media.startswith(media.JSON) or not answer.body or not requests.is_pretty(request):
        return answer
    body = orjson.dumps(orjson.loads(answer.body), option=orjson.OPT_INDENT_2) + b"\n"
    return dataclasses.replace(answer, body=body)


def of_message(message: protobuf.Message, wanted: Wanted) -> bytes:
    """Any message that is a kind: a Status, a Scale, a TokenRequest."""
    if wanted.media == media.PROTOBUF:
        named = codec.type_meta(message.DESCRIPTOR)
        assert named is not None, message.DESCRIPTOR
        return wire.enveloped(*named, message.SerializeToString())
    return dumped(codec.to_json(message), wanted.media)


def of_object(kind: Kind, data: bytes, wanted: Wanted, *, include: str = "") -> bytes:
    resource = kind.resource
    if wanted.media == media.PROTOBUF:
        return wire.enveloped(resource.api_version, resource.kind, data)
    message = kind.form.parse(data)
    if wanted.view is View.TABLE:
        return dumped(table(kind, [message], {"resourceVersion": message.metadata.resource_version}, include))
    if wanted.view is View.METADATA:
        return dumped(partial(message))
    return dumped(kind.form.tree(message), wanted.media)


def of_found(found: CachedObject, wanted: Wanted, *, include: str = "") -> bytes:
    """An object as the cache has it, whose JSON is kept."""
    if wanted.media == media.JSON and wanted.view is View.WHOLE:
        return found.kind.form.whole(found.json)
    return of_object(found.kind, found.data, wanted, include=include)


async def of_page(kind: Kind, page: read.Page, wanted: Wanted, *, include: str = "") -> bytes:
    """A list as the cache has it, whose items' JSON is kept."""
    if wanted.media != media.JSON or wanted.view is not View.WHOLE:
        return of_list(kind, read.serialised(page), wanted, include=include)
    await encode_all(page.found)
    head = {"kind": kind.list_kind, "apiVersion": kind.resource.api_version, "metadata": codec.to_json(page.header)}
    return dumped(head)[:-1] + b',"items":[' + b",".join([one.json for one in page.found]) + b"]}"


def of_list(kind: Kind, data: bytes, wanted: Wanted, *, include: str = "") -> bytes:
    resource = kind.resource
    if wanted.media == media.PROTOBUF:
        return wire.enveloped(resource.api_version, kind.list_kind, data)
    listed = dynamic.ListResponse.FromString(data)
    found = [kind.form.parse(item) for item in listed.items]
    metadata = codec.to_json(listed.metadata)
    if wanted.view is View.TABLE:
        return dumped(table(kind, found, metadata, include))
    if wanted.view in (View.METADATA, View.METADATA_LIST):
        items = [partial(item) for item in found]
        return dumped({"kind": View.METADATA_LIST.value, "apiVersion": _META, "metadata": metadata, "items": items})
    items = [kind.form.tree(item, type_meta=False) for item in found]
    tree = {"kind": kind.list_kind, "apiVersion": resource.api_version, "metadata": metadata, "items": items}
    return dumped(tree, wanted.media)


def partial(message: Any) -> dict[str, Any]:
    """An object's metadata alone."""
    return {"kind": View.METADATA.value, "apiVersion": _META, "metadata": codec.to_json(message.metadata)}


def table(
    kind: Kind, found: Sequence[Any], metadata: dict[str, Any], include: str, *, headed: bool = True
) -> dict[str, Any]:
    """A Table of objects. `include`: how much of each object a row carries: None, Metadata (the default), Object."""
    if include not in ("", "None", "Metadata", "Object"):
        raise errors.BadRequest(f'includeObject "{include}" is none of None, Metadata, Object')
    columns = kind.columns.definitions() if headed else []
    rows = [_row(kind, message, include) for message in found]
    return {
        "kind": "Table", "apiVersion": _META, "metadata": metadata, "columnDefinitions": columns, "rows": rows,
    }  # fmt: skip


def _row(kind: Kind, message: Any, include: str) -> dict[str, Any]:
    row: dict[str, Any] = {"cells": kind.columns.cells(message)}
    if include == "Object":
        row["object"] = kind.form.tree(message)
    elif include != "None":
        row["object"] = partial(message)
    return row
