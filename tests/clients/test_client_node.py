"""@kubernetes/client-node: lists, watches, an informer and server-side apply from JavaScript."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "node"


@pytest.mark.node
def test_objects_are_listed_watched_informed_of_and_applied(kubeconfig: Path, namespace: str) -> None:
    done = subprocess.run(
        ["node", str(FOLDER / "client.mjs"), namespace], capture_output=True, text=True, timeout=120,
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "twice": 409,
        "listed": True,
        "watched": ["MODIFIED c", "DELETED c"],
        "conflict": 409,
        "informed": True,
    }
