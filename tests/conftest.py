"""What a test needs of the machine: in CI a missing privilege or tool is a failure, elsewhere a loud skip."""

from __future__ import annotations

import os
import shutil

import pytest

NEEDS = {
    "root": (lambda: os.geteuid() == 0, "root"),
    "podman": (lambda: bool(shutil.which("podman") and (shutil.which("runc") or shutil.which("crun"))), "Podman"),
    "etcdctl": (lambda: bool(shutil.which("etcdctl")), "etcdctl (Debian's etcd-client)"),
}


def pytest_configure(config: pytest.Config) -> None:
    for name, (_, what) in NEEDS.items():
        config.addinivalue_line("markers", f"{name}: needs {what}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    missing = [what for name, (have, what) in NEEDS.items() if item.get_closest_marker(name) and not have()]
    if not missing:
        return
    reason = f"needs {', '.join(missing)}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
