"""What the protos say of a message and its fields, for `explain`, OpenAPI and documentation.

Read from the `comments.tsv` that `scripts/gen` writes into each package, when the package is first asked about.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources as files

from google.protobuf.descriptor import Descriptor
from raftsman.codec import plan


@functools.cache
def _package(package: str) -> Mapping[str, str]:
    """Comments by `Message` and `Message.field`; empty for a package without any."""
    if not package.startswith("raftsman."):
        return {}
    file = files.files(package) / "comments.tsv"
    if not file.is_file():
        return {}
    return dict(line.split("\t", 1) for line in file.read_text(encoding="utf-8").splitlines())


def of_message(descriptor: Descriptor) -> str:
    """What a message is; "" if nothing is said of it."""
    return _package(descriptor.file.package).get(descriptor.name, "")


def of_fields(descriptor: Descriptor) -> Mapping[str, str]:
    """What each field is, by JSON name, those of inlined messages among them; fields without a comment are missing."""
    found: dict[str, str] = {}
    known = _package(descriptor.file.package)
    for field in descriptor.fields:
        if plan.field_facts(field).inline:
            found |= of_fields(plan.message_of(field))
        elif comment := known.get(f"{descriptor.name}.{field.name}"):
            found[field.json_name] = comment
    return found
