"""Default values of the sources of volumes, in pods and in persistent volumes."""

from __future__ import annotations

import functools
import json
from typing import Any

from google.protobuf.descriptor import Descriptor
from raftsman.core import v1 as core
from raftsman.options import v1 as options


def source(found: Any) -> None:
    """Of one source, such as `iscsi`."""
    for name, value in _declared(found.DESCRIPTOR):
        if not found.HasField(name) or getattr(found, name) == "":
            setattr(found, name, value)
    if isinstance(found, core.HostPathVolumeSource) and not found.HasField("type"):
        found.type = ""
    if isinstance(found, core.AzureDiskVolumeSource):
        _azure_disk(found)


@functools.cache
def _declared(descriptor: Descriptor) -> tuple[tuple[str, Any], ...]:
    """Fields with a default in the protos, and that."""
    found = []
    for field in descriptor.fields:
        facts = field.GetOptions().Extensions[options.field]
        if facts.default and field.message_type is None:
            found.append((field.name, json.loads(facts.default)))
    return tuple(found)


def _azure_disk(found: core.AzureDiskVolumeSource) -> None:
    found.caching_mode = found.caching_mode or "ReadWrite"
    found.kind = found.kind or "Shared"
    found.fs_type = found.fs_type or "ext4"
    if not found.HasField("read_only"):
        found.read_only = False
