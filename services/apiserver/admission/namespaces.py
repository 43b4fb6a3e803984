"""Objects are created only in a namespace that exists and is not being deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raftsman.meta import v1 as meta
from raftsman.services.apiserver import failures

if TYPE_CHECKING:
    from raftsman.services.apiserver.api import Api
    from raftsman.services.apiserver.kinds import Kind


async def admit(api: Api, kind: Kind, metadata: meta.ObjectMeta) -> None:
    """errors.NotFound or errors.Forbidden. A namespace that the cache does not know is looked for in the store."""
    namespaces = api.kinds["namespaces"]
    found = api.cache(namespaces).get("", metadata.namespace)
    if found is None:
        await api.feed.fresh()
        found = api.cache(namespaces).get("", metadata.namespace)
    if found is None:
        raise failures.not_found(namespaces.resource, metadata.namespace)
    namespace = found.parsed()
    if namespace.metadata.HasField("deletion_timestamp") or namespace.status.phase == "Terminating":
        error = failures.forbidden(
            kind.resource, metadata.name,
            f"unable to create new content in namespace {metadata.namespace} because it is being terminated",
        )  # fmt: skip
        error.status.details.causes.add(
            reason="NamespaceTerminating", message=f"namespace {metadata.namespace} is being terminated",
            field="metadata.namespace",
        )  # fmt: skip
        raise error
