"""MutatingAdmissionWebhook and ValidatingAdmissionWebhook: others are asked about a request.

Mutating ones one after the other, each seeing what those before it made; who asks to be asked again is, once, if
somebody changed the object after it. Validating ones all at once. What fails to answer refuses the request, unless its
failurePolicy is Ignore. Never asked: about webhooks and policies themselves.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from raftsman import errors, logs
from raftsman.services.apiserver import metrics
from raftsman.services.apiserver.webhooks import hooks, patches, reviews
from raftsman.services.apiserver.webhooks.caller import TIMEOUT_DEFAULT_S, Failed
from raftsman.services.apiserver.webhooks.hooks import Hook
from raftsman.services.apiserver.webhooks.reviews import Unreadable, Verdict

from . import conditions
from .attributes import ANY, Attributes, Plugin
from .invocations import Invocations

log = logs.get(__name__)
_PURE = ("None", "NoneOnDryRun")


async def _mutate(attributes: Attributes) -> None:
    """errors.ApiError if one refuses."""
    found = _asked(attributes, hooks.MUTATING)
    if not found:
        return
    state = attributes.invocations
    repeated = state is not None
    if state is None:
        state = attributes.invocations = Invocations()
    elif state.output != reviews.tree_of(attributes.new, attributes.call.kind):
        # The other plug-ins did, when they were asked again.
        state.note_change()
    for hook in found:
        if repeated and hook.key not in state.again:
            continue
        if not matches(attributes, hook):
            continue
        if await _changed(attributes, hook):
            state.note_change()
        if hook.webhook.reinvocation_policy == "IfNeeded":
            state.before.add(hook.key)
    state.output = reviews.tree_of(attributes.new, attributes.call.kind)


async def _validate(attributes: Attributes) -> None:
    found = _asked(attributes, hooks.VALIDATING)
    if not found:
        return
    wanted = [hook for hook in found if matches(attributes, hook)]
    asking = (_ask(attributes, hook, mutating=False) for hook in wanted)
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


def _asked(attributes: Attributes, configurations: str) -> list[Hook]:
    """Those with a rule for the request."""
    configured = attributes.api.hooks.of(configurations)
    if not configured or attributes.call.kind.resource.qualified in hooks.EXEMPT:
        return []
    return [hook for hook in configured if any(rule.matches(attributes) for rule in hook.rules)]


def matches(attributes: Attributes, hook: Hook) -> bool:
    """Whether selectors and conditions want it asked."""
    if not selected(attributes, hook.namespaces, hook.objects):
        return False
    return not hook.webhook.match_conditions or _conditions_hold(attributes, hook)


def _conditions_hold(attributes: Attributes, hook: Hook) -> bool:
    try:
        return conditions.all_hold(hook.webhook.match_conditions, conditions.variables(attributes))
    except conditions.ConditionError as error:
        if hook.ignores_failure:
            _ignored(hook, str(error))
            return False
        raise _failed(hook, f"matchCondition {error}") from None


def selected(attributes: Attributes, namespaces: Any, objects: Any) -> bool:
    """Whether the namespace's labels and the object's, as it is or as it was, are wanted."""
    labels = _namespace_labels(attributes)
    if labels is not None and not namespaces.matches(labels):
        return False
    found = [one.metadata.labels for one in (attributes.new, attributes.old) if one is not None and _has_metadata(one)]
    return any(objects.matches(dict(one)) for one in found) if found else objects.matches({})


def _has_metadata(obj: Any) -> bool:
    return hasattr(obj, "metadata")


def _namespace_labels(attributes: Attributes) -> dict[str, str] | None:
    """None if the request is in no namespace."""
    api, kind = attributes.api, attributes.call.kind
    if kind.resource.qualified == "namespaces":
        obj = attributes.new if attributes.new is not None else attributes.old
        return dict(obj.metadata.labels)
    if not kind.resource.namespaced:
        return None
    found = api.cache(api.kinds["namespaces"]).get("", attributes.namespace)
    return dict(found.labels) if found is not None else {}


async def _changed(attributes: Attributes, hook: Hook) -> bool:
    """Whether a mutating webhook changed the object."""
    verdict = await _ask(attributes, hook, mutating=True)
    if verdict is None or verdict.patch is None or attributes.new is None:
        return False
    try:
        if not patches.apply(attributes.new, attributes.call.kind, verdict.patch):
            return False
    except patches.Unfit as error:
        if hook.ignores_failure:
            _ignored(hook, str(error))
            return False
        raise _failed(hook, str(error)) from None
    if not attributes.subresource or attributes.subresource == "status":
        attributes.call.kind.default(attributes.new)
    attributes.patched = True
    return True


async def _ask(attributes: Attributes, hook: Hook, *, mutating: bool) -> Verdict | None:
    """The verdict, which is yes; None if nobody answered and that does not matter. errors.ApiError otherwise."""
    webhook = hook.webhook
    if attributes.dry_run and webhook.side_effects not in _PURE:
        raise errors.BadRequest(f'admission webhook "{webhook.name}" does not support dry run')
    asked = reviews.question(attributes)
    timeout_s = webhook.timeout_seconds or TIMEOUT_DEFAULT_S
    started = time.perf_counter()
    try:
        answer = await attributes.api.caller.ask(webhook.client_config, asked, timeout_s=timeout_s)
        verdict = reviews.verdict(answer, asked, mutating=mutating)
    except (Failed, Unreadable) as error:
        metrics.webhook(webhook.name, "error", time.perf_counter() - started)
        if hook.ignores_failure:
            _ignored(hook, str(error))
            return None
        raise _failed(hook, str(error)) from None
    metrics.webhook(webhook.name, "allowed" if verdict.allowed else "denied", time.perf_counter() - started)
    attributes.call.warnings += verdict.warnings
    if verdict.annotations:
        log.info("a webhook's audit annotations", webhook=webhook.name, annotations=dict(verdict.annotations))
    if not verdict.allowed:
        raise reviews.denied(webhook.name, verdict.status)
    return verdict


def _failed(hook: Hook, why: str) -> errors.ApiError:
    return errors.InternalError(
        f'Internal error occurred: failed calling webhook "{hook.webhook.name}": failed to call webhook: {why}'
    )


def _ignored(hook: Hook, why: str) -> None:
    log.warning("failed calling a webhook, failing open", webhook=hook.webhook.name, error=why)


MUTATING = Plugin("MutatingAdmissionWebhook", ANY, subresources=None, mutate=_mutate)
VALIDATING = Plugin("ValidatingAdmissionWebhook", ANY, subresources=None, validate=_validate)
