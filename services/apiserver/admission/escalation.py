"""Nobody grants what they do not have (Kubernetes' RBAC escalation checks).

A role may only be written by somebody who has all that it allows, or the verb `escalate` on roles; a binding only by
somebody who has all that the bound role allows, or the verb `bind` on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raftsman.rbac import v1 as rbac
from raftsman.services.apiserver import failures

from .attributes import WRITES, Attributes, Plugin

if TYPE_CHECKING:
    from raftsman.services.apiserver.api import Api
    from raftsman.services.apiserver.rpc import Call

LISTED_MAX = 10


async def _validate(attributes: Attributes) -> None:
    """errors.Forbidden with the rules that the caller lacks."""
    api, call, new, old = attributes.api, attributes.call, attributes.new, attributes.old
    if call.user.is_master:
        return
    if isinstance(new, rbac.Role | rbac.ClusterRole):
        if old is None or list(new.rules) != list(old.rules):
            _check(api, call, new, list(new.rules), verb="escalate", kind=call.kind, name=new.metadata.name)
    elif old is None or list(new.subjects) != list(old.subjects):
        plural = "clusterroles" if new.role_ref.kind == "ClusterRole" else "roles"
        kind = api.kinds[f"{plural}.rbac.authorization.k8s.io"]
        rules = api.authorizer.rules_of(new.role_ref, new.metadata.namespace)
        _check(api, call, new, rules, verb="bind", kind=kind, name=new.role_ref.name)


PLUGIN = Plugin(
    "Escalation", WRITES, validate=_validate,
    kinds=frozenset(
        f"{plural}.rbac.authorization.k8s.io"
        for plural in ("roles", "clusterroles", "rolebindings", "clusterrolebindings")
    ),
)  # fmt: skip


def _check(api: Api, call: Call, obj: Any, rules: list[rbac.PolicyRule], *, verb: str, kind: Any, name: str) -> None:
    namespace = obj.metadata.namespace
    if api.authorizer.allows(call.user, verb, kind.resource, namespace=namespace, name=name):
        return
    lacking = [rule for rule in rules if not api.authorizer.covers(call.user, rule, namespace=namespace)]
    if not lacking:
        return
    listed = "\n".join(_shown(rule) for rule in lacking[:LISTED_MAX])
    groups = " ".join(f'"{group}"' for group in call.user.groups)
    why = f'user "{call.user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:'
    raise failures.forbidden(call.kind.resource, obj.metadata.name, f"{why}\n{listed}")


def _shown(rule: rbac.PolicyRule) -> str:
    parts = (
        ("APIGroups", rule.api_groups),
        ("Resources", rule.resources),
        ("ResourceNames", rule.resource_names),
        ("NonResourceURLs", rule.non_resource_urls),
        ("Verbs", rule.verbs),
    )
    listed = (f"{word}:[{' '.join(chr(34) + one + chr(34) for one in found)}]" for word, found in parts if found)
    return "{" + ", ".join(listed) + "}"
