"""NamespaceLifecycle: objects are created only in a namespace that exists and is not being deleted, and the namespaces
that a cluster cannot be without are not deleted."""

from __future__ import annotations

from raftsman.services.apiserver import failures

from .attributes import Attributes, Operation, Plugin

PROTECTED = frozenset({"default", "kube-system", "kube-public"})


async def _admit(attributes: Attributes) -> None:
    """errors.NotFound or errors.Forbidden. A namespace that the cache does not know is looked for in the store."""
    kind = attributes.call.kind
    if attributes.operation is Operation.DELETE:
        if kind.resource.qualified == "namespaces" and attributes.name in PROTECTED:
            raise failures.forbidden(kind.resource, attributes.name, "this namespace may not be deleted")
        return
    if not kind.resource.namespaced:
        return
    api, name = attributes.api, attributes.namespace
    namespaces = api.kinds["namespaces"]
    found = api.cache(namespaces).get("", name)
    if found is None:
        await api.feed.fresh()
        found = api.cache(namespaces).get("", name)
    if found is None:
        raise failures.not_found(namespaces.resource, name)
    namespace = found.parsed()
    if namespace.metadata.HasField("deletion_timestamp") or namespace.status.phase == "Terminating":
        error = failures.forbidden(
            kind.resource, attributes.name,
            f"unable to create new content in namespace {name} because it is being terminated",
        )  # fmt: skip
        error.status.details.causes.add(
            reason="NamespaceTerminating", message=f"namespace {name} is being terminated", field="metadata.namespace"
        )
        raise error


PLUGIN = Plugin("NamespaceLifecycle", frozenset({Operation.CREATE, Operation.DELETE}), mutate=_admit)
