"""Completion: a shell learns of verbs, kinds, names, namespaces and formats; without a cluster it learns less."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import CommandLine

RAFTSMAN = str(Path(sys.executable).with_name("raftsman"))


def completed(line: str, kubeconfig: str) -> list[str]:
    """What bash would offer at the end of `line`."""
    words = line.split(" ")
    environment = {
        **os.environ, "KUBECONFIG": kubeconfig, "_RAFTSMAN_COMPLETE": "bash_complete",
        "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1),
    }  # fmt: skip
    done = subprocess.run([RAFTSMAN], env=environment, capture_output=True, text=True, timeout=120, check=True)
    return [found.partition(",")[2] for found in done.stdout.split()]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("raftsman desc", "describe"),
        ("raftsman get deployme", "deployments"),
        ("raftsman get namespaces kube-s", "kube-system"),
        ("raftsman describe cm/kube", "cm/kube-root-ca.crt"),
        ("raftsman get -n kube-sy", "kube-system"),
        ("raftsman get pods -o js", "json"),
        ("raftsman cordon n", "n1"),
        ("raftsman rollout und", "undo"),
        ("raftsman create prio", "priorityclass"),
    ],
)
def test_a_word_is_completed(cli: CommandLine, line: str, offered: str) -> None:
    assert offered in completed(line, cli._before[1])


def test_without_a_cluster_kinds_are_known_and_names_are_not(tmp_path: Path) -> None:
    assert "configmaps" in completed("raftsman get configm", str(tmp_path / "none"))
    assert completed("raftsman get configmaps ", str(tmp_path / "none")) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(bare: CommandLine, shell: str) -> None:
    assert "_RAFTSMAN_COMPLETE" in bare.ok("completion", shell)
