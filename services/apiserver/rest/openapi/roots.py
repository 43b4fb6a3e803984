"""OpenAPI 3.0 of what is beside the resources: /api, /apis, /apis/GROUP and /version."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from raftsman.meta import v1 as meta
from raftsman.services.apiserver.rest.catalog import GroupVersion

from . import operations, schemas, whole

_VERSION: schemas.Schema = {
    "description": "The server's version.",
    "type": "object",
    "required": [
        "major", "minor", "gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform",
    ],
    "properties": {
        name: {"type": "string", "default": "", "description": said}
        for name, said in {
            "major": "Of the API that is served, e.g. 1.", "minor": "Of the API that is served, e.g. 36.",
            "emulationMajor": "Of the API that is imitated.", "emulationMinor": "Of the API that is imitated.",
            "minCompatibilityMajor": "The oldest API that objects are kept readable for.",
            "minCompatibilityMinor": "The oldest API that objects are kept readable for.",
            "gitVersion": "The whole version, e.g. v1.36.0.", "gitCommit": "What it was built from.",
            "gitTreeState": "`clean`.", "buildDate": "When it was built.", "goVersion": "Not Go.",
            "compiler": "What it runs on.", "platform": "OS/architecture.",
        }.items()
    },
}  # fmt: skip


def documents(versions: Iterable[GroupVersion]) -> dict[str, dict[str, Any]]:
    """By their paths below /openapi/v3."""
    found = {
        "api": _listing("/api/", "core", "getCoreAPIVersions", meta.APIVersions),
        "apis": _listing("/apis/", "apis", "getAPIVersions", meta.APIGroupList),
        "version": _version(),
    }
    for group in {one.group for one in versions if one.group}:
        writer = operations.Writer(group, "", {}, {})
        path = f"apis/{group}"
        found[path] = _listing(f"/{path}/", writer.tag.rstrip("_"), f"get{writer.title}APIGroup", meta.APIGroup)
    return found


def _listing(path: str, tag: str, name: str, message: Any) -> dict[str, Any]:
    found: dict[str, schemas.Schema] = {}
    schemas.add(message.DESCRIPTOR, found)
    answer = {"schema": {"$ref": schemas.reference(message.DESCRIPTOR)}}
    media = ("application/json", "application/vnd.kubernetes.protobuf", "application/yaml")
    return whole({path: {"get": _read(tag, name, {one: answer for one in media})}}, found)


def _version() -> dict[str, Any]:
    name = "io.k8s.apimachinery.pkg.version.Info"
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
    return whole({"/version/": {"get": _read("version", "getCodeVersion", content)}}, {name: _VERSION})


def _read(tag: str, name: str, content: dict[str, Any]) -> dict[str, Any]:
    answers = {"200": {"description": "OK", "content": content}, "401": {"description": "Unauthorized"}}
    return {"tags": [tag], "description": "What is served.", "operationId": name, "responses": answers}
