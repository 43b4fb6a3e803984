"""Answers of servers that behave badly."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from raftsman import errors
from raftsman.services.apiserver.outbound import http

from ..certificates import Authority  # noqa: TID252

QUESTION = http.Question("GET", "/", (("Connection", "close"),))


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(server's, client's)."""
    authority = Authority(tmp_path)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(*authority.issue("s", host="s.n.svc"))
    return server, ssl.create_default_context(cafile=authority.ca)


async def whole(tls: tuple[ssl.SSLContext, ssl.SSLContext], said: bytes, *, limit: int = 100) -> tuple[int, bytes]:
    """What is made of an answer."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls[0]) as server:
        address = server.sockets[0].getsockname()[:2]
        async with asyncio.timeout(60), http.asked([address], QUESTION, tls=tls[1], name="s.n.svc") as found:
            return found.status, await found.whole(limit)


async def test_a_body_ends_by_its_length_its_chunks_or_with_the_connection(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    assert await whole(tls, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") == (200, b"ok")
    chunks = b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nn\r\n1\r\no\r\n0\r\n\r\n"
    assert await whole(tls, chunks) == (404, b"no")
    assert await whole(tls, b"HTTP/1.1 200 OK\r\n\r\nto the end") == (200, b"to the end")
    ahead = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
    assert await whole(tls, ahead) == (204, b"")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no HTTP"),
        (b"", "ended in the middle"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", "ended in the middle"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + b"x" * 200, "longer than 100 bytes"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: " + b"x" * 70_000 + b"\r\n\r\n", "no HTTP"),
    ],
)
async def test_what_is_no_answer_is_unavailable(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], said: bytes, why: str
) -> None:
    with pytest.raises(errors.Unavailable, match=why):
        await whole(tls, said)


async def test_nobody_there_is_unavailable(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    with pytest.raises(errors.Unavailable, match="cannot be reached"):
        async with http.asked([("127.0.0.1", 1)], QUESTION, tls=tls[1], name="s.n.svc"):
            pass
    with pytest.raises(errors.Unavailable, match="no address"):
        async with http.asked([], QUESTION, tls=tls[1], name="s.n.svc"):
            pass
