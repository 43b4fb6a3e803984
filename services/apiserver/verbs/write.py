"""Create, Update and UpdateStatus: decode, default, admit, validate, store; each object is parsed and serialised once.

`prepared_create` and `prepared_update` are the pipeline without the storing; patches, scales and bindings end in them
too, so that nothing reaches the store unchecked.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Sequence
from typing import Any

from raftsman import errors
from raftsman.meta import v1 as meta
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.admission import chain
from raftsman.services.apiserver.admission.attributes import Attributes, Operation
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.kinds import Kind, ValidateUpdate
from raftsman.services.apiserver.rpc import Call
from raftsman.services.apiserver.storage import objects
from raftsman.services.apiserver.storage.objects import Change
from raftsman.services.apiserver.validation import metadata as metadata_rules
from raftsman.services.apiserver.validation.causes import Causes
from raftsman.services.apiserver.watchcache.object import CachedObject

from . import decoding, ownership, versions
from .removal import finished

GENERATE_RETRIES_MAX = 8
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH = 5


async def create(api: Api, call: Call, raw: bytes) -> bytes:
    request = meta.WriteRequest.FromString(raw)
    ownership.settle_manager(call, request.options)
    problems: list[errors.Cause] = []
    obj = await decoding.decoded(call, request, problems=problems)
    # Before anything is looked at in detail: may they create here at all?
    api.allow(call.user, "create", call.kind, namespace=obj.metadata.namespace)
    if call.kind.view is not None:
        decoding.refuse(call.kind, obj.metadata.name, problems, Causes())
        obj = versions.new_to_stored(call.kind, obj)
    stored = versions.stored_call(call)
    made = await create_object(api, stored, obj, dry_run=request.options.dry_run, problems=problems)
    return versions.answer(call.kind, made)


async def create_object(
    api: Api,
    call: Call,
    obj: Any,
    *,
    dry_run: bool = False,
    problems: Sequence[errors.Cause] = (),
    owners: ownership.Owners = ownership.UPDATING,
) -> CachedObject:
    """Through the whole pipeline. A generated name that is taken is generated again."""
    kind = call.kind
    if kind.closed:
        raise errors.MethodNotSupported("create not allowed while custom resource definition is terminating")
    generated = not obj.metadata.name and bool(obj.metadata.generate_name)
    for _ in range(GENERATE_RETRIES_MAX if generated else 1):
        if generated:
            obj.metadata.name = generated_name(obj.metadata.generate_name)
        attributes = await prepared_create(api, call, obj, problems=problems, owners=owners)
        charge = attributes.charge
        if dry_run:
            if charge is not None:
                charge.together()
            return CachedObject(kind, obj.metadata.namespace, obj.metadata.name, objects.serialise(kind, obj), 0)
        try:
            return await api.allocator.create(kind, obj, charge=charge)
        except errors.AlreadyExists:
            if not generated:
                raise
    raise failures.already_exists(kind.resource, obj.metadata.name)


def generated_name(prefix: str) -> str:
    room = metadata_rules.GENERATED_PREFIX_MAX
    return prefix[:room] + "".join(secrets.choice(_SUFFIX) for _ in range(SUFFIX_LENGTH))


async def prepared_create(
    api: Api,
    call: Call,
    obj: Any,
    *,
    admit: bool = True,
    problems: Sequence[errors.Cause] = (),
    owners: ownership.Owners = ownership.UPDATING,
) -> Attributes:
    """Stamp, default, admit and validate. errors.Invalid with all causes and `problems`, those of decoding."""
    kind, metadata = call.kind, obj.metadata
    _stamp(kind, metadata)
    kind.prepare_create(obj)
    kind.default(obj)
    causes = Causes()
    metadata_rules.validate(metadata, causes, namespaced=kind.resource.namespaced, rule=kind.name_rule)
    attributes = Attributes(api, call, Operation.CREATE, metadata.namespace, metadata.name, obj)
    if admit and not causes and not problems:
        await chain.mutate(attributes)
        if attributes.patched:
            _stamp(kind, metadata)
            kind.prepare_create(obj)
            metadata_rules.validate(metadata, causes, namespaced=kind.resource.namespaced, rule=kind.name_rule)
    kind.complete_create(obj)
    owners.created(call, obj)
    kind.validate(obj, causes)
    decoding.refuse(kind, metadata.name, problems, causes)
    if admit:
        await chain.validate(attributes)
    return attributes


def _stamp(kind: Kind, metadata: meta.ObjectMeta) -> None:
    for field in (
        "resource_version",
        "self_link",
        "deletion_timestamp",
        "deletion_grace_period_seconds",
        "generation",
        "managed_fields",
    ):
        metadata.ClearField(field)
    metadata.uid = str(uuid.uuid4())
    metadata.creation_timestamp.CopyFrom(meta.Time(seconds=int(time.time())))
    if kind.has_generation:
        metadata.generation = 1
    if not kind.resource.namespaced:
        metadata.ClearField("namespace")


async def update(api: Api, call: Call, raw: bytes) -> bytes:
    return await _update(api, call, raw, subresource="")


async def update_status(api: Api, call: Call, raw: bytes) -> bytes:
    return await _update(api, call, raw, subresource="status")


async def update_part(api: Api, call: Call, raw: bytes, *, part: str) -> bytes:
    """An update of one of `kind.parts`."""
    return await _update(api, call, raw, subresource=part)


async def _update(api: Api, call: Call, raw: bytes, *, subresource: str) -> bytes:
    request = meta.WriteRequest.FromString(raw)
    ownership.settle_manager(call, request.options)
    kind = call.kind
    problems: list[errors.Cause] = []
    sent = await decoding.decoded(call, request, problems=problems)
    metadata = sent.metadata
    api.allow(call.user, "update", kind, namespace=metadata.namespace, name=metadata.name, subresource=subresource)
    if not metadata.name:
        raise failures.invalid(kind.resource, "", _needs("metadata.name", "name is required"))
    given = metadata.resource_version
    if not given and not kind.unconditional_update:
        causes = _needs("metadata.resourceVersion", "must be specified for an update")
        raise failures.invalid(kind.resource, metadata.name, causes)

    written = versions.stored_call(call)
    if kind.view is not None:
        decoding.refuse(kind, metadata.name, problems, Causes())

    async def change(found: CachedObject) -> Change:
        if given and given != str(found.revision):
            raise failures.conflict(kind.resource, metadata.name)
        new = versions.changed_to_stored(kind, kind.form.copy(sent), found)
        return await prepared_update(api, written, new, found.parsed(), subresource=subresource, problems=problems)

    stored = await api.allocator.update(
        written.kind, metadata.name, change, namespace=metadata.namespace, dry_run=request.options.dry_run
    )
    return versions.answer(kind, stored)


def _needs(path: str, why: str) -> list[errors.Cause]:
    causes = Causes()
    causes.invalid(path, 0 if path.endswith("Version") else "", why)
    return causes.found


async def prepared_update(
    api: Api,
    call: Call,
    new: Any,
    old: Any,
    *,
    subresource: str = "",
    admit: bool = True,
    problems: Sequence[errors.Cause] = (),
    owners: ownership.Owners = ownership.UPDATING,
) -> Change:
    """What becomes of `old` when somebody sends `new`: checked, and removed if its last finalizer went."""
    kind, metadata = call.kind, old.metadata
    causes = Causes()
    new = _settled(kind, new, old, subresource)
    attributes = Attributes(api, call, Operation.UPDATE, metadata.namespace, metadata.name, new, old, subresource)
    if not subresource:
        metadata_rules.validate(new.metadata, causes, namespaced=kind.resource.namespaced, rule=_any_name)
        metadata_rules.update(new.metadata, metadata, causes)
    if admit and not causes and not problems:
        await chain.mutate(attributes)
        if attributes.patched:
            new = attributes.new = _settled(kind, attributes.new, old, subresource)
    _rules_of(kind, subresource)(new, old, causes)
    owners.changed(call, new, old, subresource=subresource)
    if not subresource or subresource in kind.parts:
        _bump(kind, new, old)
    decoding.refuse(kind, metadata.name, problems, causes)
    if admit:
        await chain.validate(attributes)
    return Change(new, remove=finished(kind, new), charge=attributes.charge)


def _rules_of(kind: Kind, subresource: str) -> ValidateUpdate:
    if subresource in kind.parts:
        return kind.parts[subresource].validate
    return kind.validate_status if subresource else kind.validate_update


def _settled(kind: Kind, new: Any, old: Any, subresource: str) -> Any:
    """What was sent, with what this part of the object may not touch taken over from the old one."""
    _carry(kind, new.metadata, old.metadata)
    if subresource:
        changed = kind.form.copy(old)
        if subresource in kind.parts:
            kind.parts[subresource].take(changed, new)
        else:
            kind.form.take_status(changed, new)
            kind.prepare_status(changed, old)
        return changed
    if kind.has_status:
        kind.form.take_status(new, old)
    kind.prepare_update(new, old)
    kind.default(new)
    return new


def _any_name(_: str) -> list[str]:
    return []


def _carry(kind: Kind, new: meta.ObjectMeta, old: meta.ObjectMeta) -> None:
    """What the server owns stays as it was. A given uid must be the object's."""
    if new.uid and new.uid != old.uid:
        why = f"Precondition failed: UID in precondition: {new.uid}, UID in object meta: {old.uid}"
        raise failures.conflict(kind.resource, old.name, why)
    for field in ("uid", "generation", "deletion_grace_period_seconds", "generate_name"):
        if old.HasField(field):
            setattr(new, field, getattr(old, field))
        else:
            new.ClearField(field)
    for field in ("creation_timestamp", "deletion_timestamp"):
        new.ClearField(field)  # type: ignore[arg-type]
        if old.HasField(field):  # type: ignore[arg-type]
            getattr(new, field).CopyFrom(getattr(old, field))
    if old.namespace:
        new.namespace = new.namespace or old.namespace
    else:
        new.ClearField("namespace")
    for field in ("self_link", "resource_version"):
        new.ClearField(field)  # type: ignore[arg-type]


def _bump(kind: Kind, new: Any, old: Any) -> None:
    """The generation counts changes of what is wanted: all but metadata and status."""
    if not kind.has_generation:
        return
    if not kind.form.same_wish(new, old, status=kind.has_status):
        new.metadata.generation = old.metadata.generation + 1
