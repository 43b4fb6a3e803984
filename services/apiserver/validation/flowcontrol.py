"""Flow schemas and priority levels. The mandatory ones of default_flows are what they are."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

from raftsman.flowcontrol import v1 as flowcontrol
from raftsman.services.apiserver import default_flows

from . import names
from .causes import Causes

_PRECEDENCE_MAX = 10_000
_QUEUES_MAX = 10_000_000
# A flow's hand is dealt out of one hash of that many bits.
_HASH_BITS = 60
_EXEMPT = "exempt"
_VERBS = frozenset({
    "get", "list", "create", "update", "delete", "deletecollection", "patch", "watch", "proxy",
})  # fmt: skip
_METHODS = ("ByNamespace", "ByUser")
# kind of subject: the field that says who, in Python and in JSON
_SUBJECTS = {"Group": ("group", "group"), "ServiceAccount": ("service_account", "serviceAccount"),
             "User": ("user", "user")}  # fmt: skip


@functools.cache
def _mandatory() -> dict[tuple[str, str], Any]:
    found: dict[tuple[str, str], Any] = {}
    for schema_ in default_flows.schemas():
        found["FlowSchema", schema_.metadata.name] = schema_.spec
    for level_ in default_flows.levels():
        found["PriorityLevelConfiguration", level_.metadata.name] = level_.spec
    return {key: spec for key, spec in found.items() if key[1] in default_flows.MANDATORY}


def schema(found: flowcontrol.FlowSchema, causes: Causes) -> None:
    """Which requests, and to which level."""
    spec, name = found.spec, found.metadata.name
    at, precedence = "spec.matchingPrecedence", spec.matching_precedence
    if precedence <= 0:
        causes.invalid(at, precedence, "must be a positive value")
    if precedence > _PRECEDENCE_MAX:
        causes.invalid(at, precedence, f"must not be greater than {_PRECEDENCE_MAX}")
    if precedence == 1 and name != _EXEMPT:
        causes.invalid(at, precedence, "only the schema named 'exempt' may have matchingPrecedence 1")
    if spec.HasField("distinguisher_method") and spec.distinguisher_method.type not in _METHODS:
        causes.not_supported("spec.distinguisherMethod.type", spec.distinguisher_method.type, _METHODS)
    level_name = spec.priority_level_configuration.name
    if not level_name:
        causes.required("spec.priorityLevelConfiguration.name", "must reference a priority level")
    for wrong in names.dns_subdomain(level_name) if level_name else ():
        causes.invalid("spec.priorityLevelConfiguration.name", level_name, wrong)
    for index, rule in enumerate(spec.rules):
        _rule(rule, causes, path=f"spec.rules[{index}]")
    fixed = _mandatory().get(("FlowSchema", name))
    if fixed is not None and spec != fixed:
        causes.invalid("spec", spec, f"spec of '{name}' must equal the fixed value")


def schema_update(new: flowcontrol.FlowSchema, old: flowcontrol.FlowSchema, causes: Causes) -> None:
    """Everything may change, but in the mandatory ones."""
    schema(new, causes)


def status(new: Any, old: Any, causes: Causes) -> None:
    """Of either kind: one condition of each type."""
    seen: set[str] = set()
    for index, condition in enumerate(new.status.conditions):
        at = f"status.conditions[{index}].type"
        if condition.type in seen:
            causes.duplicate(at, condition.type)
        seen.add(condition.type)
        if not condition.type:
            causes.required(at, "must not be empty")


def _rule(found: flowcontrol.PolicyRulesWithSubjects, causes: Causes, *, path: str) -> None:
    if not found.subjects:
        causes.required(f"{path}.subjects", "subjects must contain at least one value")
    for index, subject in enumerate(found.subjects):
        _subject(subject, causes, path=f"{path}.subjects[{index}]")
    if not found.resource_rules and not found.non_resource_rules:
        causes.required(path, "at least one of resourceRules and nonResourceRules has to be non-empty")
    for index, resources in enumerate(found.resource_rules):
        _resource_rule(resources, causes, path=f"{path}.resourceRules[{index}]")
    for index, urls in enumerate(found.non_resource_rules):
        at = f"{path}.nonResourceRules[{index}]"
        _verbs(urls.verbs, causes, path=f"{at}.verbs")
        _several(urls.non_resource_urls, causes, path=f"{at}.nonResourceURLs", what="non-resource URLs",
                 none="nonResourceURLs must contain at least one value")  # fmt: skip
        for position, url in enumerate(urls.non_resource_urls):
            if url != "*":
                _url(url, causes, path=f"{at}.nonResourceURLs[{position}]")


def _subject(found: flowcontrol.Subject, causes: Causes, *, path: str) -> None:
    if found.kind not in _SUBJECTS:
        causes.not_supported(f"{path}.kind", found.kind, _SUBJECTS)
        return
    for kind, (field, word) in _SUBJECTS.items():
        at, there = f"{path}.{word}", found.HasField(field)  # type: ignore[arg-type]
        if kind != found.kind:
            if there:
                causes.forbidden(at, f"{word} is forbidden when subject kind is not '{kind}'")
            continue
        if not there:
            causes.required(at, f"{word} is required when subject kind is '{kind}'")
            continue
        if not getattr(found, field).name:
            causes.required(f"{at}.name")
        if kind == "ServiceAccount":
            _account(found.service_account, causes, path=at)


def _account(found: flowcontrol.ServiceAccountSubject, causes: Causes, *, path: str) -> None:
    for wrong in names.dns_subdomain(found.name) if found.name not in ("", "*") else ():
        causes.invalid(f"{path}.name", found.name, wrong)
    if not found.namespace:
        causes.required(f"{path}.namespace", "must specify namespace for service account")
    for wrong in names.dns_label(found.namespace) if found.namespace else ():
        causes.invalid(f"{path}.namespace", found.namespace, wrong)


def _resource_rule(found: flowcontrol.ResourcePolicyRule, causes: Causes, *, path: str) -> None:
    _verbs(found.verbs, causes, path=f"{path}.verbs")
    _several(found.api_groups, causes, path=f"{path}.apiGroups", what="api groups",
             none="resource rules must supply at least one api group")  # fmt: skip
    _several(found.resources, causes, path=f"{path}.resources", what="resources",
             none="resource rules must supply at least one resource")  # fmt: skip
    needs = "resource rules that are not cluster scoped must supply at least one namespace"
    _several(found.namespaces, causes, path=f"{path}.namespaces", what="namespaces",
             none="" if found.cluster_scope else needs)  # fmt: skip
    for index, namespace in enumerate(found.namespaces):
        for wrong in names.dns_label(namespace) if namespace != "*" else ():
            why = f"each member of this list must be '*' or a DNS-1123 label; {wrong}"
            causes.invalid(f"{path}.namespaces[{index}]", namespace, why)


def _verbs(found: Sequence[str], causes: Causes, *, path: str) -> None:
    _several(found, causes, path=path, what="verbs", none="verbs must contain at least one value")
    if "*" not in found and not _VERBS.issuperset(found):
        causes.not_supported(path, list(found), _VERBS)


def _several(found: Sequence[str], causes: Causes, *, path: str, what: str, none: str) -> None:
    """At least one, and nothing beside `*`."""
    if not found and none:
        causes.required(path, none)
    elif len(found) > 1 and "*" in found:
        causes.invalid(path, list(found), f"if '*' is present, must not specify other {what}")


def _url(text: str, causes: Causes, *, path: str) -> None:
    wrong = ""
    if not text:
        wrong = "must not be empty"
    elif not text.startswith("/"):
        wrong = "must start with slash"
    elif " " in text:
        wrong = "must not contain white-space"
    elif "//" in text:
        wrong = "must not contain double slash"
    elif "*" in text and (text.count("*") > 1 or not text.endswith("/*")):
        wrong = "wildcard can only do suffix matching"
    if wrong:
        causes.invalid(path, text, wrong)


def level(found: flowcontrol.PriorityLevelConfiguration, causes: Causes) -> None:
    """How much at a time, and what happens with more."""
    spec, name = found.spec, found.metadata.name
    if (name == _EXEMPT) != (spec.type == "Exempt"):
        causes.invalid("spec.type", spec.type, "type must be 'Exempt' if and only if name is 'exempt'")
    if spec.type == "Exempt":
        if spec.HasField("limited"):
            causes.forbidden("spec.limited", "must be nil if the type is not Limited")
        _shares(spec.exempt, causes, path="spec.exempt")
    elif spec.type == "Limited":
        if spec.HasField("exempt"):
            causes.forbidden("spec.exempt", "must be nil if the type is Limited")
        if spec.HasField("limited"):
            _limited(spec.limited, causes, path="spec.limited")
        else:
            causes.required("spec.limited", "must not be empty when type is Limited")
    else:
        causes.not_supported("spec.type", spec.type, ("Exempt", "Limited"))
    _fixed(found, causes)


def _fixed(found: flowcontrol.PriorityLevelConfiguration, causes: Causes) -> None:
    """What exempt requests count for may be chosen, nothing else of a mandatory level."""
    name = found.metadata.name
    fixed = _mandatory().get(("PriorityLevelConfiguration", name))
    if fixed is None:
        return
    spec, except_ = flowcontrol.PriorityLevelConfigurationSpec(), ""
    spec.CopyFrom(found.spec)
    if name == _EXEMPT:
        spec.exempt.CopyFrom(fixed.exempt)
        except_ = " except the 'spec.exempt' field"
    if spec != fixed:
        causes.invalid("spec", found.spec, f"spec of '{name}'{except_} must equal the fixed value")


def level_update(
    new: flowcontrol.PriorityLevelConfiguration, old: flowcontrol.PriorityLevelConfiguration, causes: Causes
) -> None:
    """Everything may change, but in the mandatory ones."""
    level(new, causes)


def _shares(found: Any, causes: Causes, *, path: str) -> None:
    if found.nominal_concurrency_shares < 0:
        causes.invalid(
            f"{path}.nominalConcurrencyShares", found.nominal_concurrency_shares, "must be a non-negative integer"
        )
    if not 0 <= found.lendable_percent <= 100:
        causes.invalid(f"{path}.lendablePercent", found.lendable_percent, "must be between 0 and 100, inclusive")


def _limited(found: flowcontrol.LimitedPriorityLevelConfiguration, causes: Causes, *, path: str) -> None:
    _shares(found, causes, path=path)
    if found.borrowing_limit_percent < 0:
        causes.invalid(
            f"{path}.borrowingLimitPercent", found.borrowing_limit_percent,
            "if specified, must be a non-negative integer",
        )  # fmt: skip
    response, at = found.limit_response, f"{path}.limitResponse"
    if response.type == "Reject":
        if response.HasField("queuing"):
            causes.forbidden(f"{at}.queuing", "must be nil if limited.limitResponse.type is not Limited")
    elif response.type != "Queue":
        causes.not_supported(f"{at}.type", response.type, ("Queue", "Reject"))
    elif not response.HasField("queuing"):
        causes.required(f"{at}.queuing", "must not be empty if limited.limitResponse.type is Limited")
    else:
        _queuing(response.queuing, causes, path=f"{at}.queuing")


def _queuing(found: flowcontrol.QueuingConfiguration, causes: Causes, *, path: str) -> None:
    queues, hand = found.queues, found.hand_size
    if found.queue_length_limit <= 0:
        causes.invalid(f"{path}.queueLengthLimit", found.queue_length_limit, "must be positive")
    if queues <= 0:
        causes.invalid(f"{path}.queues", queues, "must be positive")
    elif queues > _QUEUES_MAX:
        causes.invalid(f"{path}.queues", queues, f"must not be greater than {_QUEUES_MAX}")
    if hand <= 0:
        causes.invalid(f"{path}.handSize", hand, "must be positive")
    elif hand > queues:
        causes.invalid(f"{path}.handSize", hand, f"should not be greater than queues ({queues})")
    elif hand > _HASH_BITS or _bits(queues, hand) > _HASH_BITS:
        causes.invalid(
            f"{path}.handSize", hand,
            f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {_HASH_BITS}",
        )  # fmt: skip


def _bits(queues: int, hand: int) -> int:
    """What dealing a hand out of so many queues takes."""
    return math.ceil(sum(math.log2(queues - dealt) for dealt in range(hand)))
