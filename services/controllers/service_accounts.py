"""Keep the service account `default` in every namespace.

Reads Namespace and ServiceAccount; writes ServiceAccount (create). A namespace that is being deleted gets none.
"""

from __future__ import annotations

import contextlib

from raftsman import errors
from raftsman.controller import Controller, Key, Watch
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

NAME = "default"


def namespace_key(obj: core.ServiceAccount) -> Key:
    """An object that lives in a namespace leads to it."""
    return Key("", obj.metadata.namespace)


def is_active(namespace: core.Namespace) -> bool:
    return not namespace.metadata.HasField("deletion_timestamp") and namespace.status.phase != "Terminating"


def decide(namespace: core.Namespace | None, account: core.ServiceAccount | None) -> core.ServiceAccount | None:
    """The account to create, or None."""
    if namespace is None or not is_active(namespace) or account is not None:
        return None
    return core.ServiceAccount(metadata=meta.ObjectMeta(name=NAME, namespace=namespace.metadata.name))


class ServiceAccountController(Controller):
    name = "service-accounts"
    watches = (
        Watch(core.Namespace, changed=lambda old, new: is_active(old) != is_active(new)),
        Watch(core.ServiceAccount, key=namespace_key, changed=lambda old, new: False,
              field_selector=f"metadata.name={NAME}"),
    )  # fmt: skip

    async def reconcile(self, key: Key) -> None:
        account = self.cache(core.ServiceAccount).get(Key(key.name, NAME))
        missing = decide(self.cache(core.Namespace).get(key), account)
        if missing is not None:
            with contextlib.suppress(errors.AlreadyExists):
                await self.client.create(missing)
