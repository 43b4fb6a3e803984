"""The API's errors with Kubernetes' sentences: one function per way to fail."""

from __future__ import annotations

from collections.abc import Sequence

from raftsman import errors
from raftsman.errors import ApiError, Cause
from raftsman.meta import v1 as meta
from raftsman.resources import Resource


def _made(cls: type[ApiError], message: str, resource: Resource, name: str) -> ApiError:
    error = cls(message)
    error.status.details.name = name
    error.status.details.kind = resource.name
    if resource.group:
        error.status.details.group = resource.group
    return error


def not_found(resource: Resource, name: str) -> ApiError:
    return _made(errors.NotFound, f'{resource.qualified} "{name}" not found', resource, name)


def already_exists(resource: Resource, name: str) -> ApiError:
    return _made(errors.AlreadyExists, f'{resource.qualified} "{name}" already exists', resource, name)


def conflict(resource: Resource, name: str, why: str = "") -> ApiError:
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    return _made(
        errors.Conflict, f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}', resource, name
    )


def forbidden(resource: Resource, name: str, why: str) -> ApiError:
    what = f'{resource.qualified} "{name}"' if name else resource.qualified
    return _made(errors.Forbidden, f"{what} is forbidden: {why}", resource, name)


def not_served(resource: Resource, verb: str, needs: str) -> ApiError:
    return _made(
        errors.MethodNotSupported, f"{resource.qualified}{verb} is not served yet: it needs {needs}", resource, ""
    )


def conversion_failed(resource: Resource, why: str) -> ApiError:
    return _made(errors.InternalError, why, resource, "")


def unsupported_media(why: str) -> ApiError:
    error = ApiError(f"the body of the request was in an unknown format: {why}")
    error.status.reason, error.status.code = "UnsupportedMediaType", 415
    return error


def invalid(resource: Resource, name: str, causes: Sequence[Cause], *, immutable: bool = False) -> ApiError:
    """All causes in one error; `immutable` when every one of them is a change of what may not change."""
    texts = [f"{cause.field}: {cause.message}" if cause.field else cause.message for cause in causes]
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    cls = errors.ImmutableField if immutable else errors.Invalid
    error = cls(f'{kind} "{name}" is invalid: {text}', causes=tuple(causes))
    error.status.details.MergeFrom(meta.StatusDetails(name=name, kind=resource.kind))
    if resource.group:
        error.status.details.group = resource.group
    return error


def expired(revision: int, oldest: int) -> ApiError:
    return errors.Expired(f"too old resource version: {revision} ({oldest})")
