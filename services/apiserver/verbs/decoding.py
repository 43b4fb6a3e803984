"""From what a request carries to a typed object in a settled namespace."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError
from raftsman import errors, resources
from raftsman.meta import v1 as meta
from raftsman.services.apiserver import failures, unsupported
from raftsman.services.apiserver.access.identity import ANONYMOUS
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.rpc import Call
from raftsman.services.apiserver.validation.causes import Causes

WARNINGS_MAX = 20
THREAD_BYTES_MIN = 64 << 10


async def decoded(call: Call, request: meta.WriteRequest, *, problems: list[errors.Cause] | None = None) -> Any:
    """The object of a write: protobuf, or a manifest in JSON or YAML. errors.BadRequest if neither.

    What cannot be decoded is left out and added to `problems`, if given, so that it is told with what validation finds.
    A manifest costs more than its sender: only known callers' are looked at, and long ones in a thread.
    """
    kind = call.kind
    if not request.manifest and not kind.form.binary and not call.rest:
        # Over gRPC an object of a custom resource is its JSON.
        request.manifest = request.object
    if not request.manifest:
        obj = _message(kind, request.object)
    elif call.user is ANONYMOUS:
        raise errors.Unauthorized("Unauthorized: a manifest needs a client certificate or a token")
    elif len(request.manifest) > THREAD_BYTES_MIN:
        obj = await asyncio.to_thread(from_manifest, call, request.manifest, request.options, problems)
    else:
        obj = from_manifest(call, request.manifest, request.options, problems)
    settle_namespace(kind, obj.metadata, request.namespace)
    if call.named and obj.metadata.name != call.named:
        sent = obj.metadata.name
        raise errors.BadRequest(f"the name of the object ({sent}) does not match the name on the URL ({call.named})")
    return obj


def _message(kind: Kind, data: bytes) -> Any:
    if not kind.form.binary:
        raise failures.unsupported_media(f"{kind.resource.qualified} has no protobuf form")
    try:
        obj = kind.message.FromString(data)
    except DecodeError as error:
        raise errors.BadRequest(f"the object is no {kind.message.DESCRIPTOR.full_name}: {error}") from None
    known = obj.ByteSize()
    obj.DiscardUnknownFields()
    if obj.ByteSize() != known:
        raise errors.BadRequest(f"the {kind.resource.kind} has protobuf fields that this server does not know")
    try:
        return kind.form.normal(obj)
    except ValueError as error:
        raise errors.BadRequest(f"the {kind.resource.kind} cannot be written as JSON: {error}") from None


def settle_namespace(kind: Kind, metadata: meta.ObjectMeta, namespace: str) -> None:
    """The request's namespace and the object's must agree; either may be left out."""
    if not kind.resource.namespaced:
        if namespace or metadata.namespace:
            metadata.ClearField("namespace")
        return
    if namespace and metadata.namespace and namespace != metadata.namespace:
        raise errors.BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    metadata.namespace = metadata.namespace or namespace or "default"


def from_manifest(
    call: Call, manifest: bytes, options: meta.WriteOptions, problems: list[errors.Cause] | None = None
) -> Any:
    """A manifest of the call's kind. errors.BadRequest names everything that is wrong with it."""
    from raftsman import manifests

    documents = manifests.parse(manifest)
    if len(documents) != 1:
        raise errors.BadRequest(f"{len(documents)} documents in one manifest: exactly one is needed")
    document, kind = documents[0], call.kind
    implied = call.rest and not document.api_version and not document.kind
    if not implied and (document.api_version, document.kind) != (kind.resource.api_version, kind.resource.kind):
        _refuse_kind(kind, document.api_version, document.kind)
    return from_tree(call, document.value, options, doubled=document.problems, problems=problems)


def _refuse_kind(kind: Kind, api_version: str, name: str) -> None:
    known = resources.by_kind(api_version, name)
    if known is not None and not known.service:
        raise failures.not_served(known, "", unsupported.KINDS.get(known.qualified, "a controller for it"))
    raise errors.BadRequest(
        f"the manifest is {api_version} {name}, not {kind.resource.api_version} {kind.resource.kind}"
    )


def from_tree(
    call: Call, tree: Mapping[str, Any], options: meta.WriteOptions, *, doubled: tuple[errors.Cause, ...] = (),
    problems: list[errors.Cause] | None = None,
) -> Any:  # fmt: skip
    """A typed object of a JSON tree; unknown and doubled fields are errors, warnings or nothing, as `options` say."""
    from raftsman import codec

    result = call.kind.form.decode(tree)
    lenient = options.field_validation in (meta.FIELD_VALIDATION_WARN, meta.FIELD_VALIDATION_IGNORE)
    found = result.wrong if lenient else (*doubled, *result.problems)
    if problems is None:
        codec.check(found, what=call.kind.resource.kind)
    else:
        problems += found
    if options.field_validation == meta.FIELD_VALIDATION_WARN:
        call.warnings += [codec.strict(one) for one in (*doubled, *result.unknown)][:WARNINGS_MAX]
    return result.message


def refuse(kind: Kind, name: str, problems: Sequence[errors.Cause], causes: Causes) -> None:
    """Raise what decoding and validation found, if anything: errors.BadRequest if only the first did."""
    from raftsman import codec

    # What was left out is missing then; that is no second mistake.
    wrong = [one.field for one in problems if one.reason != codec.UNKNOWN]
    rest = [one for one in causes.found if not any(_overlap(one.field, path) for path in wrong)]
    if problems and rest:
        raise failures.invalid(kind.resource, name, [*problems, *rest])
    codec.check(problems, what=kind.resource.kind)
    if rest:
        raise failures.invalid(kind.resource, name, rest, immutable=causes.immutable)


def _overlap(one: str, other: str) -> bool:
    """Whether one path is the other or leads to it."""
    short, long = sorted((one, other), key=len)
    return long.startswith(short) and long[len(short) :][:1] in ("", ".", "[")
