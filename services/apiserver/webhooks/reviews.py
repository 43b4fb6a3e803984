"""AdmissionReview, asked and answered (admission.k8s.io/v1)."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from google.protobuf.message import Message
from raftsman import codec, errors
from raftsman.codec.plan import type_meta
from raftsman.meta import v1 as meta
from raftsman.services.apiserver.access.identity import User

if TYPE_CHECKING:
    from raftsman.services.apiserver.admission.attributes import Attributes
    from raftsman.services.apiserver.kinds import Kind

API_VERSION, KIND = "admission.k8s.io/v1", "AdmissionReview"
WARNINGS_MAX = 20
_OPTIONS = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}


class Unreadable(Exception):
    """An answer that is none."""


@dataclass(frozen=True, slots=True)
class Verdict:
    allowed: bool
    status: meta.Status
    patch: Any = None
    warnings: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


def tree_of(obj: Any, kind: Kind) -> Any:
    """The JSON of an object of the kind, or of a message that is part of it (a binding); None of none."""
    if obj is None:
        return None
    if not isinstance(obj, Message):
        return kind.form.tree(obj)
    known = type_meta(obj.DESCRIPTOR)
    return {**dict(zip(("apiVersion", "kind"), known or (), strict=False)), **codec.to_json(obj)}


def question(attributes: Attributes) -> dict[str, Any]:
    """The whole review."""
    resource = attributes.call.kind.resource
    obj = attributes.new if attributes.new is not None else attributes.old
    kind = _kind_of(obj, attributes)
    what = {"group": resource.group, "version": resource.version, "resource": resource.name}
    request: dict[str, Any] = {"uid": str(uuid.uuid4()), "operation": attributes.operation.value}
    request |= {"kind": kind, "resource": what, "requestKind": kind, "requestResource": what}
    request |= {
        "userInfo": user_info(attributes.call.user),
        "object": tree_of(attributes.new, attributes.call.kind),
        "oldObject": tree_of(attributes.old, attributes.call.kind),
        "dryRun": attributes.dry_run,
        "options": _options(attributes),
    }
    if attributes.subresource:
        request["subResource"] = request["requestSubResource"] = attributes.subresource
    if attributes.name:
        request["name"] = attributes.name
    namespace = attributes.namespace or (attributes.name if resource.qualified == "namespaces" else "")
    if namespace:
        request["namespace"] = namespace
    return {"kind": KIND, "apiVersion": API_VERSION, "request": request}


def _kind_of(obj: Any, attributes: Attributes) -> dict[str, str]:
    known = type_meta(obj.DESCRIPTOR) if isinstance(obj, Message) else None
    if known is None:
        resource = attributes.call.kind.resource
        return {"group": resource.group, "version": resource.version, "kind": resource.kind}
    group, _, version = known[0].rpartition("/")
    return {"group": group, "version": version, "kind": known[1]}


def user_info(user: User) -> dict[str, Any]:
    found: dict[str, Any] = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        found["uid"] = user.uid
    if user.extra:
        found["extra"] = {key: list(values) for key, values in user.extra.items()}
    return found


def _options(attributes: Attributes) -> Any:
    kind = _OPTIONS.get(attributes.operation.value)
    if kind is None:
        return None
    options: dict[str, Any] = {"kind": kind, "apiVersion": "meta.k8s.io/v1"}
    if attributes.dry_run:
        options["dryRun"] = ["All"]
    if kind != "DeleteOptions" and attributes.call.manager:
        options["fieldManager"] = attributes.call.manager
    return options


def verdict(answer: Any, asked: Mapping[str, Any], *, mutating: bool) -> Verdict:
    """Raises Unreadable with what is wrong with the answer."""
    if not isinstance(answer, dict) or (answer.get("apiVersion"), answer.get("kind")) != (API_VERSION, KIND):
        raise Unreadable(f"expected webhook response of {API_VERSION}, Kind={KIND}")
    response = answer.get("response")
    if not isinstance(response, dict):
        raise Unreadable("webhook response was absent")
    uid = asked["request"]["uid"]
    if response.get("uid") != uid:
        raise Unreadable(f'expected response.uid="{uid}", got "{response.get("uid")}"')
    allowed = response.get("allowed")
    if not isinstance(allowed, bool):
        raise Unreadable("response.allowed must be true or false")
    return Verdict(
        allowed, _status(response.get("status")), _patch(response, mutating=mutating),
        _texts(response.get("warnings")), _annotations(response.get("auditAnnotations")),
    )  # fmt: skip


def _status(found: Any) -> meta.Status:
    if found is None:
        return meta.Status()
    if not isinstance(found, dict):
        raise Unreadable("response.status must be an object")
    decoded = codec.from_json({k: v for k, v in found.items() if k not in ("kind", "apiVersion")}, meta.Status)
    if decoded.wrong:
        one = decoded.wrong[0]
        raise Unreadable(f"response.status.{one.field}: {one.message}")
    status: meta.Status = decoded.message
    return status


def _patch(response: Mapping[str, Any], *, mutating: bool) -> Any:
    patch, patch_type = response.get("patch"), response.get("patchType")
    if not patch:
        if patch_type:
            raise Unreadable("response.patchType is set without response.patch")
        return None
    if not mutating:
        raise Unreadable("a validating webhook may not return response.patch")
    if patch_type != "JSONPatch":
        raise Unreadable(f'invalid response.patchType "{patch_type}": only JSONPatch is supported')
    try:
        found = orjson.loads(base64.b64decode(patch, validate=True))
    except (ValueError, binascii.Error, TypeError) as error:
        raise Unreadable(f"response.patch is no JSON in base64: {error}") from None
    if not isinstance(found, list):
        raise Unreadable("response.patch is no list of operations")
    return found


def _texts(found: Any) -> tuple[str, ...]:
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise Unreadable("response.warnings must be a list of strings")
    return tuple(found[:WARNINGS_MAX])


def _annotations(found: Any) -> Mapping[str, str]:
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
        raise Unreadable("response.auditAnnotations must be an object of strings")
    return found


def denied(name: str, status: meta.Status) -> errors.ApiError:
    """What the caller is told when a webhook says no."""
    by = f'admission webhook "{name}" denied the request'
    why = status.message or status.reason
    told = meta.Status()
    told.CopyFrom(status)
    told.status = "Failure"
    told.message = f"{by}: {why}" if why else f"{by} without explanation"
    told.code = status.code if status.code >= 400 else 400
    return _class_of(told)(told.message, status=told)


def _class_of(status: meta.Status) -> type[errors.ApiError]:
    by_code = next((cls for cls in errors.CLASSES if cls.code == status.code), errors.ApiError)
    return errors.REASONS.get(status.reason, by_code)
