"""What is decided about a write by more than the object itself, in this order:

a node's agent writes only what is its node's → the namespace exists and is not going away → the service account exists
and its token is mounted → default tolerations → priority → no more rights are granted than the caller has. A mutation
happens before validation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raftsman.core import v1 as core

from . import escalation, namespaces, nodes, pods

if TYPE_CHECKING:
    from raftsman.services.apiserver.api import Api
    from raftsman.services.apiserver.rpc import Call


async def admit_create(api: Api, call: Call, obj: Any) -> None:
    """Changes `obj`; errors.Forbidden or errors.NotFound if it may not be created here."""
    nodes.admit(call, obj, created=True)
    if call.kind.resource.namespaced:
        await namespaces.admit(api, call.kind, obj.metadata)
    if isinstance(obj, core.Pod):
        await pods.admit(api, call, obj)
    escalation.admit(api, call, obj)


def admit_any_update(call: Call, old: Any) -> None:
    """Of the object or of its status; errors.Forbidden if it is not the caller's to write."""
    nodes.admit(call, old)


def admit_delete(call: Call, old: Any) -> None:
    """errors.Forbidden if it is not the caller's to delete."""
    nodes.admit(call, old)


def admit_update(api: Api, call: Call, new: Any, old: Any) -> None:
    """errors.Forbidden if the change grants what the caller does not have."""
    escalation.admit(api, call, new, old)
