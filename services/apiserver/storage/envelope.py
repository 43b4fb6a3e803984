"""The stored form of an object: a versioned header, then its bytes, encrypted for kinds that hold secrets.

byte 0   version of this layout (1)
byte 1   codec: 1 protobuf, 2 JSON (custom resources)
byte 2   encryption: 0 none, 1 AES-256-GCM (12 bytes of nonce first; the store key is authenticated with it)
byte 3   length of the kind, then the kind as `apps/v1/Deployment`
rest     the object, without metadata.resourceVersion
"""

from __future__ import annotations

import base64
import functools
import os
from pathlib import Path
from typing import Any

from raftsman.resources import Resource

VERSION = 1
CODEC_PROTOBUF = 1
CODEC_JSON = 2
PLAIN = 0
AES_GCM = 1
NONCE_BYTES = 12
KEY_BYTES = 32
HEADERS_MAX = 1024
NAME_BYTES_MAX = 255

_ENCRYPTED_KINDS = frozenset({"secrets"})


class CorruptValue(Exception):
    """A stored value that this version cannot read."""


class Sealer:
    """Wraps and unwraps stored objects. Without a key, secrets are stored in the clear."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key
        self._cipher: Any = None

    @classmethod
    def from_file(cls, path: str | None) -> Sealer:
        """Read a 32-byte key, raw or base64. ValueError says what is wrong with it."""
        if not path:
            return cls()
        data = Path(path).read_bytes()
        if len(data) != KEY_BYTES:
            data = base64.b64decode(data.strip(), validate=True)
        if len(data) != KEY_BYTES:
            raise ValueError(f"{path}: an encryption key has {KEY_BYTES} bytes, this one {len(data)}")
        return cls(data)

    def seal(self, resource: Resource, key: bytes, body: bytes, *, codec: int = CODEC_PROTOBUF) -> bytes:
        if self._key is not None and resource.name in _ENCRYPTED_KINDS:
            nonce = os.urandom(NONCE_BYTES)
            body = nonce + self._aead().encrypt(nonce, body, key)
            return header(resource, AES_GCM) + body
        return header(resource, PLAIN, codec) + body

    def open(self, key: bytes, value: bytes) -> bytes:
        """The object's bytes. CorruptValue if the value is of another version or was tampered with."""
        if len(value) < 4 or value[0] != VERSION or value[1] not in (CODEC_PROTOBUF, CODEC_JSON):
            raise CorruptValue(f"{key!r}: not a value of version {VERSION}")
        start = 4 + value[3]
        if value[2] == PLAIN:
            return value[start:]
        if value[2] != AES_GCM or self._key is None:
            raise CorruptValue(f"{key!r}: encrypted, and this server has no key for it")
        nonce, sealed = value[start : start + NONCE_BYTES], value[start + NONCE_BYTES :]
        try:
            return bytes(self._aead().decrypt(nonce, sealed, key))
        except Exception as error:
            raise CorruptValue(f"{key!r}: {type(error).__name__} on decryption") from error

    def _aead(self) -> Any:
        if self._cipher is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            assert self._key is not None
            self._cipher = AESGCM(self._key)
        return self._cipher


@functools.lru_cache(maxsize=HEADERS_MAX)
def _header(api_version: str, kind: str, encryption: int, codec: int) -> bytes:
    name = f"{api_version}/{kind}".encode()[:NAME_BYTES_MAX]
    return bytes((VERSION, codec, encryption, len(name))) + name


def header(resource: Resource, encryption: int, codec: int = CODEC_PROTOBUF) -> bytes:
    """The first bytes of every stored object of a kind."""
    return _header(resource.api_version, resource.kind, encryption, codec)
