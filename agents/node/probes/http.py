"""One HTTP request from the node to a pod, as probes and hooks need it: a status line, and the start of an answer.

HTTP/1.1, no redirects followed, certificates not verified (Kubernetes does neither verify nor complain). An answer of
200 to 399 is success.
"""

from __future__ import annotations

import asyncio
import functools
import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

BODY_MAX = 10 * 1024
USER_AGENT = "raftsman-probe/1"


@dataclass(frozen=True, slots=True)
class Request:
    host: str
    port: int
    path: str = "/"
    scheme: str = "HTTP"
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme.lower()}://{host}:{self.port}/{self.path.lstrip('/')}"


class HttpFault(Exception):
    """No answer, or one that is no HTTP."""


@functools.cache
def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def get(request: Request, *, timeout_s: float) -> tuple[int, bytes]:
    """(status, the first BODY_MAX bytes of the answer's body)."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _get(request)
    except TimeoutError:
        raise HttpFault(f'Get "{request.url}": timed out after {timeout_s:g} s') from None
    except (OSError, ValueError, asyncio.IncompleteReadError) as error:
        raise HttpFault(f'Get "{request.url}": {words_of(error)}') from None


def words_of(error: Exception) -> str:
    """What the kernel says of a failed connection, whichever event loop told it."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__


async def _get(request: Request) -> tuple[int, bytes]:
    context = _unverified() if request.scheme.upper() == "HTTPS" else None
    reader, writer = await asyncio.open_connection(request.host, request.port, ssl=context)
    try:
        writer.write(_head(request))
        line = (await reader.readline()).decode("latin-1")
        version, _, rest = line.partition(" ")
        if not version.startswith("HTTP/") or not rest[:3].isdigit():
            raise ValueError("the answer is not HTTP")
        while (await reader.readline()).strip():
            pass
        return int(rest[:3]), await _body(reader) if rest[0] not in "123" else b""
    finally:
        writer.transport.abort()


async def _body(reader: asyncio.StreamReader) -> bytes:
    data = b""
    while len(data) < BODY_MAX:
        piece = await reader.read(BODY_MAX - len(data))
        if not piece:
            break
        data += piece
    return data


def _head(request: Request) -> bytes:
    host = f"[{request.host}]" if ":" in request.host else request.host
    given = {name.lower() for name, _ in request.headers}
    defaults = (("Host", f"{host}:{request.port}"), ("User-Agent", USER_AGENT), ("Accept", "*/*"))
    headers: Iterable[tuple[str, str]] = [*(d for d in defaults if d[0].lower() not in given), *request.headers]
    path = request.path if request.path.startswith("/") else f"/{request.path}"
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "Connection: close"]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header or the path contains a line break")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
