"""The command line in this process, on a real store, API server and control whose one node runs pods only in name."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from raftsman.cli import main

from ...services.control.conftest import Cluster  # noqa: TID252
from ...services.control.hollow import HollowNode  # noqa: TID252


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


class CommandLine:
    """`cli("get", "pods")`: the exit code and what was printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str], before: tuple[str, ...] = ()) -> None:
        self._capsys, self._before = capsys, before

    def __call__(self, *words: str) -> Result:
        self._capsys.readouterr()
        code = main.run([*self._before, *words])
        out, err = self._capsys.readouterr()
        return Result(code, out, err)

    def ok(self, *words: str) -> str:
        """What a command that must succeed prints."""
        found = self(*words)
        assert found.code == 0, found.err
        return found.out

    def fails(self, *words: str) -> str:
        """What a command that must fail prints on stderr."""
        found = self(*words)
        assert found.code == 1, (found.out, found.err)
        assert "Traceback" not in found.err
        return found.err


@pytest.fixture
def bare(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Without any cluster."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    return CommandLine(capsys)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="raftsman-cli-") as path:
        found = Cluster(Path(path))
        try:
            settings = found.settings
            found.start("store")
            found.await_ready("store", settings.store_metrics_port)
            found.start("apiserver")
            found.await_ready("apiserver", settings.apiserver_health_port)
            found.start("control")
            found.await_ready("control", settings.control_health_port)
            with node(found):
                yield found
        finally:
            found.stop()


class node:
    """A hollow node on a loop of its own, as the command line brings its own loop."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()))

    async def _run(self) -> None:
        self._stopped = asyncio.Event()
        async with self._cluster.client() as client, HollowNode(client, "n1"):
            self._ready.set()
            await self._stopped.wait()

    def __enter__(self) -> node:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(20)


@pytest.fixture
def admin(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(capsys, ("--kubeconfig", str(cluster.layout.kubeconfig())))


@pytest.fixture
def cli(cluster: Cluster, admin: CommandLine, capsys: pytest.CaptureFixture[str]) -> Iterator[CommandLine]:
    """The administrator in a fresh namespace."""
    name = f"t-{secrets.token_hex(4)}"
    admin.ok("create", "namespace", name)
    admin.ok("wait", "--for=create", "serviceaccount/default", "-n", name)
    yield CommandLine(capsys, ("--kubeconfig", str(cluster.layout.kubeconfig()), "-n", name))
    admin.ok("delete", "namespace", name, "--wait=false")
