"""A one-node cluster in network namespaces of its own, driven by the `raftsman` command as a user would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from .network import Network

UP_TIMEOUT_S = 150.0
COMMAND_TIMEOUT_S = 120.0
POLL_S = 0.1

T = TypeVar("T")


class CommandError(AssertionError):
    """A command that should have succeeded did not; the text has what it said."""


class Cluster:
    """Use as a context manager: enter brings it up, leave takes it down and removes its data."""

    def __init__(self, network: Network, *, flags: Sequence[str] = ()) -> None:
        self.network = network
        self.home = Path(tempfile.mkdtemp(prefix="raftsman-test-"))
        self.data_dir = self.home / "data"
        self.kubeconfig = self.data_dir / "kubeconfig/admin.yaml"
        self._flags = list(flags)

    def __enter__(self) -> Cluster:
        try:
            self.up()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def up(self) -> str:
        """Bring it up and put the demo image into its store; what the command printed."""
        text = self.raftsman("up", "--detach", f"--data-dir={self.data_dir}", *self._flags, timeout_s=UP_TIMEOUT_S)
        self.load_demo_image()
        return text

    def down(self, *, purge: bool = False) -> str:
        words = ["down", f"--data-dir={self.data_dir}", *(["--purge"] if purge else [])]
        return self.raftsman(*words, timeout_s=UP_TIMEOUT_S)

    def close(self) -> None:
        try:
            if self.data_dir.exists():
                self.down(purge=True)
        finally:
            shutil.rmtree(self.home, ignore_errors=True)

    def load_demo_image(self) -> None:
        script = Path(__file__).resolve().parent.parent / "scripts/demo-image"
        self._checked(self.run([str(script), "--data-dir", str(self.data_dir)]))

    def raftsman(self, *words: str, stdin: str | None = None, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """What `raftsman WORDS` prints on standard output. CommandError if it fails."""
        return self._checked(self.command(*words, stdin=stdin, timeout_s=timeout_s))

    def command(
        self, *words: str, stdin: str | None = None, timeout_s: float = COMMAND_TIMEOUT_S
    ) -> subprocess.CompletedProcess[str]:
        """Run `raftsman WORDS`, whatever comes of it."""
        command = [str(Path(sys.executable).with_name("raftsman")), *words]
        return self.run(command, stdin=stdin, timeout_s=timeout_s)

    def fails(self, *words: str, stdin: str | None = None) -> str:
        """What a `raftsman` command that must fail prints on standard error."""
        done = self.command(*words, stdin=stdin)
        if done.returncode != 1:
            raise CommandError(f"{words} exited with {done.returncode}, not 1:\n{done.stdout}{done.stderr}")
        return done.stderr

    def get(self, *words: str) -> Any:
        """`raftsman get WORDS -o json`, decoded."""
        return json.loads(self.raftsman("get", *words, "-o", "json"))

    def run(
        self, command: Sequence[str], *, stdin: str | None = None, timeout_s: float = COMMAND_TIMEOUT_S,
        outside: bool = False,
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run any command on the node (or outside), with the cluster's kubeconfig."""
        environment = {**os.environ, "HOME": str(self.home), "KUBECONFIG": str(self.kubeconfig)}
        return subprocess.run(
            [*self.network.inside(outside=outside), *command],
            input=stdin if stdin is not None else "", text=True, capture_output=True, timeout=timeout_s, check=False,
            env=environment,
        )  # fmt: skip

    @staticmethod
    def _checked(done: subprocess.CompletedProcess[str]) -> str:
        if done.returncode:
            raise CommandError(f"{done.args} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout


def eventually(observe: Callable[[], T], *, timeout_s: float = 60.0, message: str = "") -> T:
    """The first true value that `observe` gives. AssertionError with its last value or error at the time-out."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            value = observe()
            if value:
                return value
            last: object = value
        except (CommandError, KeyError, IndexError, OSError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{message or observe} did not come true in {timeout_s:.0f} s; last: {last!r}")
        time.sleep(POLL_S)
