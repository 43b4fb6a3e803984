"""A document that many clients ask for again and again: kept as bytes, with a tag, and compressed for who takes that.

A client that names the tag it has (If-None-Match) is answered 304 without the bytes (RFC 9110, section 13.1.2).
"""

from __future__ import annotations

import functools
import gzip
import hashlib
from dataclasses import dataclass

from . import media
from .http import Answer, Request

# Smaller ones are not worth the client's effort.
COMPRESSED_BYTES_MIN = 1024


@dataclass(frozen=True)
class Published:
    """One document in one form."""

    body: bytes
    media: str = media.JSON

    @functools.cached_property
    def digest(self) -> str:
        """Upper-case hexadecimal digits that change with the document."""
        return hashlib.sha256(self.body).hexdigest().upper()

    @functools.cached_property
    def _compressed(self) -> bytes:
        return gzip.compress(self.body, 6, mtime=0)

    def answer(self, request: Request, *, cache: str = "public", extra: tuple[tuple[str, str], ...] = ()) -> Answer:
        """The answer to a request for it."""
        headers = [("ETag", f'"{self.digest}"'), ("Vary", "Accept"), ("Cache-Control", cache), *extra]
        if self._known(request.headers.get("if-none-match", "")):
            return Answer(304, b"", self.media, headers)
        if len(self.body) < COMPRESSED_BYTES_MIN or not _takes_gzip(request):
            return Answer(200, self.body, self.media, headers)
        return Answer(200, self._compressed, self.media, [*headers, ("Content-Encoding", "gzip")])

    def _known(self, tags: str) -> bool:
        named = (tag.strip().removeprefix("W/") for tag in tags.split(","))
        return any(tag in ("*", f'"{self.digest}"') for tag in named)


def _takes_gzip(request: Request) -> bool:
    for clause in request.headers.get("accept-encoding", "").split(","):
        coding, _, quality = clause.partition(";")
        if coding.strip() in ("gzip", "*"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
