"""The supervisor: starts again what dies, tells when parts are ready, stops all, and takes its children with it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from raftsman.cluster import caller, state, supervisor
from raftsman.cluster.layout import Layout
from raftsman.cluster.processes import Process

READY = (
    "import os, socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
    "s.sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])"
)


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setattr("raftsman.cluster.layout.RUN_ROOT", tmp_path / "run")
    layout = Layout.of(tmp_path / "data")
    layout.logs.mkdir(parents=True)
    layout.run_dir.mkdir(parents=True)
    return layout


def child(layout: Layout, code: str, said: list[str]) -> supervisor.Child:
    return supervisor.Child(Process("part", (sys.executable, "-c", code)), layout, said.append)


async def until(condition, timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what is waited for comes from another process
            await asyncio.sleep(0.02)


async def test_readiness_is_reported(layout: Layout) -> None:
    said: list[str] = []
    part = child(layout, f"{READY}; import time; time.sleep(60)", said)
    task = asyncio.create_task(part.keep_running())
    await until(lambda: said)
    assert said[0].startswith("ready part ")
    task.cancel()
    await part.stop()


async def test_what_dies_is_started_again(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "BACKOFF_MIN_S", 0.01)
    said: list[str] = []
    part = child(layout, "raise SystemExit(3)", said)
    task = asyncio.create_task(part.keep_running())
    await until(lambda: said.count("exited part 3") >= 2)
    task.cancel()
    await part.stop()


async def test_a_part_that_ignores_the_request_to_stop_is_killed(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "STOP_TIMEOUT_S", 0.2)
    said: list[str] = []
    ignore = f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}; time.sleep(60)"
    part = child(layout, ignore, said)
    task = asyncio.create_task(part.keep_running())
    await until(lambda: said)
    task.cancel()
    await asyncio.wait_for(part.stop(), 5)


async def test_children_end_with_their_supervisor(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\nfrom raftsman.cluster import supervisor\n"
        "command = [*supervisor.ENDS_WITH_PARENT, sys.executable, '-c', 'import time; time.sleep(60)']\n"
        "p = subprocess.Popen(command)\n"
        "print(p.pid, flush=True)\ntime.sleep(60)\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout
    pid = int(await parent.stdout.readline())
    handle = os.pidfd_open(pid)
    await until(lambda: not Path(f"/proc/{pid}/cmdline").read_text().startswith("setpriv"))
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(handle, gone.set)
    await asyncio.wait_for(gone.wait(), 10)
    loop.remove_reader(handle)
    os.close(handle)


def test_a_log_keeps_its_newer_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LOG_BYTES_MAX", 1000)
    path = tmp_path / "part.log"
    path.write_text("".join(f"line {number}\n" for number in range(200)))
    supervisor.trim(path)
    assert path.stat().st_size == 0
    kept = (tmp_path / "part.log.1").read_text().splitlines()
    assert kept[-1] == "line 199"
    assert kept[0].startswith("line ")


def test_a_record_that_nobody_holds_is_no_running_cluster(layout: Layout) -> None:
    layout.supervisor_file.write_text('{"pid": 1, "netns": 1, "data_dir": "/x"}')
    assert state.running(layout) is None


def test_the_callers_kubeconfig_keeps_what_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SUDO_USER", raising=False)
    layout = Layout.of(tmp_path / "data")
    layout.kubeconfig().parent.mkdir(parents=True)
    layout.kubeconfig().write_text(
        "clusters: [{name: raftsman, cluster: {server: 'https://127.0.0.1:6443'}}]\n"
        "users: [{name: u, user: {token: t}}]\n"
    )
    path = tmp_path / ".kube/config"
    path.parent.mkdir()
    path.write_text("current-context: mine\ncontexts: [{name: mine, context: {cluster: c, user: u}}]\n")
    caller.add_context(layout)
    config = caller._read(path)
    assert config["current-context"] == "mine"
    assert [c["name"] for c in config["contexts"]] == ["mine", "raftsman"]
    assert path.stat().st_mode & 0o777 == 0o600
    caller.remove_context(layout)
    assert [c["name"] for c in caller._read(path)["contexts"]] == ["mine"]
