"""Role-based access control: what the roles bound to somebody allow (Kubernetes' RBAC, allow only).

The rules of each caller are put together once from the watch cache and kept until an RBAC object changes: per scope a
table from (group, resource) to verbs, and the rules that name objects aside. A decision is then a few look-ups.
At most CALLERS_MAX callers are remembered.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable

from raftsman.rbac import v1 as rbac
from raftsman.resources import Resource
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.watchcache.kind_cache import KindCache

from .identity import User

CALLERS_MAX = 1024
GROUP = "rbac.authorization.k8s.io"

_Key = tuple[str, str]


class _Rules:
    """What is allowed in one scope."""

    __slots__ = ("any_name", "named", "paths", "rules")

    def __init__(self) -> None:
        self.rules: list[rbac.PolicyRule] = []
        self.paths: list[tuple[tuple[str, ...], frozenset[str]]] = []
        self.any_name: dict[_Key, set[str]] = defaultdict(set)
        self.named: dict[_Key, list[tuple[frozenset[str], frozenset[str]]]] = defaultdict(list)

    def add(self, rule: rbac.PolicyRule) -> None:
        self.rules.append(rule)
        if rule.non_resource_urls:
            self.paths.append((tuple(rule.non_resource_urls), frozenset(rule.verbs)))
        for group in rule.api_groups:
            for resource in rule.resources:
                if rule.resource_names:
                    self.named[group, resource].append((frozenset(rule.resource_names), frozenset(rule.verbs)))
                else:
                    self.any_name[group, resource].update(rule.verbs)

    def allow(self, verb: str, keys: Iterable[_Key], name: str) -> bool:
        for key in keys:
            verbs = self.any_name.get(key)
            if verbs and (verb in verbs or "*" in verbs):
                return True
            if name and key in self.named:
                for names, allowed in self.named[key]:
                    if name in names and (verb in allowed or "*" in allowed):
                        return True
        return False

    def allow_path(self, verb: str, path: str) -> bool:
        return any(
            (verb in verbs or "*" in verbs) and any(_path_matches(pattern, path) for pattern in patterns)
            for patterns, verbs in self.paths
        )


def _path_matches(pattern: str, path: str) -> bool:
    return pattern == path or (pattern.endswith("*") and path.startswith(pattern[:-1]))


class _Caller:
    """The rules of one user: cluster-wide, and by namespace."""

    __slots__ = ("by_namespace", "everywhere")

    def __init__(self) -> None:
        self.everywhere = _Rules()
        self.by_namespace: dict[str, _Rules] = {}


class Authorizer:
    """Reads the four RBAC kinds out of the cache."""

    def __init__(self, caches: dict[str, KindCache]) -> None:
        self._roles = caches[f"roles.{GROUP}"]
        self._cluster_roles = caches[f"clusterroles.{GROUP}"]
        self._bindings = caches[f"rolebindings.{GROUP}"]
        self._cluster_bindings = caches[f"clusterrolebindings.{GROUP}"]
        self._callers: OrderedDict[tuple[str, tuple[str, ...]], _Caller] = OrderedDict()
        for cache in (self._roles, self._cluster_roles, self._bindings, self._cluster_bindings):
            cache.listeners.append(lambda _: self._callers.clear())

    def forget(self) -> None:
        """After the caches were filled anew."""
        self._callers.clear()

    def check(self, user: User, verb: str, resource: Resource, *, namespace: str, name: str, subresource: str) -> None:
        """errors.Forbidden with Kubernetes' sentence unless it is allowed."""
        if not self.allows(user, verb, resource, namespace=namespace, name=name, subresource=subresource):
            what = f"{resource.name}/{subresource}" if subresource else resource.name
            where = f'in the namespace "{namespace}"' if namespace and resource.namespaced else "at the cluster scope"
            why = f'User "{user.name}" cannot {verb} resource "{what}" in API group "{resource.group}" {where}'
            raise failures.forbidden(resource, name, why)

    def allows(
        self, user: User, verb: str, resource: Resource, *, namespace: str = "", name: str = "", subresource: str = ""
    ) -> bool:
        what = f"{resource.name}/{subresource}" if subresource else resource.name
        return self.decides(user, verb, resource.group, what, namespace=namespace, name=name)

    def decides(self, user: User, verb: str, group: str, what: str, *, namespace: str = "", name: str = "") -> bool:
        """Whether it is allowed, also of what is not served. `what`: a plural, `pods/log` for a part of it."""
        if user.is_master:
            return True
        caller = self._caller(user)
        keys = _wider(group, what)
        if caller.everywhere.allow(verb, keys, name):
            return True
        # A namespace's own object is asked for by name; bindings in that namespace allow reading it.
        space = name if what == "namespaces" and not group else namespace
        rules = caller.by_namespace.get(space) if space else None
        return rules is not None and rules.allow(verb, keys, name)

    def decides_path(self, user: User, verb: str, path: str) -> bool:
        """Whether somebody may do that (get, post …) with a path that is no object."""
        return user.is_master or self._caller(user).everywhere.allow_path(verb, path)

    def rules_for(self, user: User, namespace: str) -> list[rbac.PolicyRule]:
        """All rules that apply to somebody in a namespace."""
        caller = self._caller(user)
        inside = caller.by_namespace.get(namespace)
        return [*caller.everywhere.rules, *(inside.rules if inside is not None else ())]

    def _caller(self, user: User) -> _Caller:
        key = (user.name, user.groups)
        found = self._callers.get(key)
        if found is None:
            found = self._callers[key] = self._compiled(user)
            if len(self._callers) > CALLERS_MAX:
                self._callers.popitem(last=False)
        return found

    def _compiled(self, user: User) -> _Caller:
        caller = _Caller()
        for found in self._cluster_bindings.values():
            binding = found.parsed()
            if any(_is(subject, user, "") for subject in binding.subjects):
                for rule in self.rules_of(binding.role_ref, ""):
                    caller.everywhere.add(rule)
        for found in self._bindings.values():
            binding = found.parsed()
            if any(_is(subject, user, found.namespace) for subject in binding.subjects):
                rules = caller.by_namespace.setdefault(found.namespace, _Rules())
                for rule in self.rules_of(binding.role_ref, found.namespace):
                    rules.add(rule)
        return caller

    def covers(self, user: User, rule: rbac.PolicyRule, *, namespace: str) -> bool:
        """Whether `user` has all that a rule allows, everywhere or in one namespace."""
        caller = self._caller(user)
        if rule.non_resource_urls:
            allow = caller.everywhere.allow_path
            return all(allow(verb, path) for path in rule.non_resource_urls for verb in rule.verbs)
        scopes = [caller.everywhere, *filter(None, (caller.by_namespace.get(namespace),))]
        return all(
            any(scope.allow(verb, _wider(group, resource), name) for scope in scopes)
            for group in rule.api_groups
            for resource in rule.resources
            for verb in rule.verbs
            for name in (rule.resource_names or ("",))
        )

    def rules_of(self, ref: rbac.RoleRef, namespace: str) -> list[rbac.PolicyRule]:
        """What a role allows; nothing if it does not exist."""
        if ref.kind == "ClusterRole":
            found = self._cluster_roles.get("", ref.name)
            return self._aggregated(found.parsed()) if found is not None else []
        role = self._roles.get(namespace, ref.name) if namespace else None
        return list(role.parsed().rules) if role is not None else []

    def _aggregated(self, role: rbac.ClusterRole, above: frozenset[str] = frozenset()) -> list[rbac.PolicyRule]:
        """A role's own rules, or those of the roles that its aggregation selects by label, and so on.

        What an aggregated role itself holds is a copy of those, made for readers by a controller.
        """
        rules = [] if role.HasField("aggregation_rule") else list(role.rules)
        if role.aggregation_rule.cluster_role_selectors:
            from raftsman import selectors

            seen = above | {role.metadata.name}
            wanted = [selectors.from_label_selector(one) for one in role.aggregation_rule.cluster_role_selectors]
            for other in self._cluster_roles.values():
                if other.name not in seen and any(one.matches(other.labels) for one in wanted):
                    rules += self._aggregated(other.parsed(), seen)
        return rules


def covered(rule: rbac.PolicyRule, rules: Iterable[rbac.PolicyRule]) -> bool:
    """Whether `rules` together allow all that `rule` allows."""
    all_of_them = _Rules()
    for one in rules:
        all_of_them.add(one)
    if rule.non_resource_urls:
        return all(all_of_them.allow_path(verb, path) for path in rule.non_resource_urls for verb in rule.verbs)
    return all(
        all_of_them.allow(verb, _wider(group, resource), name)
        for group in rule.api_groups
        for resource in rule.resources
        for verb in rule.verbs
        for name in (rule.resource_names or ("",))
    )


def _wider(group: str, what: str) -> list[_Key]:
    """The keys of the rules that speak of a resource (`pods`) or a subresource (`pods/log`)."""
    names = [what, "*"]
    _, slash, subresource = what.partition("/")
    if slash:
        names.append(f"*/{subresource}")
    return [(one, name) for one in (group, "*") for name in names]


def _is(subject: rbac.Subject, user: User, namespace: str) -> bool:
    if subject.kind == "User":
        return subject.name == user.name
    if subject.kind == "Group":
        return subject.name in user.groups
    if subject.kind == "ServiceAccount":
        return user.name == f"system:serviceaccount:{subject.namespace or namespace}:{subject.name}"
    return False
