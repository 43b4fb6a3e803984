"""Health and metrics of a process over plain HTTP, and its readiness to whoever started it.

`/livez` says that the event loop turns; `/readyz` runs the named checks, each bounded by CHECK_TIMEOUT_S, and answers
503 naming those that fail; `/metrics` is Prometheus' text format; a process may have pages of its own. Requests are
read up to REQUEST_BYTES_MAX bytes, at most CONNECTIONS_MAX at once.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qs

CHECK_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 5.0
REQUEST_BYTES_MAX = 8192
CONNECTIONS_MAX = 200

Check = Callable[[], Awaitable[None]]
Answer = tuple[str, str, bytes]
"""Status line, content type, body."""
Page = Callable[[dict[str, list[str]]], Awaitable[Answer]]
"""Answers a GET; takes the query's values by name."""


async def serve(
    address: str,
    checks: Mapping[str, Check],
    *,
    pages: Mapping[str, Page] | None = None,
    tls: ssl.SSLContext | None = None,
) -> asyncio.Server:
    """Listen on `address` (HOST:PORT or unix:PATH). A check that returns is passing, one that raises is failing.

    `pages` are this process' own, by their path.
    """
    connections = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            if connections <= CONNECTIONS_MAX:
                await _exchange(reader, writer, checks, pages or {})
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            connections -= 1
            writer.close()

    if address.startswith("unix:"):
        return await asyncio.start_unix_server(handle, address[5:], limit=REQUEST_BYTES_MAX, ssl=tls)
    host, _, port = address.rpartition(":")
    return await asyncio.start_server(handle, host.strip("[]"), int(port), limit=REQUEST_BYTES_MAX, ssl=tls)


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, checks: Mapping[str, Check], pages: Mapping[str, Page]
) -> None:
    async with asyncio.timeout(REQUEST_TIMEOUT_S):
        head = await reader.readuntil(b"\r\n")
    status, content_type, body = await _answer(head.decode("latin-1"), checks, pages)
    header = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    writer.write(header.encode() + b"Connection: close\r\n\r\n" + body)
    async with asyncio.timeout(REQUEST_TIMEOUT_S):
        await writer.drain()


async def _answer(request_line: str, checks: Mapping[str, Check], pages: Mapping[str, Page]) -> Answer:
    method, _, rest = request_line.partition(" ")
    path, _, query = rest.split(" ")[0].partition("?")
    if method != "GET":
        return "405 Method Not Allowed", "text/plain", b"only GET\n"
    if path in pages:
        return await pages[path](parse_qs(query))
    if path in ("/livez", "/healthz"):
        return "200 OK", "text/plain", b"ok\n"
    if path == "/readyz":
        return await _readiness(checks)
    if path == "/metrics":
        import prometheus_client

        return "200 OK", prometheus_client.CONTENT_TYPE_LATEST, prometheus_client.generate_latest()
    return "404 Not Found", "text/plain", f"try {' '.join(['/livez', '/readyz', '/metrics', *pages])}\n".encode()


async def _readiness(checks: Mapping[str, Check]) -> Answer:
    async def run(name: str, check: Check) -> str | None:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await check()
        except Exception as error:
            return f"{name}: {type(error).__name__}: {error}"
        return None

    failed = [line for line in await asyncio.gather(*(run(n, c) for n, c in checks.items())) if line]
    if failed:
        return "503 Service Unavailable", "text/plain", "\n".join([*failed, ""]).encode()
    return "200 OK", "text/plain", b"ok\n"


def notify_ready() -> None:
    """Tell the supervisor (sd_notify(3)'s protocol, `$NOTIFY_SOCKET`) that this process serves now."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(b"READY=1", address)
