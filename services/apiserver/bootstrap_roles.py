"""The default roles and bindings as objects, and what one that is there lacks.

Whoever wants one of them other than it is by default sets its annotation `…/autoupdate` to "false"; without that, rules
and subjects that went are added again at every start, and what was added to them is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raftsman.rbac import v1 as rbac

from . import default_controller_roles, default_roles
from .access.authorization import GROUP, covered

AUTO_UPDATE = "rbac.authorization.kubernetes.io/autoupdate"
_BOOTSTRAPPING = "kubernetes.io/bootstrapping"
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
_ACCOUNTS = "kube-system"
_CONTROLLER = "system:controller:"
_AGGREGATED = ("view", "edit", "admin")


def all_of_them() -> Iterator[Any]:
    """Cluster roles and bindings, then those of single namespaces."""
    texts = (default_roles.ROLES, default_controller_roles.ROLES, default_roles.OWN_ROLES)
    roles = {name: _cluster_role(name, facts, rules) for text in texts for name, facts, rules in _read(text)}
    _aggregate(roles)
    yield from roles.values()
    for name, subjects in default_roles.BINDINGS.items():
        yield _cluster_binding(name, name, subjects)
    for name in roles:
        if name.startswith(_CONTROLLER):
            yield _cluster_binding(name, name, f"ServiceAccount:{name.removeprefix(_CONTROLLER)}")
    for name, (role, subjects) in default_roles.OWN_BINDINGS.items():
        yield _cluster_binding(name, role, subjects)
    for path, _, rules in _read(default_roles.NAMESPACED_ROLES):
        yield _role(path, rules)
    for path, (role, subjects) in default_roles.NAMESPACED_BINDINGS.items():
        yield _binding(path, role, subjects)


def _read(text: str) -> Iterator[tuple[str, list[str], list[rbac.PolicyRule]]]:
    """(name, facts, rules) of each role."""
    found: list[tuple[str, list[str], list[rbac.PolicyRule]]] = []
    for line in text.strip().splitlines():
        if line.startswith(" "):
            found[-1][2].append(_rule(line))
        else:
            name, *facts = line.split()
            found.append((name, facts, []))
    yield from found


def _rule(line: str) -> rbac.PolicyRule:
    facts = dict(fact.split("=", 1) for fact in line.split())
    rule = rbac.PolicyRule(verbs=facts["verbs"].split(","))
    if "urls" in facts:
        rule.non_resource_urls.extend(facts["urls"].split(","))
        return rule
    rule.api_groups.extend(facts["groups"].split(","))
    rule.resources.extend(facts["resources"].split(","))
    if "names" in facts:
        rule.resource_names.extend(facts["names"].split(","))
    return rule


def _marked(found: Any) -> None:
    found.metadata.labels[_BOOTSTRAPPING] = "rbac-defaults"
    found.metadata.annotations[AUTO_UPDATE] = "true"


def _cluster_role(name: str, facts: Sequence[str], rules: Sequence[rbac.PolicyRule]) -> rbac.ClusterRole:
    role = rbac.ClusterRole(rules=rules)
    role.metadata.name = name
    _marked(role)
    for fact in facts:
        word, _, other = fact.partition("=")
        if word == "for":
            role.metadata.labels[f"{_AGGREGATE}{other}"] = "true"
        else:
            selector = role.aggregation_rule.cluster_role_selectors.add()
            selector.match_labels[f"{_AGGREGATE}{other}"] = "true"
    return role


def _aggregate(roles: Mapping[str, rbac.ClusterRole]) -> None:
    """The first copy of what roles take in; later ones are a controller's. Those that are taken in come first."""
    for name in _AGGREGATED:
        for other in sorted(roles):
            if roles[other].metadata.labels.get(f"{_AGGREGATE}{name}"):
                roles[name].rules.extend(rule for rule in roles[other].rules if rule not in roles[name].rules)


def _role(path: str, rules: Sequence[rbac.PolicyRule]) -> rbac.Role:
    role = rbac.Role(rules=rules)
    role.metadata.namespace, _, role.metadata.name = path.partition("/")
    _marked(role)
    return role


def _cluster_binding(name: str, role: str, subjects: str) -> rbac.ClusterRoleBinding:
    binding = rbac.ClusterRoleBinding(role_ref=rbac.RoleRef(api_group=GROUP, kind="ClusterRole", name=role))
    binding.metadata.name = name
    _marked(binding)
    binding.subjects.extend(_subjects(subjects))
    return binding


def _binding(path: str, role: str, subjects: str) -> rbac.RoleBinding:
    binding = rbac.RoleBinding(role_ref=rbac.RoleRef(api_group=GROUP, kind="Role", name=role))
    binding.metadata.namespace, _, binding.metadata.name = path.partition("/")
    _marked(binding)
    binding.subjects.extend(_subjects(subjects))
    return binding


def _subjects(text: str) -> Iterator[rbac.Subject]:
    for subject in text.split(",") if text else ():
        kind, _, who = subject.partition(":")
        if kind == "ServiceAccount":
            yield rbac.Subject(kind=kind, name=who, namespace=_ACCOUNTS)
        else:
            yield rbac.Subject(kind=kind, api_group=GROUP, name=who)


def mended(found: Any, wanted: Any) -> Any:
    """What is there with what it lacks, or None if it lacks nothing or is not to be touched."""
    if found.metadata.annotations.get(AUTO_UPDATE) == "false":
        return None
    new = type(found)()
    new.CopyFrom(found)
    for word in ("labels", "annotations"):
        before = getattr(found.metadata, word)
        for key, value in getattr(wanted.metadata, word).items():
            if key not in before:
                getattr(new.metadata, word)[key] = value
    if isinstance(found, rbac.RoleBinding | rbac.ClusterRoleBinding):
        new.subjects.extend(subject for subject in wanted.subjects if subject not in found.subjects)
    elif not (isinstance(found, rbac.ClusterRole) and wanted.HasField("aggregation_rule")):
        new.rules.extend(rule for rule in wanted.rules if rule not in found.rules and not covered(rule, found.rules))
    if isinstance(found, rbac.ClusterRole):
        have = found.aggregation_rule.cluster_role_selectors
        for selector in wanted.aggregation_rule.cluster_role_selectors:
            if selector not in have:
                new.aggregation_rule.cluster_role_selectors.append(selector)
    return None if new == found else new
