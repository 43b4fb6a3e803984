"""Parts of the cluster die without a warning; pods run on and nothing that was answered is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from raftsman.testing import Cluster, eventually

from .test_pods import apply, is_ready, pod, run_in, running, status

pytestmark = [pytest.mark.root, pytest.mark.podman]


def process(cluster: Cluster, module: str) -> int:
    """The process id of one of the cluster's parts."""
    inode = os.stat(f"/run/netns/{cluster.network.node}").st_ino
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.stat(entry / "ns/net").st_ino == inode:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"-m" in words and words[words.index(b"-m") + 1] == f"raftsman.{module}".encode():
                    return int(entry.name)
        except OSError:
            continue
    raise AssertionError(f"no process runs raftsman.{module}")


def kill(cluster: Cluster, module: str) -> None:
    """kill -9, then wait until its successor is there."""
    before = process(cluster, module)
    os.kill(before, signal.SIGKILL)

    def successor() -> bool:
        try:
            return process(cluster, module) != before
        except AssertionError:
            return False

    eventually(successor)


@pytest.fixture(scope="module")
def busy(cluster: Cluster) -> Cluster:
    apply(cluster, pod("steady"))
    running(cluster, "steady")
    return cluster


def test_containers_outlive_the_agent_and_are_found_again(busy: Cluster) -> None:
    run_in(busy, "steady", "touch", "/marker")
    before = status(busy, "steady")["containerStatuses"][0]
    kill(busy, "agents.agent")
    eventually(lambda: run_in(busy, "steady", "ls", "/marker"))
    after = status(busy, "steady")["containerStatuses"][0]
    assert (after["containerID"], after["restartCount"]) == (before["containerID"], before["restartCount"])
    apply(busy, pod("after-agent"))
    running(busy, "after-agent")


def test_what_was_answered_survives_the_store(busy: Cluster) -> None:
    busy.raftsman("create", "configmap", "kept", "--from-literal=key=value")
    kill(busy, "store")
    kept = eventually(lambda: busy.get("configmap", "kept"))
    assert kept["data"] == {"key": "value"}
    apply(busy, pod("after-store"))
    running(busy, "after-store")


def test_watches_go_on_behind_a_new_api_server(busy: Cluster) -> None:
    kill(busy, "services.apiserver")
    eventually(lambda: busy.get("nodes"))
    apply(busy, pod("after-apiserver"))
    running(busy, "after-apiserver")


def test_controllers_go_on_after_their_process_died(busy: Cluster) -> None:
    kill(busy, "services.control")
    apply(busy, pod("after-control"))
    running(busy, "after-control")
    assert is_ready(busy, "steady")


def test_a_killed_supervisor_leaves_nothing_that_up_or_down_cannot_handle(busy: Cluster) -> None:
    os.kill(process(busy, "cluster.supervisor"), signal.SIGKILL)
    eventually(lambda: "Ready" in busy.up())
    eventually(lambda: is_ready(busy, "steady"))
    os.kill(process(busy, "cluster.supervisor"), signal.SIGKILL)
    busy.down(purge=True)
    assert busy.run(["nft", "list", "tables"]).stdout == ""
