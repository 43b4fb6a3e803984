"""What a node's agent may read of secrets and configuration: what the pods on its node mention, by name.

Kubernetes' Node authorizer. Its roles say what it may do with all other kinds.
"""

from __future__ import annotations

from raftsman import mentions
from raftsman.core import v1 as core
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.watchcache.kind_cache import KindCache
from raftsman.services.apiserver.watchcache.selection import Selection

from .identity import User

PREFIX = "system:node:"
GROUP = "system:nodes"
_GUARDED = (core.Secret, core.ConfigMap)


def node_of(user: User) -> str:
    """The node that a caller is the agent of; "" if it is none's."""
    return user.name.removeprefix(PREFIX) if user.name.startswith(PREFIX) and GROUP in user.groups else ""


def check(pods: KindCache, user: User, verb: str, kind: Kind, *, namespace: str, name: str) -> None:
    """errors.Forbidden unless the caller is no node's agent, or a pod on its node mentions the object."""
    node = node_of(user)
    if not node or kind.message not in _GUARDED or _mentioned(pods, node, kind, namespace, name):
        return
    what = f'{kind.resource.name} "{name}"' if name else f"{kind.resource.name} other than by name"
    why = f'node "{node}" cannot {verb} {what}: no pod that runs on it mentions it'
    raise failures.forbidden(kind.resource, name, why)


def _mentioned(pods: KindCache, node: str, kind: Kind, namespace: str, name: str) -> bool:
    if not namespace or not name:
        return False
    on_node = pods.select(Selection(namespace, node=node))
    return any((kind.message, name) in mentions.of_pod(found.parsed()) for found in on_node)
