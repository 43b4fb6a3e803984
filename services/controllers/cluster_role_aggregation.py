"""Keep in aggregated cluster roles the rules of those that their selectors take in.

Reads and writes ClusterRole. The API server judges by the roles that are selected, whatever is written here: the copy
is for people and clients that read a role. A role that selects none has no rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from raftsman import selectors
from raftsman.controller import Controller, Key, Watch
from raftsman.metadata import key_of
from raftsman.rbac import v1 as rbac


def decide(role: rbac.ClusterRole | None, others: Sequence[rbac.ClusterRole]) -> rbac.ClusterRole | None:
    """The role to store, or None. Rules stand in the order of the names of their roles, each once."""
    if role is None or not role.HasField("aggregation_rule"):
        return None
    wanted = rbac.ClusterRole()
    wanted.CopyFrom(role)
    wanted.ClearField("rules")
    for one in role.aggregation_rule.cluster_role_selectors:
        selector = selectors.from_label_selector(one)
        for other in sorted(others, key=lambda other: other.metadata.name):
            if other.metadata.name != role.metadata.name and selector.matches(other.metadata.labels):
                wanted.rules.extend(rule for rule in other.rules if rule not in wanted.rules)
    return None if wanted == role else wanted


class ClusterRoleAggregationController(Controller):
    name = "cluster-role-aggregation"

    def __init__(self) -> None:
        self.watches = (Watch(rbac.ClusterRole, key=self._aggregated, changed=_matters),)

    def _aggregated(self, role: rbac.ClusterRole) -> Iterable[Key]:
        """Itself and every aggregated role: which of them take it in may have changed with its labels."""
        found = [key_of(one) for one in self.cache(rbac.ClusterRole).list() if one.HasField("aggregation_rule")]
        return {*found, key_of(role)} if role.HasField("aggregation_rule") else found

    async def reconcile(self, key: Key) -> None:
        cache = self.cache(rbac.ClusterRole)
        wanted = decide(cache.get(key), cache.list())
        if wanted is not None:
            await self.client.update(wanted)


def _matters(old: rbac.ClusterRole, new: rbac.ClusterRole) -> bool:
    return (
        old.rules != new.rules
        or old.metadata.labels != new.metadata.labels
        or old.aggregation_rule != new.aggregation_rule
    )
