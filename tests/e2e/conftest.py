"""One cluster for the tests of a module: a node in namespaces of its own, and a world outside of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from raftsman.testing import Cluster, Network
from raftsman.testing.network import OUTSIDE_ADDRESS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.fixture(scope="module")
def cluster(network: Network) -> Iterator[Cluster]:
    with Cluster(network) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def hello(cluster: Cluster) -> Cluster:
    """The cluster with examples/hello applied and rolled out."""
    cluster.raftsman("apply", "-f", str(ROOT / "examples/hello"))
    cluster.raftsman("rollout", "status", "deployment/hello", "-n", "hello", "--timeout=60s")
    return cluster


@pytest.fixture(scope="module")
def outside_server(network: Network) -> Iterator[str]:
    """An HTTP server in the world outside; its address."""
    command = [*network.inside(outside=True), sys.executable, "-m", "http.server", "8000", "--bind", OUTSIDE_ADDRESS]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/etc/apt")
    yield f"{OUTSIDE_ADDRESS}:8000"
    server.terminate()
    server.wait()
