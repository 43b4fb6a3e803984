"""How objects are written and read: what a client's Accept and Content-Type ask for (RFC 9110, section 12.5.1)."""

from __future__ import annotations

import enum
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from raftsman import errors

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
REMEMBERED_MAX = 256
REMEMBERED_CHARACTERS_MAX = 512
"""Clients send the same few headers all the time."""
_YAMLS = frozenset({YAML, "application/x-yaml", "text/yaml"})


class View(enum.Enum):
    """What of an object is wanted."""

    WHOLE = ""
    TABLE = "Table"
    METADATA = "PartialObjectMetadata"
    METADATA_LIST = "PartialObjectMetadataList"
    DISCOVERY = "APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One form that a client takes. `version` is that of the view's own group."""

    media: str
    view: View = View.WHOLE
    version: str = ""
    stream: bool = False


def negotiate(
    accept: str,
    *,
    views: frozenset[View] = frozenset({View.WHOLE}),
    versions: Mapping[View, tuple[str, ...]] = MappingProxyType({}),
    protobuf: bool = True,
) -> Wanted:
    """The first form in Accept that the server writes, by quality. errors.ApiError (406) if there is none.

    `versions` are those that a view is written in, where not all are the same. `protobuf` is not there for all kinds.
    """
    clauses = _remembered(accept) if len(accept) <= REMEMBERED_CHARACTERS_MAX else _clauses(accept)
    for _, media, parameters in clauses:
        view_name = parameters.get("as", "")
        try:
            view = View(view_name)
        except ValueError:
            continue
        if view not in views or parameters.get("v", "") not in versions.get(view, (parameters.get("v", ""),)):
            continue
        if media in ("*/*", "application/*", JSON):
            return Wanted(JSON, view, parameters.get("v", ""), parameters.get("stream") == "watch")
        if media in _YAMLS and view is View.WHOLE:
            return Wanted(YAML)
        if media == PROTOBUF and protobuf and view in (View.WHOLE, View.DISCOVERY):
            return Wanted(PROTOBUF, view, parameters.get("v", ""), parameters.get("stream") == "watch")
    error = errors.ApiError(f"only the following media types are accepted: {JSON}, {YAML}, {PROTOBUF}")
    error.status.reason, error.status.code = "NotAcceptable", 406
    raise error


def _clauses(accept: str) -> list[tuple[float, str, Mapping[str, str]]]:
    """(quality, media type, parameters), the best first, equals in the order in which they stand."""
    found: list[tuple[float, str, Mapping[str, str]]] = []
    for clause in (accept or JSON).split(","):
        media, *rest = (part.strip() for part in clause.split(";"))
        parameters = dict(part.partition("=")[::2] for part in rest if part)
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            quality = 0.0
        if quality > 0:
            found.append((quality, media.lower(), MappingProxyType(parameters)))
    return sorted(found, key=lambda clause: -clause[0])


_remembered = functools.lru_cache(maxsize=REMEMBERED_MAX)(_clauses)


def body_media(content_type: str) -> str:
    """JSON, YAML or PROTOBUF; no Content-Type is JSON. errors.ApiError (415) for anything else."""
    media = content_type.partition(";")[0].strip().lower()
    if media in ("", JSON):
        return JSON
    if media in _YAMLS:
        return YAML
    if media == PROTOBUF:
        return PROTOBUF
    raise unsupported(f"the body of the request was in an unknown format - accepted media types include: "
                      f"{JSON}, {YAML}, {PROTOBUF}")  # fmt: skip


def unsupported(why: str) -> errors.ApiError:
    error = errors.ApiError(why)
    error.status.reason, error.status.code = "UnsupportedMediaType", 415
    return error
