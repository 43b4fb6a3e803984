"""A disk that fills up: the node says so, takes no more pods, loses none, and goes on when there is room again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from raftsman.testing import Cluster, Network, eventually

from .test_pods import apply, is_ready, pod, running, status
from .test_resilience import process

pytestmark = [pytest.mark.root, pytest.mark.podman]


@pytest.fixture(scope="module")
def small(network: Network) -> Iterator[Cluster]:
    """A cluster whose data directory is on a file system of 96 MiB."""
    cluster = Cluster(network)
    disk = cluster.home / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", disk], check=True)
    cluster.data_dir, cluster.kubeconfig = disk / "data", disk / "data/kubeconfig/admin.yaml"
    try:
        with cluster:
            yield cluster
            (disk / "filling").unlink(missing_ok=True)
    finally:
        subprocess.run(["umount", "-l", disk], check=False)
        cluster.home.joinpath("disk").rmdir()
        cluster.home.rmdir()


def fill(path: Path) -> None:
    for size in ("64k", "512"):
        subprocess.run(f"dd if=/dev/zero bs={size} >> {path}", shell=True, check=False, capture_output=True)


def test_a_full_disk_is_told_and_got_over(small: Cluster) -> None:
    apply(small, pod("before"))
    running(small, "before")
    agent, filling = process(small, "agents.agent"), small.data_dir.parent / "filling"
    fill(filling)

    def pressure() -> bool:
        conditions = small.get("nodes")["items"][0]["status"]["conditions"]
        return any(c["type"] == "DiskPressure" and c["status"] == "True" for c in conditions)

    eventually(pressure)
    apply(small, pod("during"))
    eventually(lambda: any(c["reason"] == "Unschedulable" for c in status(small, "during")["conditions"]))
    assert is_ready(small, "before")
    filling.unlink()
    eventually(lambda: is_ready(small, "during"))
    assert status(small, "before")["containerStatuses"][0]["restartCount"] == 0
    assert process(small, "agents.agent") == agent
