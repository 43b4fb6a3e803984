"""Asking a peer who the members are: one question, one answer, on the peer port, and the connection ends.

Who starts with nothing asks before it takes part; `contacts` has who asks later. An answer tells no secrets: whoever
may connect there (with certificates: whom the peers' authority signed) may know the members. Bounds: ANSWER_BYTES_MAX,
ANSWER_S.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any

import msgspec
from raftsman.store.mvcc import members

ANSWER_S = 2.0
ANSWER_BYTES_MAX = 1 << 18
QUESTION = "members"


class Answer(msgspec.Struct, frozen=True):
    """The members as a peer knows them after entry `changed` of `term`, which is -1 when its log begins behind.

    `instance` is the data directory by which it knows the member that asks, "" when it never met that one.
    """

    cluster: str
    changed: int
    members: members.Dumped
    instance: str
    term: int = -1


_answer = msgspec.msgpack.Decoder(Answer)


def question(cluster: str, member: str, *, changed: int = 0, urls: Iterable[str] = ()) -> dict[str, Any]:
    """Who asks may say where it is, as of entry `changed`."""
    return {"ask": QUESTION, "cluster": cluster, "member": member, "changed": changed, "urls": list(urls)}


async def ask(urls: Iterable[str], asked: dict[str, Any], *, tls: ssl.SSLContext | None) -> Answer | None:
    """What the first of a peer's URLs that answers says; None when none does."""
    for url in urls:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await _ask(url, asked, tls)
        except (OSError, ssl.SSLError, TimeoutError, EOFError, msgspec.DecodeError):
            continue
    return None


async def _ask(url: str, asked: dict[str, Any], tls: ssl.SSLContext | None) -> Answer:
    host, port = place(url)
    reader, writer = await asyncio.open_connection(host, port, ssl=tls, server_hostname=host if tls else None)
    try:
        data = msgspec.msgpack.encode(asked)
        writer.write(len(data).to_bytes(4, "little") + data)
        while True:
            length = int.from_bytes(await reader.readexactly(4), "little")
            if length > ANSWER_BYTES_MAX:
                raise EOFError
            frame = await reader.readexactly(length)
            try:
                return _answer.decode(frame)
            except msgspec.ValidationError:
                continue  # the hello that every connection begins with
    finally:
        writer.close()


def place(url: str) -> tuple[str, int]:
    """Host and port of scheme://HOST:PORT, HOST:PORT or [HOST]:PORT."""
    host, _, port = url.rpartition("://")[2].rpartition(":")
    return host.strip("[]"), int(port)
