"""What an aggregated server says it serves: its discovery, in whichever form it has, and its OpenAPI.

Asked for whenever the server is found to answer; answers of ANSWER_BYTES_MAX are taken within ANSWER_S.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from raftsman import errors
from raftsman.apiregistration import v1 as apiregistration
from raftsman.services.apiserver.outbound import backends, http
from raftsman.services.apiserver.rest import discovery, openapi
from raftsman.services.apiserver.rest.catalog import GroupVersion

ANSWER_S = 5.0
ANSWER_BYTES_MAX = 16 << 20
_FORM = f"application/json;g={discovery.AGGREGATED};v=v2;as=APIGroupDiscoveryList"
_HEADERS = (("Accept", "application/json"), ("User-Agent", "raftsman-apiserver"), ("Connection", "close"))


@dataclass(frozen=True, slots=True)
class Remote:
    """One aggregated server: where it is and how it is known."""

    service: apiregistration.APIService
    addresses: Sequence[tuple[str, int]]
    identity: backends.Identity

    @property
    def name(self) -> str:
        return server_name(self.service)

    async def read(self, target: str, headers: http.Headers = _HEADERS) -> tuple[int, bytes]:
        """(status, body) of a GET. errors.Unavailable if there is no answer."""
        question = http.Question("GET", target, headers)
        try:
            async with asyncio.timeout(ANSWER_S):
                tls = backends.context(self.identity)
                async with http.asked(self.addresses, question, tls=tls, name=self.name) as answer:
                    return answer.status, await answer.whole(ANSWER_BYTES_MAX)
        except TimeoutError:
            raise errors.Unavailable(f"{self.name}{target} is not answered within {ANSWER_S:.0f}s") from None


def server_name(service: apiregistration.APIService) -> str:
    """What its certificate has to be of."""
    return f"{service.spec.service.name}.{service.spec.service.namespace}.svc"


@dataclass(frozen=True, slots=True)
class Listing:
    """What one of them serves."""

    resources: tuple[Mapping[str, Any], ...] = ()
    openapi: Mapping[str, Any] | None = None

    def group_version(self, service: apiregistration.APIService, *, stale: bool) -> GroupVersion:
        spec = service.spec
        return GroupVersion(
            spec.group, spec.version, spec.group_priority_minimum, spec.version_priority, self.resources,
            lambda: self.openapi or openapi.whole({}, {}), stale=stale, foreign=True,
        )  # fmt: skip


async def of(remote: Remote) -> Listing:
    """errors.Unavailable if it does not say; a server without OpenAPI has none."""
    spec = remote.service.spec
    path = f"apis/{spec.group}/{spec.version}"
    resources = await _aggregated(remote) or _from_legacy(await _tree(remote, f"/{path}"), spec.group, spec.version)
    return Listing(tuple(resources), await _openapi(remote, path))


async def _tree(remote: Remote, target: str, headers: http.Headers = _HEADERS) -> Any:
    """A JSON document; None if there is none."""
    status, body = await remote.read(target, headers)
    if status != 200:
        return None
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise errors.Unavailable(f"{remote.name}{target} is no JSON: {error}") from None
    return found if isinstance(found, dict) else None


async def _aggregated(remote: Remote) -> list[Mapping[str, Any]] | None:
    spec = remote.service.spec
    found = await _tree(remote, "/apis", (("Accept", f"{_FORM},application/json"), *_HEADERS[1:]))
    if not found or found.get("kind") != "APIGroupDiscoveryList":
        return None
    for group in _dicts(found.get("items")):
        if _dict(group.get("metadata")).get("name") != spec.group:
            continue
        for version in _dicts(group.get("versions")):
            if version.get("version") == spec.version:
                return [one for one in map(_described, _dicts(version.get("resources"))) if one]
    return None


def _described(one: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A resource as the catalog has it; None if it has no name or kind."""
    if not isinstance(one.get("resource"), str) or not _kind(one.get("responseKind")):
        return None
    found = {
        "resource": one["resource"], "responseKind": _kind(one["responseKind"]),
        "scope": one.get("scope") or "Cluster", "singularResource": str(one.get("singularResource", "")),
        "verbs": _texts(one.get("verbs")),
    }  # fmt: skip
    for name in ("shortNames", "categories"):
        if _texts(one.get(name)):
            found[name] = _texts(one[name])
    parts = [
        {"subresource": part["subresource"], "responseKind": _kind(part.get("responseKind")) or {},
         "verbs": _texts(part.get("verbs"))}
        for part in _dicts(one.get("subresources"))
        if isinstance(part.get("subresource"), str)
    ]  # fmt: skip
    return found | ({"subresources": parts} if parts else {})


def _from_legacy(found: Any, group: str, version: str) -> list[Mapping[str, Any]]:
    """An APIResourceList in the form of the aggregated document."""
    resources: dict[str, dict[str, Any]] = {}
    parts: list[tuple[str, dict[str, Any]]] = []
    for one in _dicts(_dict(found).get("resources")):
        name, kind = str(one.get("name", "")), str(one.get("kind", ""))
        response = {"group": one.get("group") or group, "version": one.get("version") or version, "kind": kind}
        resource, _, part = name.partition("/")
        if part:
            made = {"subresource": part, "responseKind": response, "verbs": _texts(one.get("verbs"))}
            parts.append((resource, made))
            continue
        described = _described({
            "resource": name, "responseKind": response, "scope": "Namespaced" if one.get("namespaced") else "Cluster",
            "singularResource": one.get("singularName", ""), "verbs": one.get("verbs"),
            "shortNames": one.get("shortNames"), "categories": one.get("categories"),
        })  # fmt: skip
        if described:
            resources[name] = dict(described)
    for resource, made in parts:
        if resource in resources:
            resources[resource].setdefault("subresources", []).append(made)
    return list(resources.values())


async def _openapi(remote: Remote, path: str) -> Mapping[str, Any] | None:
    try:
        found = await _tree(remote, f"/openapi/v3/{path}")
        # What is nested too deeply to be written again is left out.
        orjson.dumps(found)
    except (errors.Unavailable, TypeError):
        return None
    return found if found and isinstance(found.get("paths"), dict) else None


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _kind(value: Any) -> dict[str, str] | None:
    found = _dict(value)
    names = {name: found.get(name, "") for name in ("group", "version", "kind")}
    return names if found and all(isinstance(one, str) for one in names.values()) else None
