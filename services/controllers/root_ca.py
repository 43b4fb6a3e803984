"""Keep the cluster's certificate authority in every namespace, so that pods know whom to trust.

Reads Namespace and the ConfigMaps called kube-root-ca.crt; writes those (create, or update when somebody changed one).
A namespace that is being deleted gets none.
"""

from __future__ import annotations

import contextlib

from raftsman import errors
from raftsman.controller import Controller, Key, Watch
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

from .service_accounts import is_active, namespace_key

NAME = "kube-root-ca.crt"
FIELD = "ca.crt"


def decide(namespace: core.Namespace | None, found: core.ConfigMap | None, *, ca: str) -> core.ConfigMap | None:
    """The ConfigMap to store, or None. One with a resource version replaces what is there."""
    if namespace is None or not is_active(namespace):
        return None
    if found is None:
        return core.ConfigMap(metadata=meta.ObjectMeta(name=NAME, namespace=namespace.metadata.name), data={FIELD: ca})
    if dict(found.data) == {FIELD: ca} and not found.binary_data:
        return None
    return core.ConfigMap(metadata=found.metadata, data={FIELD: ca})


class RootCaController(Controller):
    name = "root-ca"
    watches = (
        Watch(core.Namespace, changed=lambda old, new: is_active(old) != is_active(new)),
        Watch(core.ConfigMap, key=namespace_key, field_selector=f"metadata.name={NAME}"),
    )

    def __init__(self, ca: str) -> None:
        """`ca`: the authority's certificates, PEM."""
        self._ca = ca

    async def reconcile(self, key: Key) -> None:
        found = self.cache(core.ConfigMap).get(Key(key.name, NAME))
        wanted = decide(self.cache(core.Namespace).get(key), found, ca=self._ca)
        if wanted is None:
            return
        if found is not None:
            await self.client.update(wanted)
            return
        with contextlib.suppress(errors.AlreadyExists):
            await self.client.create(wanted)
