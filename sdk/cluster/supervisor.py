"""Start the cluster's processes, start again what dies, stop all of them together.

A process that exits is started again after a back-off of BACKOFF_MIN_S doubling to BACKOFF_MAX_S, forgotten once it ran
for STABLE_S. Each writes to its own log, cut to LOG_BYTES_MAX. Readiness comes by sd_notify(3); progress goes, a line
an event, to `--progress-fd` while its reader is there. If the supervisor is killed, the kernel stops its children.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import fcntl
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from raftsman import logs

from .layout import Layout
from .processes import Process, processes
from .settings import Settings

BACKOFF_MIN_S = 0.5
BACKOFF_MAX_S = 10.0
STABLE_S = 60.0
STOP_TIMEOUT_S = 15.0
LOG_BYTES_MAX = 20 << 20
LOG_CHECK_S = 60.0
# setpriv(1): the kernel sends SIGTERM when the supervisor is gone, however it went.
ENDS_WITH_PARENT = ("setpriv", "--pdeathsig", "TERM")

log = logs.get(__name__)


class Supervisor:
    def __init__(self, layout: Layout, settings: Settings, report: Callable[[str], None]) -> None:
        self._layout = layout
        self._children = [Child(process, layout, report) for process in processes(layout, settings)]

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; then stop the processes, the last started first."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        tasks = [asyncio.create_task(child.keep_running(), name=child.name) for child in self._children]
        tasks.append(asyncio.create_task(self._trim_logs(), name="logs"))
        await stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for child in reversed(self._children):
            await child.stop()

    async def _trim_logs(self) -> None:
        while True:
            await asyncio.sleep(LOG_CHECK_S)
            for path in self._layout.logs.glob("*.log"):
                trim(path)


class Child:
    """One supervised process."""

    def __init__(self, process: Process, layout: Layout, report: Callable[[str], None]) -> None:
        self.name = process.name
        self._command = process.command
        self._environment = process.environment
        self._log_path = layout.logs / f"{process.name}.log"
        self._notify_path = layout.run_dir / f"{process.name}.notify"
        self._report = report
        self._running: asyncio.subprocess.Process | None = None

    async def keep_running(self) -> None:
        backoff_s = BACKOFF_MIN_S
        with self._notify_socket() as notify:
            while True:
                started = time.monotonic()
                self._running = await self._start()
                loop = asyncio.get_running_loop()
                loop.add_reader(notify, self._on_notify, notify, started)
                try:
                    code = await self._running.wait()
                finally:
                    loop.remove_reader(notify)
                self._running = None
                ran_s = time.monotonic() - started
                backoff_s = BACKOFF_MIN_S if ran_s > STABLE_S else backoff_s
                log.error("process exited", process=self.name, code=code, ran_s=f"{ran_s:.1f}", again_in_s=backoff_s)
                self._report(f"exited {self.name} {code}")
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)

    async def stop(self) -> None:
        running = self._running
        if running is None or running.returncode is not None:
            return
        running.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await running.wait()
        except TimeoutError:
            log.error("process did not stop, killing it", process=self.name, after_s=STOP_TIMEOUT_S)
            running.kill()
            await running.wait()

    async def _start(self) -> asyncio.subprocess.Process:
        descriptor = os.open(self._log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            own = {"NOTIFY_SOCKET": str(self._notify_path), "PYTHONUNBUFFERED": "1"}
            environment = {**os.environ, **self._environment, **own}
            return await asyncio.create_subprocess_exec(
                *ENDS_WITH_PARENT,
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                env=environment,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)

    def _notify_socket(self) -> socket.socket:
        self._notify_path.unlink(missing_ok=True)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        notify.bind(str(self._notify_path))
        return notify

    def _on_notify(self, notify: socket.socket, started: float) -> None:
        if notify.recv(4096).startswith(b"READY=1"):
            ready_s = time.monotonic() - started
            log.info("process ready", process=self.name, after_s=f"{ready_s:.2f}")
            self._report(f"ready {self.name} {ready_s:.2f}")


def trim(path: Path) -> None:
    """Keep the newer half of a log that has grown past LOG_BYTES_MAX; its writers append."""
    if path.stat().st_size <= LOG_BYTES_MAX:
        return
    with path.open("rb") as old:
        old.seek(-LOG_BYTES_MAX // 2, os.SEEK_END)
        old.readline()
        tail = old.read()
    older = path.with_suffix(".log.1")
    older.touch(mode=0o600)
    older.write_bytes(tail)
    os.truncate(path, 0)


def reporter(descriptor: int | None) -> Callable[[str], None]:
    """Write progress lines until nobody reads them."""
    open_descriptor = [] if descriptor is None else [descriptor]

    def report(line: str) -> None:
        for number in open_descriptor[:]:
            try:
                os.write(number, f"{line}\n".encode())
            except OSError:
                os.close(number)
                open_descriptor.clear()

    return report


def run(layout: Layout, settings: Settings, *, progress_fd: int | None = None) -> None:
    """Supervise until told to stop. The caller made keys, folders and checked that no other supervisor runs."""
    layout.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    layout.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    record = os.open(layout.supervisor_file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _claim(record, layout, settings)
        asyncio.run(Supervisor(layout, settings, reporter(progress_fd)).run())
    finally:
        os.close(record)


def _claim(record: int, layout: Layout, settings: Settings) -> None:
    """Hold the record as long as its descriptor is open, and say in it who does."""
    try:
        fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(f"A supervisor of {layout.data_dir} runs already.") from None
    text = json.dumps(
        {
            "pid": os.getpid(),
            "netns": os.stat("/proc/self/ns/net").st_ino,
            "data_dir": str(layout.data_dir),
            "settings": dataclasses.asdict(settings),
        }
    )
    os.truncate(record, 0)
    os.pwrite(record, text.encode(), 0)


def main() -> None:
    parser = argparse.ArgumentParser(description="Supervise the processes of a one-machine cluster.")
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--progress-fd", type=int)
    args = parser.parse_args()
    layout = Layout.of(args.data_dir)
    settings = Settings(**json.loads(layout.settings_file.read_text()))
    logs.setup(settings.log_level)
    run(layout, settings, progress_fd=args.progress_fd)


if __name__ == "__main__":
    main()
