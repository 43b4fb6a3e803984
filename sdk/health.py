"""Health and metrics of a process over plain HTTP, and its readiness to whoever started it.

`/livez` says that the event loop turns; `/readyz` runs the named checks, each bounded by CHECK_TIMEOUT_S, and answers
503 naming those that fail; `/metrics` is Prometheus' text format. Requests are read up to REQUEST_BYTES_MAX bytes.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping

CHECK_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 5.0
REQUEST_BYTES_MAX = 8192

Check = Callable[[], Awaitable[None]]


async def serve(address: str, checks: Mapping[str, Check]) -> asyncio.Server:
    """Listen on `address` (HOST:PORT). A check that returns is passing, one that raises is failing."""
    host, _, port = address.rpartition(":")

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n")
            status, content_type, body = await _answer(head.decode("latin-1"), checks)
            header = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
            writer.write(header.encode() + b"Connection: close\r\n\r\n" + body)
            await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(handle, host.strip("[]"), int(port), limit=REQUEST_BYTES_MAX)


async def _answer(request_line: str, checks: Mapping[str, Check]) -> tuple[str, str, bytes]:
    method, _, rest = request_line.partition(" ")
    path = rest.split(" ")[0].split("?")[0]
    if method != "GET":
        return "405 Method Not Allowed", "text/plain", b"only GET\n"
    if path in ("/livez", "/healthz"):
        return "200 OK", "text/plain", b"ok\n"
    if path == "/readyz":
        return await _readiness(checks)
    if path == "/metrics":
        import prometheus_client

        return "200 OK", prometheus_client.CONTENT_TYPE_LATEST, prometheus_client.generate_latest()
    return "404 Not Found", "text/plain", b"try /livez /readyz /metrics\n"


async def _readiness(checks: Mapping[str, Check]) -> tuple[str, str, bytes]:
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
