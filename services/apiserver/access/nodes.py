"""What a node's agent may read: its own pods, and of other things what those pods mention, by name.

Kubernetes' Node authorizer (with selectors: KEP-4601). What is not listed here its roles decide alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from raftsman import mentions
from raftsman.core import v1 as core
from raftsman.resource import v1 as resource
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.watchcache.kind_cache import KindCache
from raftsman.services.apiserver.watchcache.selection import Selection
from raftsman.storage import v1 as storage

from .identity import User

PREFIX = "system:node:"
GROUP = "system:nodes"
_READS = frozenset({"get", "list", "watch"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A node's request. `selected_node` is what its field selector says of spec.nodeName."""

    node: str
    verb: str
    namespace: str
    name: str
    subresource: str
    selected_node: str


def node_of(user: User) -> str:
    """The node that a caller is the agent of; "" if it is none's."""
    return user.name.removeprefix(PREFIX) if user.name.startswith(PREFIX) and GROUP in user.groups else ""


class NodeAuthorizer:
    """Reads pods, claims and attachments out of the caches."""

    def __init__(self, caches: Mapping[str, KindCache]) -> None:
        self._caches = caches

    def check(self, asked: Asked, kind: Kind) -> None:
        """errors.Forbidden unless it has to do with the node."""
        why = self.refusal(asked, kind.message)
        if why:
            what = f'{kind.resource.name} "{asked.name}"' if asked.name else kind.resource.name
            told = f'node "{asked.node}" cannot {asked.verb} {what}: {why}'
            raise failures.forbidden(kind.resource, asked.name, told)

    def refusal(self, asked: Asked, message: type[Any]) -> str:
        """Why not; "" if this authorizer has nothing against it."""
        rule = _RULES.get(message)
        return rule(self, asked) if rule is not None else ""

    # -- one rule a kind

    def _pods(self, asked: Asked) -> str:
        if asked.verb not in _READS:
            return ""
        if asked.verb != "get":
            own = asked.selected_node == asked.node
            return "" if own else f"only with the field selector spec.nodeName={asked.node}"
        found = self._caches["pods"].get(asked.namespace, asked.name)
        return "" if found is None or found.node == asked.node else "it runs on another node"

    def _mentioned(self, message: type[Any], asked: Asked) -> str:
        if not asked.name:
            return "only one at a time, by name"
        found = any((message, asked.name) in mentions.of_pod(pod) for pod in self._pods_on(asked))
        return "" if found else "no pod that runs on it mentions it"

    def _secrets(self, asked: Asked) -> str:
        return self._mentioned(core.Secret, asked)

    def _config_maps(self, asked: Asked) -> str:
        return self._mentioned(core.ConfigMap, asked)

    def _claims(self, asked: Asked) -> str:
        return self._mentioned(core.PersistentVolumeClaim, asked)

    def _resource_claims(self, asked: Asked) -> str:
        return self._mentioned(resource.ResourceClaim, asked)

    def _volumes(self, asked: Asked) -> str:
        """Those that a claim of a pod on the node is bound to."""
        if not asked.name:
            return "only one at a time, by name"
        volume = self._caches["persistentvolumes"].get("", asked.name)
        if volume is None:
            return "no pod that runs on it uses it"
        claim = volume.parsed().spec.claim_ref
        by_claim = Asked(asked.node, asked.verb, claim.namespace, claim.name, "", "")
        return "no pod that runs on it uses it" if not claim.name or self._claims(by_claim) else ""

    def _accounts(self, asked: Asked) -> str:
        if asked.subresource == "token" or asked.verb not in _READS:
            return ""  # what a token is bound to decides (admission)
        used = any(pod.spec.service_account_name == asked.name for pod in self._pods_on(asked))
        return "" if asked.name and used else "no pod that runs on it uses it"

    def _attachments(self, asked: Asked) -> str:
        found = self._caches["volumeattachments.storage.k8s.io"].get("", asked.name) if asked.name else None
        own = found is not None and found.parsed().spec.node_name == asked.node
        return "" if own else "it is not attached to it"

    def _csi_node(self, asked: Asked) -> str:
        return "" if asked.name == asked.node or asked.verb == "create" else "only the CSINode of its own name"

    def _pods_on(self, asked: Asked) -> list[core.Pod]:
        if not asked.namespace:
            return []
        on_node = self._caches["pods"].select(Selection(asked.namespace, node=asked.node))
        return [found.parsed() for found in on_node]


Rule = Callable[[NodeAuthorizer, Asked], str]
_RULES: dict[type[Any], Rule] = {
    core.Pod: NodeAuthorizer._pods,
    core.Secret: NodeAuthorizer._secrets,
    core.ConfigMap: NodeAuthorizer._config_maps,
    core.PersistentVolumeClaim: NodeAuthorizer._claims,
    core.PersistentVolume: NodeAuthorizer._volumes,
    core.ServiceAccount: NodeAuthorizer._accounts,
    resource.ResourceClaim: NodeAuthorizer._resource_claims,
    storage.VolumeAttachment: NodeAuthorizer._attachments,
    storage.CSINode: NodeAuthorizer._csi_node,
}
