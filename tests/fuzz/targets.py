"""What is fuzzed: each target takes bytes and raises nothing, whatever they are.

A refusal is an errors.ApiError or what the function documents; anything else that is raised is a bug.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import orjson
from google.protobuf.message import DecodeError
from raftsman import codec, errors, manifests, printers, quantity, resources, selectors, times
from raftsman import patch as patches
from raftsman.services.apiserver import declarations
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.validation import metadata as metadata_rules
from raftsman.services.apiserver.validation.causes import Causes

from .trees import Source, tree

KINDS = tuple(declarations.table().values())
KNOWN = resources.known()


def read_json(data: bytes) -> None:
    """JSON of any kind: what was understood comes back as it was."""
    if not data:
        return
    resource = KNOWN[data[0] % len(KNOWN)]
    try:
        value = orjson.loads(data[1:])
    except orjson.JSONDecodeError:
        return
    if isinstance(value, dict):
        _comes_back(resource, value)


def read_tree(data: bytes) -> None:
    """Nearly right objects of any kind."""
    source = Source(data)
    resource = KNOWN[source.number(len(KNOWN))]
    _comes_back(resource, tree(source, resource.message.DESCRIPTOR))


def _comes_back(resource: resources.Resource, value: dict[str, Any]) -> None:
    decoded = codec.from_json(value, resource.message)
    message = decoded.message
    written = codec.to_json(message, type_meta=False)
    again = codec.from_json(written, resource.message)
    assert not again.problems, again.problems
    assert decoded.wrong or again.message == message
    assert codec.to_json(again.message, type_meta=False) == written
    json.dumps(written)


def read_protobuf(data: bytes) -> None:
    """Protobuf of any kind, damaged or not, is printed as JSON and as a row of a table."""
    source = Source(data)
    resource = KNOWN[source.number(len(KNOWN))]
    value = tree(source, resource.message.DESCRIPTOR)
    raw = bytearray(codec.from_json(value, resource.message).message.SerializeToString())
    for _ in range(source.number(4)):
        if raw:
            raw[(source.number(256) * 256 + source.number(256)) % len(raw)] = source.number(256)
    try:
        message = resource.message.FromString(bytes(raw))
    except DecodeError:
        return
    # A time outside of what JSON can say is a documented refusal.
    with contextlib.suppress(ValueError):
        codec.from_json(codec.to_json(message, type_meta=False), resource.message)
        if resource.service:
            printers.typed_cells(resource, message)


def read_manifest(data: bytes) -> None:
    with contextlib.suppress(errors.BadRequest):
        for document in manifests.parse(data):
            assert isinstance(document.value, dict)


def create(data: bytes) -> None:
    """Nearly right objects of any served kind go through what happens before the store, and are printed."""
    source = Source(data)
    kind = KINDS[source.number(len(KINDS))]
    value = tree(source, kind.resource.message.DESCRIPTOR)
    obj = codec.from_json(value, kind.resource.message).message
    with contextlib.suppress(errors.ApiError):
        prepared(kind, obj)
    codec.to_json(obj)
    if kind.stored:
        printers.typed_cells(kind.resource, obj)


def update(data: bytes) -> None:
    """One object becomes another."""
    source = Source(data)
    kind = KINDS[source.number(len(KINDS))]
    if not kind.stored:
        return
    descriptor = kind.resource.message.DESCRIPTOR
    old = codec.from_json(tree(source, descriptor), kind.resource.message).message
    new = codec.from_json(tree(source, descriptor), kind.resource.message).message
    with contextlib.suppress(errors.ApiError):
        prepared(kind, old)
        kind.prepare_update(new, old)
        kind.default(new)
        kind.validate_update(new, old, Causes())
        kind.validate_status(new, old, Causes())


def prepared(kind: Kind, obj: Any) -> None:
    """As a new object is before it is stored."""
    kind.prepare_create(obj)
    kind.default(obj)
    kind.complete_create(obj)
    causes = Causes()
    metadata_rules.validate(obj.metadata, causes, namespaced=kind.resource.namespaced, rule=kind.name_rule)
    kind.validate(obj, causes)


def patch(data: bytes) -> None:
    """A patch of every type, on a deployment."""
    if not data:
        return
    value = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "labels": {"a": "b"}},
        "spec": {"template": {"spec": {"containers": [{"name": "c", "ports": [{"containerPort": 80}]}]}}},
    }  # fmt: skip
    try:
        change = orjson.loads(data[1:])
    except orjson.JSONDecodeError:
        return
    message = next(one for one in KNOWN if one.kind == "Deployment").message
    with contextlib.suppress(errors.ApiError):
        if data[0] % 3 == 0:
            patches.json_patch(value, change)
        elif data[0] % 3 == 1:
            patches.merge_patch(value, change)
        else:
            patches.strategic_merge(value, change, message)


def select(data: bytes) -> None:
    text = data.decode(errors="replace")
    for parse in (selectors.parse_labels, selectors.parse_fields):
        with contextlib.suppress(errors.ApiError, ValueError):
            parse(text)


def read_scalars(data: bytes) -> None:
    """Quantities, times and durations: what is read is written so that it is read again as the same."""
    text = data.decode(errors="replace")
    with contextlib.suppress(quantity.QuantityError):
        canonical = quantity.format(text)
        assert quantity.format(canonical) == canonical
    with contextlib.suppress(ValueError):
        seconds, nanos = times.parse_rfc3339(text)
        assert times.parse_rfc3339(times.format_micros(seconds, nanos))[0] == seconds
    with contextlib.suppress(ValueError):
        nanos = times.parse_duration(text)
        assert times.parse_duration(times.format_duration(nanos)) == nanos


_ALL = (read_json, read_tree, read_protobuf, read_manifest, create, update, patch, select, read_scalars)
TARGETS: dict[str, Callable[[bytes], None]] = {target.__name__: target for target in _ALL}
