"""ValidatingAdmissionPolicy: rules in CEL, each with the bindings that say where it applies and what a denial does.

Deny refuses the request, Warn tells the caller, Audit writes a line. All that are bound are evaluated; the first
denial is the one that is told. Never asked: about policies and webhooks themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from raftsman import errors, logs
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.access.identity import User
from raftsman.services.apiserver.cel import authorizer
from raftsman.services.apiserver.policies import evaluation, params
from raftsman.services.apiserver.policies.evaluation import Denial
from raftsman.services.apiserver.policies.reading import Bound
from raftsman.services.apiserver.webhooks import hooks

from . import conditions
from .attributes import ANY, Attributes, Plugin
from .webhooks import selected

log = logs.get(__name__)
_CODES = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413, "Invalid": 422}


async def _validate(attributes: Attributes) -> None:
    """errors.ApiError with the first denial."""
    bound = attributes.api.policies.bound()
    if not bound or attributes.call.kind.resource.qualified in hooks.EXEMPT:
        return
    wanted = [one for one in bound if _matches(attributes, one)]
    if not wanted:
        return
    seen = _seen(attributes)
    refusal: errors.ApiError | None = None
    with authorizer.answering(lambda question: _may(attributes, question)):
        for one in wanted:
            for denial in await _denials(attributes, one, seen):
                told = _acted_on(attributes, one, denial)
                refusal = refusal or told
    if refusal is not None:
        raise refusal


def _matches(attributes: Attributes, one: Bound) -> bool:
    return all(
        matching.speaks_of(attributes) and selected(attributes, matching.namespaces, matching.objects)
        for matching in (one.policy_matches, one.binding_matches)
    )


async def _denials(attributes: Attributes, one: Bound, seen: dict[str, Any]) -> list[Denial]:
    spec = one.policy.spec
    try:
        given = await params.of(attributes, one.policy, one.binding)
    except params.Missing as missing:
        return [Denial(f"failed to configure binding: {missing}")] if spec.failure_policy != "Ignore" else []
    found: list[Denial] = []
    for param in given:
        known = {**seen, "params": param} if spec.HasField("param_kind") else seen
        applies = evaluation.applies(spec, known)
        if isinstance(applies, Denial):
            found.append(applies)
        elif applies:
            found += evaluation.denials(spec, known)
            _annotate(one, evaluation.audited(spec, known))
    return found


def _acted_on(attributes: Attributes, one: Bound, denial: Denial) -> errors.ApiError | None:
    """What the binding wants done about a denial: the refusal, if it is to be one."""
    actions = one.binding.spec.validation_actions
    policy, binding = one.policy.metadata.name, one.binding.metadata.name
    if "Warn" in actions:
        attributes.call.warnings.append(
            f"Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding}': {denial.message}"
        )
    if "Audit" in actions:
        log.info("a policy's validation failed", policy=policy, binding=binding, message=denial.message,
                 object=f"{attributes.namespace}/{attributes.name}")  # fmt: skip
    if "Deny" not in actions:
        return None
    why = f"ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: {denial.message}"
    error = failures.forbidden(attributes.call.kind.resource, attributes.name, why)
    told = error.status
    told.reason, told.code = denial.reason, _CODES.get(denial.reason, 422)
    told.details.causes.add(message=why)
    cls = errors.REASONS.get(denial.reason, errors.Invalid)
    return cls(error.message, status=told)


def _annotate(one: Bound, found: dict[str, str]) -> None:
    if found:
        log.info("a policy's audit annotations", policy=one.policy.metadata.name, annotations=found)


def _seen(attributes: Attributes) -> dict[str, Any]:
    request_resource = dict(_request_resource(attributes))
    return {
        **conditions.variables(attributes),
        "namespaceObject": _namespace(attributes),
        "authorizer": {"requestResource": request_resource},
    }


def _request_resource(attributes: Attributes) -> Iterator[tuple[str, str]]:
    resource = attributes.call.kind.resource
    yield "group", resource.group
    yield "resource", resource.name
    for key in ("subresource", "namespace", "name"):
        value = getattr(attributes, key)
        if value:
            yield key, value


def _namespace(attributes: Attributes) -> Any:
    api = attributes.api
    kind = api.kinds["namespaces"]
    found = api.cache(kind).get("", attributes.namespace) if attributes.namespace else None
    return kind.form.tree(found.parsed()) if found is not None else None


def _may(attributes: Attributes, question: authorizer.Question) -> bool:
    user, decides = attributes.call.user, attributes.api.authorizer
    if "serviceAccount" in question:
        namespace, _, name = question["serviceAccount"].partition(":")
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
        user = User(f"system:serviceaccount:{namespace}:{name}", groups)
    if "path" in question:
        return decides.decides_path(user, question["verb"], question["path"])
    what = question.get("resource", "")
    if question.get("subresource"):
        what = f"{what}/{question['subresource']}"
    return decides.decides(
        user, question["verb"], question.get("group", ""), what, namespace=question.get("namespace", ""),
        name=question.get("name", ""),
    )  # fmt: skip


PLUGIN = Plugin("ValidatingAdmissionPolicy", ANY, subresources=None, validate=_validate)
