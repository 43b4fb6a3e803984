"""A node's agent writes what is its own node's and nothing of another's, whatever its role allows.

Its Node, its lease, the pods that are bound to it, and tokens for those pods. What it may read: access/nodes.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raftsman.coordination import v1 as coordination
from raftsman.core import v1 as core
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.access.nodes import node_of

if TYPE_CHECKING:
    from raftsman.services.apiserver.rpc import Call

LEASES = "kube-node-lease"


def admit(call: Call, obj: Any, *, created: bool = False) -> None:
    """`obj` as it is before the write, or as it is to be created. errors.Forbidden if it is not the node's own."""
    node = node_of(call.user)
    if not node or call.user.is_master:
        return
    why = _refusal(node, obj, created=created)
    if why:
        raise failures.forbidden(call.kind.resource, obj.metadata.name, f'node "{node}" {why}')


def _refusal(node: str, obj: Any, *, created: bool) -> str:
    name = obj.metadata.name
    if isinstance(obj, core.Node):
        return "" if name == node else f'is not allowed to modify node "{name}"'
    if isinstance(obj, core.Pod):
        if created:
            return "can only create mirror pods, which are not served"
        return "" if obj.spec.node_name == node else "can only write pods with spec.nodeName set to itself"
    if isinstance(obj, coordination.Lease):
        own = (obj.metadata.namespace, name) == (LEASES, node)
        return "" if own else f'can only write its own lease in the namespace "{LEASES}"'
    return ""


def admit_token(call: Call, account: str, pod: core.Pod | None) -> None:
    """errors.Forbidden unless a node's agent asks for a token that falls with a pod of that node."""
    node = node_of(call.user)
    if not node or call.user.is_master or (pod is not None and pod.spec.node_name == node):
        return
    why = f'node "{node}" can only request tokens bound to pods that run on it'
    raise failures.forbidden(call.kind.resource, account, why)
