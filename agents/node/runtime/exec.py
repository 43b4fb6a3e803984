"""Commands inside running containers.

Two ways. `Execs.run` is for probes and hooks: the OCI runtime itself (some 40 ms; Podman's API needs 90), output
bounded, the command killed when its time is up, at most RUNS_MAX at once. `Execs.open` is for users: Podman's endpoint
with `Upgrade: tcp`, with stdin, terminal and resizing; the connection lives as long as the `Stream`.

Without a terminal Podman frames the stream: a byte for the channel (1 stdout, 2 stderr), three zeros, four bytes of
length, big endian. With a terminal all is channel 1, unframed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import errors
from .api import PodmanApi
from .layout import Layout
from .specs import Container, ExecResult, Phase

PREFIX = "/v4.0.0/libpod"
RUNS_MAX = 8
OUTPUT_MAX = 16 * 1024
CHUNK = 32 * 1024
HEADER = struct.Struct(">BxxxI")
STDOUT = 1
EXIT_WAIT_S = 3.0


class Stream:
    """A running command's streams. One reader, one writer. Close it with `aclose`."""

    def __init__(
        self,
        api: PodmanApi,
        lifetime: contextlib.AsyncExitStack,
        pipes: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        *,
        session: str,
        tty: bool,
    ) -> None:
        self._api, self._lifetime = api, lifetime
        self._reader, self._writer = pipes
        self._session, self._tty = session, tty
        self._ended = False

    async def read(self) -> tuple[int, bytes] | None:
        """Some output with its channel (1 stdout, 2 stderr), or None at the end."""
        piece = await self._read()
        self._ended = piece is None
        return piece

    async def _read(self) -> tuple[int, bytes] | None:
        try:
            if self._tty:
                data = await self._reader.read(CHUNK)
                return (STDOUT, data) if data else None
            channel, length = HEADER.unpack(await self._reader.readexactly(HEADER.size))
            return channel, await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def write(self, data: bytes) -> None:
        """To the command's stdin; waits while its pipe is full. Silent once the command has ended."""
        with contextlib.suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def close_stdin(self) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.write_eof()

    async def resize(self, width: int, height: int) -> None:
        """The terminal's size in characters. Silent when there is no terminal any more."""
        with contextlib.suppress(errors.RuntimeFault):
            await self._api.post(f"/{self._session}/resize", params={"h": height, "w": width})

    async def wait(self) -> int:
        """The command's exit code, once `read` gave None."""
        pause_s, waited_s = 0.005, 0.0
        while True:
            state = await self._api.get(f"/{self._session}/json", fault=errors.ExecFault)
            if not state.get("Running") or waited_s > EXIT_WAIT_S:
                return int(state.get("ExitCode", 255))
            await asyncio.sleep(pause_s)
            waited_s, pause_s = waited_s + pause_s, min(pause_s * 2, 0.2)

    async def aclose(self) -> None:
        """Close the connection. A command that has a terminal is hung up on; another goes on, without its stdin."""
        if self._ended:
            self._writer.close()
        else:
            # What was not taken yet never will be.
            self._writer.transport.abort()
            if self._tty:
                await self._hang_up()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        await self._lifetime.aclose()

    async def _hang_up(self) -> None:
        with contextlib.suppress(errors.RuntimeFault, ProcessLookupError):
            state = await self._api.get(f"/{self._session}/json", fault=errors.ExecFault)
            if state.get("Running") and int(state.get("Pid", 0)) > 1:
                os.kill(int(state["Pid"]), signal.SIGHUP)


class Execs:
    """Runs commands in containers of this instance."""

    def __init__(self, layout: Layout, api: PodmanApi, oci_runtime: str) -> None:
        self._layout, self._api, self._oci = layout, api, oci_runtime
        self._slots = asyncio.Semaphore(RUNS_MAX)

    async def run(
        self, container: Container, command: Sequence[str], *, timeout_s: float, output_max: int = OUTPUT_MAX
    ) -> ExecResult:
        """Run to the end. ExecTimeout after `timeout_s` seconds (and the command is killed); ExecFault if it cannot
        be started.
        """
        _running(container)
        async with self._slots:
            with tempfile.TemporaryDirectory(prefix="exec-", dir=self._layout.run_dir) as scratch:
                return await self._run(container, command, timeout_s, output_max, Path(scratch, "pid"))

    async def open(self, container: Container, command: Sequence[str], *, tty: bool, stdin: bool) -> Stream:
        """A command that cannot be started says so on channel 2 and has code 126 or 127."""
        _running(container)
        body = {
            "AttachStdin": stdin, "AttachStdout": True, "AttachStderr": not tty, "Tty": tty, "Cmd": list(command),
        }  # fmt: skip
        if tty:
            body["Env"] = ["TERM=xterm"]
        created = await self._api.post(f"/containers/{container.id}/exec", body, fault=errors.ExecFault)
        session = f"exec/{created['Id']}"
        return await self._upgrade(f"{session}/start", {"Detach": False, "Tty": tty}, session=session, tty=tty)

    async def _run(
        self, container: Container, command: Sequence[str], timeout_s: float, output_max: int, pid_file: Path
    ) -> ExecResult:
        process = await asyncio.create_subprocess_exec(
            self._oci, "exec", "--pid-file", str(pid_file), container.id, *command,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        finished = False
        try:
            async with asyncio.timeout(timeout_s):
                output = await _bounded(process, output_max)
                code = await process.wait()
                finished = True
        except TimeoutError:
            raise errors.ExecTimeout(f"command {command[0]!r} timed out after {timeout_s:g} s") from None
        finally:
            if not finished:
                await _end(process, pid_file)
        if code != 0 and not _started(pid_file):
            raise errors.ExecFault(output.decode(errors="replace").strip() or f"{command[0]!r} could not be started")
        return ExecResult(code, output)

    async def _upgrade(self, path: str, body: object, *, session: str, tty: bool) -> Stream:
        async with contextlib.AsyncExitStack() as stack:
            socket = await stack.enter_async_context(self._api.service.use())
            reader, writer = await asyncio.open_unix_connection(str(socket))
            stack.callback(writer.close)
            data = b"" if body is None else json.dumps(body).encode()
            head = (
                f"POST {PREFIX}/{path} HTTP/1.1\r\nHost: podman\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
            )
            writer.write(head.encode() + data)
            await _switched(reader)
            return Stream(self._api, stack.pop_all(), (reader, writer), session=session, tty=tty)
        raise AssertionError("unreachable")


def _running(container: Container) -> None:
    if container.phase is not Phase.RUNNING:
        raise errors.ExecFault(f"container {container.name} is not running")


async def _switched(reader: asyncio.StreamReader) -> None:
    """Read the answer's head; ExecFault unless the connection was switched."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    if status in (101, 200):
        return
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    text = await reader.readexactly(int(fields.get(b"content-length", b"0")))
    raise errors.ExecFault(_message(text) or f"podman answered {status}")


def _message(text: bytes) -> str:
    try:
        document: dict[str, Any] = json.loads(text)
    except ValueError:
        return text.decode(errors="replace").strip()
    return str(document.get("message") or document.get("cause") or "")


async def _bounded(process: asyncio.subprocess.Process, maximum: int) -> bytes:
    """The first `maximum` bytes of output; the rest is read and dropped, so that the command never blocks on it."""
    assert process.stdout is not None, "started with a pipe"
    kept = bytearray()
    while data := await process.stdout.read(CHUNK):
        kept += data[: maximum - len(kept)]
    return bytes(kept)


async def _end(process: asyncio.subprocess.Process, pid_file: Path) -> None:
    """Kill the command itself, then the runtime that waits for it."""
    _kill(pid_file)
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _started(pid_file: Path) -> bool:
    return pid_file.exists()


def _kill(pid_file: Path) -> None:
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
