"""What a test needs of the machine: in CI a missing privilege or tool is a failure, elsewhere a loud skip."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import hypothesis
import pytest

# Tests assert nothing about the clock: a busy machine is no failure. Time-outs end what hangs.
hypothesis.settings.register_profile("raftsman", deadline=None)
hypothesis.settings.load_profile("raftsman")

CLIENT_NODE = Path(__file__).parent / "clients/node/node_modules/@kubernetes/client-node"
NEEDS = {
    "root": (lambda: os.geteuid() == 0, "root"),
    "podman": (lambda: bool(shutil.which("podman") and (shutil.which("runc") or shutil.which("crun"))), "Podman"),
    "node": (
        lambda: bool(shutil.which("node") and CLIENT_NODE.exists()),
        "Node.js and its client (scripts/install dev)",
    ),
    "kubectl": (lambda: bool(shutil.which("kubectl")), "kubectl"),
    "etcdctl": (lambda: bool(shutil.which("etcdctl")), "etcdctl (Debian's etcd-client)"),
    "etcd": (lambda: bool(shutil.which("etcd")), "etcd (Debian's etcd-server)"),
}
# Fixtures that cannot be made without them.
FIXTURES_NEED = {"world": ("root",), "node_namespace": ("root", "podman")}


def pytest_configure(config: pytest.Config) -> None:
    for name, (_, what) in NEEDS.items():
        config.addinivalue_line("markers", f"{name}: needs {what}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    needed = {name for name in NEEDS if item.get_closest_marker(name)}
    for fixture in getattr(item, "fixturenames", ()):
        needed.update(FIXTURES_NEED.get(fixture, ()))
    missing = [what for name, (have, what) in NEEDS.items() if name in needed and not have()]
    if not missing:
        return
    reason = f"needs {', '.join(missing)}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
