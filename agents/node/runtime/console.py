"""A container's own streams, straight from its conmon: no request to Podman, whose service may be asleep.

    <graph>/overlay-containers/<id>/userdata/attach   a socket of packets: to conmon input as it is; from it one byte
                                                      (2 stdout, 3 stderr) and output
    <graph>/overlay-containers/<id>/userdata/ctl      a pipe of lines: "1 ROWS COLUMNS" sets the terminal's size

conmon reads at most PACKET_BYTES of a packet and drops the rest. A user who does not read holds the container's output
up.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path

from . import errors

PACKET_BYTES = 8192
RECEIVE_BYTES = 64 * 1024
SIDE_MAX = 1 << 16
_STDERR = 3


class Console:
    """As exec.Stream: one reader, one writer."""

    def __init__(self, connection: socket.socket, control: Path) -> None:
        self._connection, self._control = connection, control
        self._loop = asyncio.get_running_loop()

    async def read(self) -> tuple[int, bytes] | None:
        """Some output with its channel (1 stdout, 2 stderr), or None at the end."""
        try:
            packet = await self._loop.sock_recv(self._connection, RECEIVE_BYTES)
        except OSError:
            return None
        if not packet:
            return None
        return (2 if packet[0] == _STDERR else 1), packet[1:]

    async def write(self, data: bytes) -> None:
        """To the container's stdin; waits while its pipe is full. Silent once that has ended."""
        with contextlib.suppress(OSError):
            for at in range(0, len(data), PACKET_BYTES):
                await self._loop.sock_sendall(self._connection, data[at : at + PACKET_BYTES])

    async def close_stdin(self) -> None:
        """The container's too, unless it has a terminal."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    async def resize(self, width: int, height: int) -> None:
        """The terminal's size in characters. Silent when there is no terminal any more."""
        if not (0 < width < SIDE_MAX and 0 < height < SIDE_MAX):
            return
        with contextlib.suppress(OSError):
            descriptor = os.open(self._control, os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(descriptor, f"1 {height} {width}\n".encode())
            finally:
                os.close(descriptor)

    async def wait(self) -> int:
        """There is no exit code here: the container's status has it."""
        return 0

    async def aclose(self) -> None:
        self._connection.close()


async def connect(folder: Path) -> Console:
    """To the conmon whose files are in `folder`. errors.ExecFault if it has gone."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.setblocking(False)
    try:
        # The path may be longer than an address can be.
        descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            await asyncio.get_running_loop().sock_connect(connection, f"/proc/self/fd/{descriptor}/attach")
        finally:
            os.close(descriptor)
    except OSError as refused:
        connection.close()
        raise errors.ExecFault(f"the container cannot be attached to: {refused.strerror}") from None
    except BaseException:
        connection.close()
        raise
    return Console(connection, folder / "ctl")
