"""`raftsman up` without --detach: everything lives and ends with the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from raftsman.testing import Cluster, Network, eventually

from .test_hello import leftovers

pytestmark = [pytest.mark.root, pytest.mark.podman]


def test_ctrl_c_takes_down_all_that_up_brought_up(network: Network) -> None:
    cluster = Cluster(network)
    command = [str(Path(sys.executable).with_name("raftsman")), "up", f"--data-dir={cluster.data_dir}"]
    up = subprocess.Popen(
        [*network.inside(), *command], stdout=subprocess.PIPE, text=True, env={**os.environ, "HOME": str(cluster.home)}
    )
    try:
        eventually(lambda: "Ready" in cluster.raftsman("get", "nodes").split())
        up.send_signal(signal.SIGINT)
        said, _ = up.communicate(timeout=60)
        assert up.returncode == 0
        assert said.endswith("Stopped.\n")
        assert leftovers(cluster) == []
    finally:
        up.kill()
        cluster.close()
