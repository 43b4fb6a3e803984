"""kopf runs an operator on a custom resource: create, update, timers, finalizers, events."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from raftsman.testing import eventually

from ..services.apiserver.rest import Kubectl  # noqa: TID252
from .manifests import RAFT

pytestmark = pytest.mark.kubectl

OPERATOR = Path(__file__).with_name("operator_of_rafts.py")


@pytest.fixture
def log_book(rafts: None, kubeconfig: Path, namespace: str, tmp_path: Path) -> Iterator[Path]:
    """Where a running operator writes down what sank."""
    book, log = tmp_path / "book", tmp_path / "log"
    command = [sys.executable, "-m", "kopf", "run", "--verbose", "--standalone", "-n", namespace, str(OPERATOR)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env={**os.environ, "KUBECONFIG": str(kubeconfig), "LOG_BOOK": str(book)}
        )
    yield book
    process.terminate()
    process.wait(60)
    print(said := log.read_text())
    assert "Traceback" not in said


def test_an_operator_looks_after_a_custom_resource_for_its_whole_life(kubectl: Kubectl, log_book: Path) -> None:
    kubectl("apply", "-f", "-", stdin=RAFT)
    kubectl("wait", "raft/kon-tiki", "--for=jsonpath={.status.built.logs}=9", "--timeout=90s")
    kubectl("wait", "raft/kon-tiki", "--for=jsonpath={.status.alike}=1", "--timeout=90s")
    said = ("get", "events", "--field-selector=involvedObject.kind=Raft,reason=Built")
    eventually(lambda: "of 9 logs" in kubectl(*said))
    kubectl("patch", "raft/kon-tiki", "--type=merge", "-p", '{"spec":{"logs":12}}')
    kubectl("wait", "raft/kon-tiki", "--for=jsonpath={.status.rebuilt}=from 9 to 12", "--timeout=90s")
    kubectl("delete", "raft/kon-tiki", "--timeout=90s")
    assert log_book.read_text() == "kon-tiki sank\n"
