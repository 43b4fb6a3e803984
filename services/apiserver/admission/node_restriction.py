"""NodeRestriction: a node's agent writes what is its own node's and nothing of another's, whatever its role allows.

Its Node (not its taints, nor labels that others go by), its lease, its CSINode and slices, the status of the pods that
are bound to it, evictions of those, and tokens for them. What it may read: access/nodes.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from raftsman.coordination import v1 as coordination
from raftsman.core import v1 as core
from raftsman.policy import v1 as policy
from raftsman.resource import v1 as resource
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.access.nodes import node_of
from raftsman.storage import v1 as storage

from .attributes import ANY, Attributes, Operation, Plugin

if TYPE_CHECKING:
    from raftsman.services.apiserver.rpc import Call

LEASES = "kube-node-lease"
RESTRICTED = "node-restriction.kubernetes.io"
_OWN_LABELS = frozenset({
    "kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os", "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os", "beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
})  # fmt: skip
_OWN_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_SYSTEM_SUFFIXES = ("kubernetes.io", "k8s.io")


async def _admit(attributes: Attributes) -> None:
    """errors.Forbidden if it is not the node's own to write."""
    call = attributes.call
    node = node_of(call.user)
    if not node or call.user.is_master or attributes.operation is Operation.CONNECT:
        return
    why = _refusal(node, attributes)
    if why:
        raise failures.forbidden(call.kind.resource, attributes.name, f'node "{node}" {why}')


def _refusal(node: str, attributes: Attributes) -> str:
    """Judged by the object as it is before the write, or as it is to be created."""
    obj = attributes.old if attributes.old is not None else attributes.new
    if isinstance(obj, policy.Eviction):
        return _eviction_refusal(node, attributes)
    if isinstance(obj, core.Node):
        return _node_refusal(node, attributes)
    if isinstance(obj, core.Pod):
        return _pod_refusal(node, attributes)
    if isinstance(obj, coordination.Lease):
        own = (attributes.namespace, attributes.name) == (LEASES, node)
        return "" if own else f'can only write its own lease in the namespace "{LEASES}"'
    if isinstance(obj, storage.CSINode):
        return "" if attributes.name == node else "can only access CSINode with the same name as the requesting node"
    if isinstance(obj, resource.ResourceSlice):
        return "" if obj.spec.node_name == node else "can only write ResourceSlices with the same NodeName"
    return ""


def _pod_refusal(node: str, attributes: Attributes) -> str:
    if attributes.old is None:
        return "can only create mirror pods, which are not served"
    old, new = attributes.old, attributes.new
    if old.spec.node_name != node:
        return "can only write pods with spec.nodeName set to itself"
    if new is not None and dict(new.metadata.labels) != dict(old.metadata.labels):
        return "cannot update labels through pod status"
    return ""


def _eviction_refusal(node: str, attributes: Attributes) -> str:
    cache = attributes.api.cache(attributes.call.kind)
    pod = cache.get(attributes.namespace, attributes.name)
    return "" if pod is None or pod.node == node else "can only evict pods with spec.nodeName set to itself"


def _node_refusal(node: str, attributes: Attributes) -> str:
    if attributes.name != node:
        return f'is not allowed to modify node "{attributes.name}"'
    if attributes.new is None:
        return ""
    new, old = attributes.new, attributes.old
    before = dict(old.metadata.labels) if old is not None else {}
    wrong = sorted(label for label in _changed(before, dict(new.metadata.labels)) if _foreign(label))
    if old is None:
        return f"is not allowed to set the following labels: {', '.join(wrong)}" if wrong else ""
    if list(new.spec.taints) != list(old.spec.taints):
        return "is not allowed to modify taints"
    if list(new.metadata.owner_references) != list(old.metadata.owner_references):
        return "is not allowed to modify ownerReferences"
    return f"is not allowed to modify labels: {', '.join(wrong)}" if wrong else ""


def _changed(before: dict[str, str], after: dict[str, str]) -> Iterator[str]:
    return (label for label in before.keys() | after.keys() if before.get(label) != after.get(label))


def _foreign(label: str) -> bool:
    """Whether a label is Kubernetes' and not one that a node says of itself."""
    prefix, slash, _ = label.partition("/")
    if not slash or label in _OWN_LABELS:
        return False
    if _within(prefix, RESTRICTED):
        return True
    return any(_within(prefix, one) for one in _SYSTEM_SUFFIXES) and not any(
        _within(prefix, one) for one in _OWN_PREFIXES
    )


def _within(prefix: str, domain: str) -> bool:
    return prefix == domain or prefix.endswith(f".{domain}")


def admit_token(call: Call, account: str, pod: core.Pod | None) -> None:
    """errors.Forbidden unless a node's agent asks for a token that falls with a pod of that node."""
    node = node_of(call.user)
    if not node or call.user.is_master or (pod is not None and pod.spec.node_name == node):
        return
    why = f'node "{node}" can only request tokens bound to pods that run on it'
    raise failures.forbidden(call.kind.resource, account, why)


PLUGIN = Plugin("NodeRestriction", ANY, subresources=None, mutate=_admit)
