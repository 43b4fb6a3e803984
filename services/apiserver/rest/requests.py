"""From an HTTP request to the message that a verb takes: query parameters and bodies, with Kubernetes' names."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError
from raftsman import errors, times
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.runtime import v1 as runtime
from raftsman.services.apiserver.storage import wire

from . import media
from .http import Request
from .paths import Target

# What a request may take that is no stream.
TIMEOUT_S = 60.0
_TRUE = ("", "1", "t", "true")
_PEOPLES_AGENTS = ("curl", "Wget", "Mozilla/5.0")
_MATCHES = {
    "": meta.RESOURCE_VERSION_MATCH_UNSPECIFIED,
    "Exact": meta.RESOURCE_VERSION_MATCH_EXACT,
    "NotOlderThan": meta.RESOURCE_VERSION_MATCH_NOT_OLDER_THAN,
}
_VALIDATIONS = {
    "": meta.FIELD_VALIDATION_WARN,
    "Strict": meta.FIELD_VALIDATION_STRICT,
    "Warn": meta.FIELD_VALIDATION_WARN,
    "Ignore": meta.FIELD_VALIDATION_IGNORE,
}
_PATCHES = {
    "application/json-patch+json": meta.PATCH_TYPE_JSON,
    "application/merge-patch+json": meta.PATCH_TYPE_MERGE,
    "application/strategic-merge-patch+json": meta.PATCH_TYPE_STRATEGIC_MERGE,
    "application/apply-patch+yaml": meta.PATCH_TYPE_APPLY,
}


def get(request: Request, target: Target) -> meta.GetRequest:
    return meta.GetRequest(
        namespace=target.namespace, name=target.name, resource_version=request.first("resourceVersion")
    )


def list_(request: Request, target: Target) -> meta.ListRequest:
    match = request.first("resourceVersionMatch")
    if match not in _MATCHES:
        raise errors.BadRequest(f'resourceVersionMatch "{match}" is none of Exact, NotOlderThan')
    if match and not request.first("resourceVersion"):
        raise errors.BadRequest("resourceVersionMatch is forbidden unless resourceVersion is provided")
    if "sendInitialEvents" in request.query:
        raise errors.BadRequest("sendInitialEvents is forbidden for a list: it is for watches")
    return meta.ListRequest(
        namespace=target.namespace,
        label_selector=request.first("labelSelector"),
        field_selector=_fields(request, target),
        limit=integer(request, "limit"),
        continue_token=request.first("continue"),
        resource_version=request.first("resourceVersion"),
        resource_version_match=_MATCHES[match],
    )


def watch(request: Request, target: Target) -> meta.WatchRequest:
    match, initial = request.first("resourceVersionMatch"), "sendInitialEvents" in request.query
    if (match, initial) not in (("", False), ("NotOlderThan", True)):
        raise errors.BadRequest(
            "a watch takes sendInitialEvents and resourceVersionMatch=NotOlderThan together, or neither of them"
        )
    return meta.WatchRequest(
        namespace=target.namespace,
        label_selector=request.first("labelSelector"),
        field_selector=_fields(request, target),
        resource_version=request.first("resourceVersion"),
        allow_bookmarks=flag(request, "allowWatchBookmarks"),
        send_initial_events=flag(request, "sendInitialEvents"),
    )


def _fields(request: Request, target: Target) -> str:
    """The field selector; a watch of one object by its path selects it by name."""
    given = request.first("fieldSelector")
    if not target.name:
        return given
    return f"metadata.name={target.name},{given}" if given else f"metadata.name={target.name}"


def write(request: Request, target: Target) -> meta.WriteRequest:
    made = meta.WriteRequest(namespace=target.namespace, options=options(request))
    if media.body_media(request.headers.get("content-type", "")) == media.PROTOBUF:
        made.object = unwrapped(request.body, target)
    elif not request.body.strip():
        raise errors.BadRequest("the request needs a body: the object")
    else:
        made.manifest = request.body
    return made


def unwrapped(body: bytes, target: Target) -> bytes:
    """The object's own bytes in Kubernetes' protobuf envelope. errors.BadRequest if it is another kind's."""
    if not body.startswith(wire.ENVELOPE_PREFIX):
        raise errors.BadRequest(f"a protobuf body begins with {wire.ENVELOPE_PREFIX!r}")
    try:
        envelope = runtime.Unknown.FromString(body[len(wire.ENVELOPE_PREFIX) :])
    except DecodeError as error:
        raise errors.BadRequest(f"the protobuf envelope cannot be read: {error}") from None
    kind = envelope.type_meta.kind
    if not target.subresource and kind and kind != target.resource.kind:
        raise errors.BadRequest(f"the object provided is a {kind}, not a {target.resource.kind}")
    return envelope.raw


def options(request: Request, *, force: bool = False) -> meta.WriteOptions:
    validation = request.first("fieldValidation")
    if validation not in _VALIDATIONS:
        raise errors.BadRequest(f'fieldValidation "{validation}" is none of Ignore, Warn, Strict')
    return meta.WriteOptions(
        dry_run=dry_run(request),
        field_manager=request.first("fieldManager"),
        field_validation=_VALIDATIONS[validation],
        force=force,
    )


def dry_run(request: Request) -> bool:
    given = request.query.get("dryRun", [])
    if given not in ([], ["All"]):
        raise errors.BadRequest(f"dryRun {given} is not All")
    return bool(given)


def patch(request: Request, target: Target) -> meta.PatchRequest:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in _PATCHES:
        raise media.unsupported(
            "the body of the request was in an unknown format - accepted media types include: " + ", ".join(_PATCHES)
        )
    force = flag(request, "force")
    if force and _PATCHES[content_type] != meta.PATCH_TYPE_APPLY:
        raise errors.BadRequest("force: may not be specified for a patch that is no apply patch")
    return meta.PatchRequest(
        namespace=target.namespace, name=target.name, subresource=target.subresource, type=_PATCHES[content_type],
        patch=request.body, options=options(request, force=force),
    )  # fmt: skip


def asks_to_watch(request: Request) -> bool:
    """As `flag`, before anything is refused."""
    return request.query.get("watch", ["0"])[0].lower() in _TRUE


def is_apply(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("application/apply-patch")


def deadline_s(request: Request) -> float:
    """Within how many seconds a request is answered: as long as it says, TIMEOUT_S at most."""
    given = request.first("timeout")
    if not given:
        return TIMEOUT_S
    try:
        seconds = times.parse_duration(given) / 1e9
    except ValueError as error:
        raise errors.BadRequest(f"invalid timeout specified in the request URL: {error}") from None
    return min(seconds, TIMEOUT_S) if seconds > 0 else TIMEOUT_S


def is_pretty(request: Request) -> bool:
    """Whether JSON is wanted with line breaks: as it says, else where a person looks at the answer."""
    given = request.first("pretty").lower()
    if given:
        return given in ("1", "t", "true")
    return request.headers.get("user-agent", "").startswith(_PEOPLES_AGENTS)


def delete_options(request: Request) -> meta.DeleteOptions:
    """From the body, or from the query if there is none."""
    from raftsman import codec, manifests

    found = meta.DeleteOptions()
    if request.body.startswith(wire.ENVELOPE_PREFIX):
        found = meta.DeleteOptions.FromString(runtime.Unknown.FromString(request.body[len(wire.ENVELOPE_PREFIX) :]).raw)
    elif request.body.strip():
        documents = manifests.parse(request.body, source="the delete options")
        if len(documents) > 1:
            raise errors.BadRequest(f"{len(documents)} documents in the delete options: one is enough")
        tree: dict[str, Any] = dict(documents[0].value) if documents else {}
        for name in ("apiVersion", "kind"):
            tree.pop(name, None)
        decoded = codec.from_json(tree, meta.DeleteOptions)
        codec.check(decoded.problems, what="DeleteOptions")
        found = decoded.message
    if request.first("gracePeriodSeconds"):
        found.grace_period_seconds = integer(request, "gracePeriodSeconds")
    if request.first("propagationPolicy"):
        found.propagation_policy = request.first("propagationPolicy")
    if request.first("orphanDependents"):
        found.orphan_dependents = flag(request, "orphanDependents")
    if dry_run(request) and "All" not in found.dry_run:
        found.dry_run.append("All")
    return found


def delete(request: Request, target: Target) -> meta.DeleteRequest:
    return meta.DeleteRequest(namespace=target.namespace, name=target.name, options=delete_options(request))


def delete_collection(request: Request, target: Target) -> meta.DeleteCollectionRequest:
    return meta.DeleteCollectionRequest(
        namespace=target.namespace, label_selector=request.first("labelSelector"),
        field_selector=request.first("fieldSelector"), options=delete_options(request),
    )  # fmt: skip


def logs(request: Request, target: Target) -> core.LogsRequest:
    if flag(request, "insecureSkipTLSVerifyBackend"):
        raise errors.BadRequest("insecureSkipTLSVerifyBackend is not supported: nodes' certificates are verified")
    if request.first("stream") not in ("", "All"):
        raise errors.BadRequest(f'stream "{request.first("stream")}" is not supported: only All')
    made = core.LogsRequest(
        namespace=target.namespace, name=target.name, container=request.first("container"),
        follow=flag(request, "follow"), previous=flag(request, "previous"), timestamps=flag(request, "timestamps"),
    )  # fmt: skip
    for parameter, field in (
        ("sinceSeconds", "since_seconds"),
        ("tailLines", "tail_lines"),
        ("limitBytes", "limit_bytes"),
    ):
        if request.first(parameter):
            setattr(made, field, integer(request, parameter))
    if request.first("sinceTime"):
        try:
            made.since_time.seconds, made.since_time.nanos = times.parse_rfc3339(request.first("sinceTime"))
        except ValueError as error:
            raise errors.BadRequest(f"sinceTime: {error}") from None
    return made


def flag(request: Request, name: str) -> bool:
    """A boolean parameter: there without a value is true."""
    values = request.query.get(name)
    if values is None:
        return False
    text = values[0].lower()
    if text in _TRUE:
        return True
    if text in ("0", "f", "false"):
        return False
    raise errors.BadRequest(f'{name}: "{values[0]}" is no boolean')


def integer(request: Request, name: str) -> int:
    text = request.first(name)
    if not text:
        return 0
    if not text.removeprefix("-").isascii() or not text.removeprefix("-").isdigit() or len(text) > 18:
        raise errors.BadRequest(f'{name}: "{text[:40]}" is no integer')
    return int(text)
