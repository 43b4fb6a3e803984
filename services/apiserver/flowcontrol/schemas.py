"""Which flow schema a request belongs to: the first that matches, in the order of precedence. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from raftsman.flowcontrol import v1 as flowcontrol
from raftsman.services.apiserver.access.identity import User

SERVICE_ACCOUNT = "system:serviceaccount:"


class Asked(NamedTuple):
    """What somebody wants to do: with a resource, or (without one) with a path."""

    verb: str
    group: str = ""
    resource: str = ""
    """A plural, `pods/log` for a part of it."""
    namespace: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Schema:
    name: str
    uid: str
    level: str
    by: str
    """What tells flows apart: ByUser, ByNamespace or nothing."""
    rules: tuple[flowcontrol.PolicyRulesWithSubjects, ...]

    def matches(self, user: User, asked: Asked) -> bool:
        return any(_speaks_of(rule, asked) and _is_of(rule.subjects, user) for rule in self.rules)

    def flow(self, user: User, asked: Asked) -> str:
        """What the request's flow is called within the schema."""
        return user.name if self.by == "ByUser" else asked.namespace if self.by == "ByNamespace" else ""


def in_order(found: Iterable[flowcontrol.FlowSchema]) -> list[Schema]:
    ordered = sorted(found, key=lambda one: (one.spec.matching_precedence, one.metadata.name))
    return [
        Schema(
            one.metadata.name,
            one.metadata.uid,
            one.spec.priority_level_configuration.name,
            one.spec.distinguisher_method.type,
            tuple(one.spec.rules),
        )
        for one in ordered
    ]


def _is_of(subjects: Iterable[flowcontrol.Subject], user: User) -> bool:
    return any(_is(subject, user) for subject in subjects)


def _is(subject: flowcontrol.Subject, user: User) -> bool:
    if subject.kind == "User":
        return subject.user.name in ("*", user.name)
    if subject.kind == "Group":
        return subject.group.name == "*" or subject.group.name in user.groups
    namespace, name = subject.service_account.namespace, subject.service_account.name
    if name == "*":
        return user.name.startswith(f"{SERVICE_ACCOUNT}{namespace}:")
    return user.name == f"{SERVICE_ACCOUNT}{namespace}:{name}"


def _speaks_of(rule: flowcontrol.PolicyRulesWithSubjects, asked: Asked) -> bool:
    if not asked.resource:
        return any(
            _within(asked.verb, one.verbs) and any(_covers(url, asked.path) for url in one.non_resource_urls)
            for one in rule.non_resource_rules
        )
    return any(
        _within(asked.verb, one.verbs)
        and _within(asked.group, one.api_groups)
        and _within(asked.resource, one.resources)
        and (_within(asked.namespace, one.namespaces) if asked.namespace else one.cluster_scope)
        for one in rule.resource_rules
    )


def _within(one: str, wanted: Iterable[str]) -> bool:
    return any(each in ("*", one) for each in wanted)


def _covers(url: str, path: str) -> bool:
    return url == "*" or url == path or (url.endswith("*") and path.startswith(url[:-1]))
