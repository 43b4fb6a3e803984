"""Take a one-machine cluster down: stop its processes, then remove all that its node agent made on this machine.

Works from what is on disk and in the kernel, so also after the supervisor or the agent was killed.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
from collections.abc import Callable

from . import caller, state
from .layout import Layout
from .processes import cleanup
from .up import FALLBACK_DEVICE

STOP_TIMEOUT_S = 60.0


class DownError(Exception):
    """Something could not be stopped or removed; the text says what."""


def stop(layout: Layout, show: Callable[[str], None], *, purge: bool = False) -> bool:
    """Whether there was anything to stop. DownError if something is left."""
    running = state.running(layout)
    if running is not None:
        if running.netns != os.stat("/proc/self/ns/net").st_ino:
            raise DownError(
                f"The cluster of {layout.data_dir} runs in another network namespace (process {running.pid}); "
                f"stop it there: nsenter --net=/proc/{running.pid}/ns/net raftsman down --data-dir {layout.data_dir}"
            )
        show(f"Stopping the cluster of {layout.data_dir} (process {running.pid})")
        _terminate(running.pid)
    was_there = running is not None or layout.run_dir.exists()
    if layout.data_dir.exists():
        done = subprocess.run(cleanup(layout, purge=purge), capture_output=True, text=True, check=False)
        if done.returncode:
            raise DownError(f"Not everything could be removed: {done.stderr.strip() or done.stdout.strip()}")
    subprocess.run(["ip", "link", "del", FALLBACK_DEVICE], capture_output=True, check=False)
    shutil.rmtree(layout.run_dir, ignore_errors=True)
    if purge:
        caller.remove_context(layout)
        shutil.rmtree(layout.data_dir, ignore_errors=True)
    return was_there


def _terminate(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not select.select([handle], [], [], STOP_TIMEOUT_S)[0]:
            raise DownError(f"The supervisor (process {pid}) did not stop within {STOP_TIMEOUT_S:.0f} s.")
    finally:
        os.close(handle)
