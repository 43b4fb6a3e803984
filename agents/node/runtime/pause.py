"""The process that holds a pod's namespace of processes: such a namespace ends with its first process.

catatonit, which does nothing but wait and reap, as the first process of a namespace of its own, pinned as <pod>/pid. It
lives in the pod's cgroup, outlives the agent and dies with the cgroup.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from raftsman.agents.node.network import kernel

from . import errors

PIN = "pid"
START_S = 5.0
BEGIN = 'echo here; exec "$0" -P >/dev/null'
_PLACES = ("/usr/libexec/podman/catatonit", "/usr/lib/podman/catatonit", "/usr/libexec/catatonit/catatonit")


def start(directory: Path, place: Callable[[int], None]) -> int:
    """Its pid, once the namespace is pinned in `directory`. `place` puts a process into the pod's cgroup. Blocks.

    Unsupported if the machine has no catatonit; SandboxFault if it does not start.
    """
    program = shutil.which("catatonit") or next((path for path in _PLACES if os.access(path, os.X_OK)), None)
    if program is None:
        raise errors.Unsupported("shareProcessNamespace needs catatonit, which this machine does not have")
    # Python may have several threads here, in which unshare(2) is refused.
    parent = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--", "sh", "-c", BEGIN, program], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        place(parent.pid)
        child = _child(parent)
        place(child)
        pin = directory / PIN
        pin.touch()
        kernel.mount(f"/proc/{child}/ns/pid", pin, flags=kernel.MountFlag.BIND)
    except BaseException:
        parent.kill()
        raise
    return child


def alive(directory: Path, pid: int) -> bool:
    """Whether that process still holds the pinned namespace."""
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino == os.stat(directory / PIN).st_ino
    except OSError:
        return False


def _child(parent: subprocess.Popen[bytes]) -> int:
    """The first process of the new namespace, once it has said that it is there."""
    assert parent.stdout is not None, "started with a pipe"
    with parent.stdout as said:
        if select.select([said], [], [], START_S)[0] and said.readline():
            return int(Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()[0])
    raise errors.SandboxFault("the process that holds the pod's processes did not start")
