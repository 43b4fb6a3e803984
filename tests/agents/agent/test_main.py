"""The agent's process: flags, and how it ends when it cannot run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FLAGS = {
    "--kubeconfig": "/nowhere/agent.yaml",
    "--node-name": "n1",
    "--node-ip": "192.0.2.1",
    "--tls-cert-file": "/nowhere/a.crt",
    "--tls-private-key-file": "/nowhere/a.key",
    "--client-ca-file": "/nowhere/ca.crt",
    "--health-address": "127.0.0.1:0",
}


def agent(**changes: str) -> subprocess.CompletedProcess[str]:
    """Run the agent with FLAGS, changed: a value of "" leaves the flag out."""
    flags = FLAGS | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    words = [f"{name}={value}" for name, value in flags.items() if value]
    return subprocess.run(
        [sys.executable, "-m", "raftsman.agents.agent", *words],
        text=True,
        capture_output=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"node_name": ""}, "--node-name"),
        ({"node_ip": "localhost"}, "argument --node-ip"),
        ({"cluster_cidr": "10.0.0.0/33"}, "argument --cluster-cidr"),
    ],
)
def test_a_wrong_flag_is_named(changes: dict[str, str], said: str) -> None:
    done = agent(**changes)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


@pytest.mark.root
@pytest.mark.podman
def test_a_missing_kubeconfig_is_a_sentence_and_not_a_traceback(tmp_path: Path) -> None:
    done = agent(data_dir=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "/nowhere/agent.yaml" in done.stderr
    assert "Traceback" not in done.stderr
