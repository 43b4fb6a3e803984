"""The versions of one custom resource: an object is stored in one, and read and written in any.

What is read is pruned and defaulted by the schema of the version that is asked for, so that objects from before a
change of the schema look like those after it. Between versions either apiVersion alone changes, or a webhook converts
(ConversionReview v1): many objects in one question, OBJECTS_MAX at most. It may change all but what names an object.

Conversions of an object that is read are kept with it; a change of the definition makes all anew.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson
from raftsman import errors
from raftsman.apiextensions import v1 as apiextensions
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.watchcache.object import CachedObject

from .document import Document

OBJECTS_MAX = 500
SLICE_OBJECTS = 64
TIMEOUT_S = 30.0
_REVIEW = "apiextensions.k8s.io/v1"

Tree = dict[str, Any]
Ask = Callable[[Any, Mapping[str, Any], float], Awaitable[Any]]
"""(client configuration, question, seconds) → the answer's JSON. Raises Exception that says what went wrong."""


class Versions:
    """How the kinds of one definition see its objects."""

    def __init__(self, definition: apiextensions.CustomResourceDefinition, ask: Ask) -> None:
        conversion = definition.spec.conversion
        self._webhook = conversion.webhook if conversion.strategy == "Webhook" else None
        self._ask = ask

    async def seen(self, kind: Kind, found: Sequence[CachedObject]) -> list[CachedObject]:
        """Stored objects as `kind` shows them."""
        missing = [one for one in found if one.converted is None or kind.form not in one.converted]
        together = OBJECTS_MAX if self._webhook is not None else SLICE_OBJECTS
        for start in range(0, len(missing), together):
            if start:
                # Others get their turn.
                await asyncio.sleep(0)
            await self._make(kind, missing[start : start + together])
        return [(one.converted or {})[kind.form] or one for one in found]

    async def stored(self, kind: Kind, obj: Document) -> tuple[Kind, Document]:
        """An object of `kind` as it is stored."""
        target = kind.stored_as
        if target is kind:
            return kind, obj
        tree = kind.form.tree(obj)
        return target, _read(target, (await self._converted([tree], target))[0])

    async def _make(self, kind: Kind, found: Sequence[CachedObject]) -> None:
        trees = [orjson.loads(one.data) for one in found]
        foreign = [tree for tree in trees if tree["apiVersion"] != kind.resource.api_version]
        if foreign:
            converted = iter(await self._converted(foreign, kind))
            trees = [tree if tree["apiVersion"] == kind.resource.api_version else next(converted) for tree in trees]
        for one, tree in zip(found, trees, strict=True):
            if one.converted is None:
                one.converted = {}
            one.converted[kind.form] = _view(kind, one, tree)

    # -- between versions

    async def _converted(self, trees: Sequence[Tree], target: Kind) -> list[Tree]:
        if self._webhook is None:
            return [{**tree, "apiVersion": target.resource.api_version} for tree in trees]
        answer = await self._answer(trees, target)
        converted = answer.get("convertedObjects")
        if not isinstance(converted, list) or len(converted) != len(trees):
            count = len(converted) if isinstance(converted, list) else 0
            raise self._failed(target, f"returned {count} objects, expected {len(trees)}")
        return [self._checked(before, after, target) for before, after in zip(trees, converted, strict=True)]

    async def _answer(self, trees: Sequence[Tree], target: Kind) -> Mapping[str, Any]:
        assert self._webhook is not None
        uid = str(uuid.uuid4())
        request = {"uid": uid, "desiredAPIVersion": target.resource.api_version, "objects": list(trees)}
        question = {"kind": "ConversionReview", "apiVersion": _REVIEW, "request": request}
        try:
            said = await self._ask(self._webhook.client_config, question, TIMEOUT_S)
        except Exception as error:
            raise self._failed(target, str(error)) from error
        answer = said.get("response") if isinstance(said, Mapping) else None
        if not isinstance(answer, Mapping):
            raise self._failed(target, "invalid response: there is none in the review")
        if said.get("apiVersion") != _REVIEW or said.get("kind") != "ConversionReview":
            raise self._failed(target, f"invalid response: expected {_REVIEW}, Kind=ConversionReview")
        if answer.get("uid") != uid:
            raise self._failed(target, f'invalid response: expected response.uid="{uid}"')
        result = answer.get("result")
        if not isinstance(result, Mapping) or result.get("status") != "Success":
            why = result.get("message") if isinstance(result, Mapping) else None
            raise self._failed(target, str(why or "the webhook said no, without a reason"))
        return answer

    def _checked(self, before: Tree, after: Any, target: Kind) -> Tree:
        """A converted object with the metadata that a conversion may not change."""
        if not isinstance(after, dict) or not isinstance(after.get("metadata"), dict):
            raise self._failed(target, "invalid converted object: it has no metadata")
        if after.get("apiVersion") != target.resource.api_version or after.get("kind") != target.resource.kind:
            found = f"{after.get('apiVersion')}, Kind={after.get('kind')}"
            wanted = f"{target.resource.api_version}, Kind={target.resource.kind}"
            raise self._failed(target, f"invalid groupVersionKind {found}, expected {wanted}")
        old, new = before["metadata"], after["metadata"]
        for field in ("name", "namespace", "uid"):
            if new.get(field) != old.get(field):
                raise self._failed(target, f"invalid metadata: {field} was changed")
        kept = {name: new[name] for name in ("labels", "annotations") if new.get(name)}
        rest = {name: value for name, value in old.items() if name not in ("labels", "annotations")}
        return {**after, "metadata": {**rest, **kept}}

    def _failed(self, target: Kind, why: str) -> errors.ApiError:
        what = f"conversion webhook for {target.resource.group}, Kind={target.resource.kind}"
        return failures.conversion_failed(target.resource, f"{what} failed: {why}")


def _read(kind: Kind, tree: Tree) -> Document:
    document: Document = kind.form.decode(tree).message
    kind.default(document)
    return document


def _view(kind: Kind, found: CachedObject, tree: Tree) -> CachedObject | None:
    """None if it is seen as it is stored."""
    document = _read(kind, tree)
    body = kind.form.serialise(document)
    if found.kind is kind and body == found.stored():
        return None
    return CachedObject(kind, found.namespace, found.name, body, found.revision)
