"""One `podman system service` per instance, a child of the agent, alive only while somebody uses it.

The socket is /run/raftsman/<instance>/podman.sock. The service starts on first use (about 50 ms), is stopped after
IDLE_S without use (it holds some 35 MiB), and is started again when it died: containers do not depend on it. It
gets SIGTERM when the agent dies, whatever the agent dies of. At most one start is under way at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from raftsman import logs

from . import errors
from .layout import Layout

log = logs.get(__name__)

IDLE_S = 30.0
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
STDERR_MAX = 4000


class Service:
    """Starts, watches and stops the child. `async with service.use():` keeps it alive.

    `place(pid)` puts the new process into its cgroup; it may block.
    """

    def __init__(
        self,
        layout: Layout,
        environment: Mapping[str, str],
        *,
        place: Callable[[int], None],
        idle_s: float = IDLE_S,
    ) -> None:
        self._layout = layout
        self._environment = dict(environment)
        self._place = place
        self._idle_s = idle_s
        self._process: asyncio.subprocess.Process | None = None
        self._answered = False
        self._starting = asyncio.Lock()
        self._users = 0
        self._idle: asyncio.TimerHandle | None = None
        self._stopping: set[asyncio.Task[None]] = set()

    @property
    def socket(self) -> Path:
        return self._layout.socket

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    @contextlib.asynccontextmanager
    async def use(self) -> AsyncIterator[Path]:
        """The socket's path; the service answers on it until the block ends."""
        self._users += 1
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        try:
            await self.ensure()
            yield self._layout.socket
        finally:
            self._users -= 1
            if self._users == 0 and self._idle is None:
                self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._stop_when_idle)

    async def ensure(self) -> None:
        """Return once the service answers, started if need be; Unavailable if it cannot be started."""
        if self._answered and self.pid is not None:
            return
        async with self._starting:
            if not self._answered or self.pid is None:
                try:
                    await self._start()
                except OSError as refused:
                    raise errors.Unavailable(f"podman's service cannot be started: {refused}") from refused

    async def stop(self) -> None:
        """Stop the child and wait for it. Containers go on."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        async with self._starting:
            await self._end()

    def _stop_when_idle(self) -> None:
        self._idle = None
        if self._users == 0:
            task = asyncio.get_running_loop().create_task(self._stop_unless_used())
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)

    async def _stop_unless_used(self) -> None:
        async with self._starting:
            if self._users == 0:
                await self._end()

    async def _start(self) -> None:
        if shutil.which("podman") is None:
            raise errors.Unavailable("podman is not installed; `apt-get install podman`")
        path = self._layout.socket
        path.parent.mkdir(parents=True, exist_ok=True)
        await self._end()
        reclaim(path)
        self._process = await asyncio.create_subprocess_exec(
            "setpriv", "--pdeathsig", "TERM", "podman", "system", "service", "--time=0", f"unix://{path}",
            # conmon leaves a file named oom in the folder that it was started in.
            cwd=path.parent, env=self._environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=(stderr := self._open_log()), start_new_session=True,
        )  # fmt: skip
        os.close(stderr)
        path.with_suffix(".pid").write_text(f"{self._process.pid}\n")
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                # Moving a process costs a kernel grace period: beside the service's start it costs nothing.
                await asyncio.gather(asyncio.to_thread(self._place, self._process.pid), self._answering(self._process))
        except TimeoutError:
            await self._end()
            raise errors.Unavailable(f"podman did not answer on {path} within {START_TIMEOUT_S:.0f} s") from None
        self._answered = True
        log.debug("podman service started", pid=self._process.pid)

    async def _answering(self, process: asyncio.subprocess.Process) -> None:
        pause_s = 0.004
        while not answers(self._layout.socket):
            if process.returncode is not None:
                raise errors.Unavailable(f"podman system service ended at once: {self._last_words()}")
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.2, 0.1)

    async def _end(self) -> None:
        process, self._process, self._answered = self._process, None, False
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        self._layout.socket.unlink(missing_ok=True)
        self._layout.socket.with_suffix(".pid").unlink(missing_ok=True)

    def _open_log(self) -> int:
        path = self._layout.socket.with_suffix(".log")
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def _last_words(self) -> str:
        words = self._layout.socket.with_suffix(".log").read_text(errors="replace")[-STDERR_MAX:].strip()
        return words.replace("\n", "; ") or "it said nothing"


def answers(path: Path) -> bool:
    """Whether somebody accepts connections on that unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.2)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def reclaim(path: Path) -> None:
    """End a service that an earlier agent of this instance left behind; refuse to touch anybody else's."""
    owner = orphan(path)
    if owner is not None:
        descriptor = os.pidfd_open(owner)
        try:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)
    elif answers(path):
        raise errors.Unavailable(f"another process serves {path}; is a second agent running on this data directory?")
    path.unlink(missing_ok=True)


def orphan(path: Path) -> int | None:
    """The process in the pid file beside the socket, if it is a podman service on this very socket."""
    try:
        pid = int(path.with_suffix(".pid").read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if f"unix://{path}".encode() in words else None
