"""The few bytes of protobuf that are read and written without a parser.

Stored objects begin with their metadata (field 1) and hold no resourceVersion; readers get it spliced in, at the end
of the metadata, as field 6. Lists and watch messages are put together from such bytes.
"""

from __future__ import annotations

ENVELOPE_PREFIX = b"k8s\0"
_METADATA = 0x0A
_RESOURCE_VERSION = 0x32


def varint(value: int) -> bytes:
    """A non-negative integer in protobuf's base-128 form."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def framed(tag: int, data: bytes) -> bytes:
    """A length-delimited field: its tag (number << 3 | 2), its length, its bytes."""
    return bytes((tag,)) + varint(len(data)) + data


def enveloped(api_version: str, kind: str, raw: bytes) -> bytes:
    """Kubernetes' protobuf form of an object: a magic number and a runtime.Unknown."""
    named = framed(0x0A, api_version.encode()) + framed(0x12, kind.encode())
    return b"".join((ENVELOPE_PREFIX, framed(0x0A, named), b"\x12", varint(len(raw)), raw))


def _metadata_span(data: bytes) -> tuple[int, int]:
    """Where the metadata's own bytes begin and end; (0, 0) if the object has none."""
    if not data or data[0] != _METADATA:
        return 0, 0
    length, shift, position = 0, 0, 1
    while True:
        byte = data[position]
        position += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            return position, position + length
        shift += 7


def with_revision(stored: bytes, revision: int) -> bytes:
    """A stored object with its resourceVersion."""
    start, end = _metadata_span(stored)
    digits = b"%d" % revision
    field = bytes((_RESOURCE_VERSION, len(digits))) + digits
    return b"".join((b"\x0a", varint(end - start + len(field)), stored[start:end], field, stored[end:]))


def without_revision(data: bytes, revision: int) -> bytes:
    """The stored form of what `with_revision` made."""
    start, end = _metadata_span(data)
    size = 2 + len(b"%d" % revision)
    assert data[end - size] == _RESOURCE_VERSION, "the resourceVersion is the last field of the metadata"
    return b"".join((b"\x0a", varint(end - start - size), data[start : end - size], data[end:]))
