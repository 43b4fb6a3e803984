"""OpenAPI of what is served, in Kubernetes' terms: 3.0, one document a group version, and 2.0, one for all.

schemas       a message's descriptor, options and comments → its schema
parameters    what stands in paths and queries
operations    a kind → its paths
document      a group version's 3.0 document (here)
swagger       all 3.0 documents → the one of 2.0
gnostic       that one as protobuf
pages         what is answered at /openapi/…
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from raftsman.meta import v1 as meta
from raftsman.resources import Resource

from . import operations, schemas

VERSION = "v1.36.0"


def document(group: str, version: str, inside: Iterable[Resource], parts: operations.Parts) -> dict[str, Any]:
    """The OpenAPI 3.0 document of a built-in group version."""
    writer = operations.Writer(group, version, {}, {})
    schemas.add(meta.APIResourceList.DESCRIPTOR, writer.schemas)
    for resource in inside:
        schemas.add(resource.message.DESCRIPTOR, writer.schemas)
        writer.kind(resource, parts(resource))
    answer = {one: {"schema": {"$ref": schemas.reference(meta.APIResourceList.DESCRIPTOR)}}
              for one in ("application/json", "application/vnd.kubernetes.protobuf", "application/yaml")}  # fmt: skip
    listed = {
        "tags": [writer.tag], "description": "What resources there are.",
        "operationId": f"get{writer.title}APIResources",
        "responses": {"200": {"description": "OK", "content": answer}, "401": {"description": "Unauthorized"}},
    }  # fmt: skip
    mark_everywhere(writer.schemas, group, version)
    return whole({f"{writer.root}/": {"get": listed}, **writer.found}, writer.schemas)


def whole(paths: dict[str, Any], found: dict[str, schemas.Schema]) -> dict[str, Any]:
    """A 3.0 document of paths and schemas."""
    token = {"type": "apiKey", "name": "authorization", "in": "header", "description": "Bearer TOKEN"}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": dict(sorted(found.items())), "securitySchemes": {"BearerToken": token}},
        "security": [{"BearerToken": []}],
    }


def mark_everywhere(found: dict[str, schemas.Schema], group: str, version: str) -> None:
    """DeleteOptions and WatchEvent are of every group version that they are sent with."""
    for message in (meta.DeleteOptions, meta.WatchEvent):
        schema = found.get(schemas.name_of(message.DESCRIPTOR))
        if schema is not None:
            kinds = {("", "v1"), (group, version)}
            schema["x-kubernetes-group-version-kind"] = [
                schemas.gvk(*one, message.DESCRIPTOR.name) for one in sorted(kinds)
            ]
