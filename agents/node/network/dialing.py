"""Connections that begin inside a pod's network namespace.

A socket belongs to the namespace in which it was made, wherever it is used afterwards. A thread of its own enters the
pod's, makes the socket and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from pathlib import Path

from . import kernel

CONNECT_S = 10.0
_LOOPBACKS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


async def connect(namespace: Path | None, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """To a TCP port on the loopback address, IPv4's or IPv6's, of a pinned namespace (None: this one). OSError."""
    refused: OSError | None = None
    for family, host in _LOOPBACKS:
        made = await asyncio.to_thread(_socket, namespace, family)
        try:
            async with asyncio.timeout(CONNECT_S):
                await asyncio.get_running_loop().sock_connect(made, (host, port))
            return await asyncio.open_connection(sock=made)
        except TimeoutError:
            made.close()
            raise OSError(f"no connection within {CONNECT_S:.0f} s") from None
        except OSError as error:
            made.close()
            refused = refused or error
        except BaseException:
            made.close()
            raise
    assert refused is not None, "one of them was tried"
    raise refused


def _socket(namespace: Path | None, family: int) -> socket.socket:
    if namespace is None:
        return _nonblocking(family)
    found: list[socket.socket | OSError] = []

    def body() -> None:
        try:
            descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
            with contextlib.closing(os.fdopen(descriptor)):
                kernel.enter_network(descriptor)
            found.append(_nonblocking(family))
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=body, name="dial")
    thread.start()
    thread.join()
    if isinstance(found[0], OSError):
        raise found[0]
    return found[0]


def _nonblocking(family: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setblocking(False)
    return made
