"""Questions about rights: who am I, may I, may somebody, is this token good. Answered from the cache, never stored.

Who may ask what of others stands in roles, as for everything else: every known caller may ask about themselves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from raftsman import errors
from raftsman.authentication import v1 as authentication
from raftsman.authorization import v1 as authorization
from raftsman.meta import v1 as meta
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.access import bootstrap_tokens
from raftsman.services.apiserver.access.identity import User
from raftsman.services.apiserver.access.nodes import Asked, node_of
from raftsman.services.apiserver.access.tokens import Tokens
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.rpc import Call
from raftsman.services.apiserver.validation.causes import Causes

from . import decoding

_Fill = Callable[[Api, Tokens | None, Call, Any], Awaitable[None]]


async def create(api: Api, tokens: Tokens | None, call: Call, raw: bytes) -> bytes:
    """The question with its status."""
    question = await decoding.decoded(call, meta.WriteRequest.FromString(raw))
    api.allow(call.user, "create", call.kind, namespace=question.metadata.namespace)
    question.ClearField("status")
    await _ANSWERS[call.kind.message](api, tokens, call, question)
    return bytes(question.SerializeToString())


async def _who(api: Api, tokens: Tokens | None, call: Call, question: authentication.SelfSubjectReview) -> None:
    _describe(question.status.user_info, call.user)


def _describe(info: authentication.UserInfo, user: User) -> None:
    info.username, info.uid = user.name, user.uid
    info.groups.extend(user.groups)
    for key, values in user.extra.items():
        info.extra[key].items.extend(values)


async def _token(api: Api, tokens: Tokens | None, call: Call, question: authentication.TokenReview) -> None:
    if not question.spec.token:
        causes = Causes()
        causes.required("spec.token")
        raise failures.invalid(call.kind.resource, "", causes.found)
    if bootstrap_tokens.is_one(question.spec.token):
        _bootstrap_token(api, question)
        return
    if tokens is None:
        question.status.error = "this server verifies no tokens"
        return
    try:
        user, audiences = await tokens.review(question.spec.token, tuple(question.spec.audiences))
    except errors.Unauthorized as error:
        question.status.error = error.message
        return
    question.status.authenticated = True
    question.status.audiences.extend(audiences)
    _describe(question.status.user, user)


def _bootstrap_token(api: Api, question: authentication.TokenReview) -> None:
    """Good for this server alone, which has no other audience."""
    try:
        user = bootstrap_tokens.verify(api.cache(api.kinds["secrets"]), question.spec.token)
    except errors.Unauthorized as error:
        question.status.error = error.message
        return
    question.status.authenticated = True
    _describe(question.status.user, user)


async def _may_i(api: Api, tokens: Tokens | None, call: Call, question: authorization.SelfSubjectAccessReview) -> None:
    _answer(api, call, call.user, question)


async def _may(api: Api, tokens: Tokens | None, call: Call, question: Any) -> None:
    spec = question.spec
    causes = Causes()
    if not spec.user and not spec.groups:
        causes.invalid("spec.user", spec.user, "at least one of user or group must be specified")
    inside = question.metadata.namespace
    local = isinstance(question, authorization.LocalSubjectAccessReview)
    if local and spec.resource_attributes.namespace != inside:
        causes.invalid(
            "spec.resourceAttributes.namespace", spec.resource_attributes.namespace, "must match metadata.namespace"
        )
    if causes:
        raise failures.invalid(call.kind.resource, "", causes.found)
    extra = {key: tuple(value.items) for key, value in spec.extra.items()}
    _answer(api, call, User(spec.user, tuple(spec.groups), spec.uid, extra), question)


def _answer(api: Api, call: Call, user: User, question: Any) -> None:
    spec, status = question.spec, question.status
    on_objects, on_path = spec.HasField("resource_attributes"), spec.HasField("non_resource_attributes")
    if on_objects == on_path:
        causes = Causes()
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        causes.invalid("spec.resourceAttributes", "", why)
        raise failures.invalid(call.kind.resource, "", causes.found)
    if on_path:
        asked = spec.non_resource_attributes
        status.allowed = api.authorizer.decides_path(user, asked.verb, asked.path)
        return
    asked = spec.resource_attributes
    what = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    status.allowed = api.authorizer.decides(
        user, asked.verb, asked.group, what, namespace=asked.namespace, name=asked.name
    )
    kind = api.kinds.get(f"{asked.resource}.{asked.group}" if asked.group else asked.resource)
    node = node_of(user)
    if status.allowed and node and kind is not None:
        selected = _selected_node(asked.field_selector)
        of_node = Asked(node, asked.verb, asked.namespace, asked.name, asked.subresource, selected)
        status.reason = api.nodes.refusal(of_node, kind.message)
        status.allowed = not status.reason


def _selected_node(selector: authorization.FieldSelectorAttributes) -> str:
    """What a field selector says of spec.nodeName, if it names one."""
    for one in selector.requirements:
        if (one.key, one.operator, len(one.values)) == ("spec.nodeName", "In", 1):
            return str(one.values[0])
    return ""


async def _rules(api: Api, tokens: Tokens | None, call: Call, question: authorization.SelfSubjectRulesReview) -> None:
    if not question.spec.namespace:
        raise errors.BadRequest("no namespace on request")
    status = question.status
    if call.user.is_master:
        status.resource_rules.add(verbs=["*"], api_groups=["*"], resources=["*"])
        status.non_resource_rules.add(verbs=["*"], non_resource_urls=["*"])
    for rule in api.authorizer.rules_for(call.user, question.spec.namespace):
        if rule.resources:
            status.resource_rules.add(
                verbs=rule.verbs, api_groups=rule.api_groups, resources=rule.resources,
                resource_names=rule.resource_names,
            )  # fmt: skip
        if rule.non_resource_urls:
            status.non_resource_rules.add(verbs=rule.verbs, non_resource_urls=rule.non_resource_urls)


_ANSWERS: dict[type[Any], _Fill] = {
    authentication.SelfSubjectReview: _who,
    authentication.TokenReview: _token,
    authorization.SelfSubjectAccessReview: _may_i,
    authorization.SubjectAccessReview: _may,
    authorization.LocalSubjectAccessReview: _may,
    authorization.SelfSubjectRulesReview: _rules,
}
