"""Who owns what a write writes: metadata.managedFields, kept by every create and update.

`Owners` is how a kind of write changes the entries: updates take what they change, applies what they name (apply.py).
"""

from __future__ import annotations

from typing import Any, Protocol

from raftsman import errors
from raftsman.meta import v1 as meta
from raftsman.services.apiserver.managedfields import managers
from raftsman.services.apiserver.managedfields.managers import Entries, Manager
from raftsman.services.apiserver.rpc import Call


class Owners(Protocol):
    """What becomes of the entries."""

    def created(self, call: Call, obj: Any) -> None:
        """Set those of a new object."""

    def changed(self, call: Call, new: Any, old: Any, *, subresource: str = "") -> None:
        """Set those of `new`, which still has what its sender sent."""


def settle_manager(call: Call, options: meta.WriteOptions) -> None:
    """Under which name the call writes, and whether it does. errors.BadRequest if the name cannot be kept."""
    call.dry_run = options.dry_run
    name = options.field_manager or call.agent
    if len(name) > managers.NAME_MAX or not name.isprintable():
        if options.field_manager:
            raise errors.BadRequest(
                f"fieldManager: at most {managers.NAME_MAX} printable characters: {options.field_manager[:40]!r}"
            )
        name = "".join(filter(str.isprintable, name))[: managers.NAME_MAX]
    call.manager = name


def manager_of(call: Call, operation: str, subresource: str = "") -> Manager:
    return Manager(call.manager or call.agent or "unknown", operation, call.kind.resource.api_version, subresource)


class _Updating:
    """Creates and updates of any kind."""

    def created(self, call: Call, obj: Any) -> None:
        managers.encode(managers.created(manager_of(call, managers.UPDATE), call.kind.form.fields(obj)), obj.metadata)

    def changed(self, call: Call, new: Any, old: Any, *, subresource: str = "") -> None:
        sent = new.metadata.managed_fields
        given = bool(sent) and list(sent) != list(old.metadata.managed_fields)
        before = _sent(sent) if given else managers.decoded(old.metadata.managed_fields)
        keep(new, old)
        changes = call.kind.form.compared(old, new)
        after = managers.updated(before, manager_of(call, managers.UPDATE, subresource), changes)
        if given or after is not before:
            managers.encode(after, new.metadata)


UPDATING: Owners = _Updating()


def keep(new: Any, old: Any) -> None:
    """Let `new` have the entries of `old`."""
    new.metadata.ClearField("managed_fields")
    new.metadata.managed_fields.extend(old.metadata.managed_fields)


def _sent(sent: Any) -> Entries:
    """Entries that a client wrote itself; a single empty one takes all away."""
    if len(sent) == 1 and not sent[0].ByteSize():
        return {}
    return managers.decoded(sent)
