"""The Python clients of etcd that PyPI has, unchanged, each in a process of its own, without users and as root.

`etcd3` was generated for protobuf 3: it gets an environment of its own, made from PyPI when the test runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import logins
import members
import pytest
from certificates import Authority
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc

CLIENTS = Path(__file__).parents[1] / "clients"
PARTS = ["keys", "transactions", "leases", "watches", "locks", "members"]
OLD = ("etcd3==0.12.0", "protobuf>=3.20,<3.21", "tenacity==6.3.1")
INSTALL_S = 120


@dataclass
class Served:
    """What a client is told. Those that log in by call credentials want TLS for it; one client has none."""

    plain: list[str]
    secure: list[str]


@pytest.fixture(scope="module", params=["nobody is told apart", "as root"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    authority = Authority(folder / "ca")
    cert, key = authority.issue("server", ip="127.0.0.1")
    port, secure, metrics, peer = members.free_ports(4)
    flags = ["--listen-client-urls", f"http://127.0.0.1:{port},https://127.0.0.1:{secure}", "--bcrypt-cost", "4"]
    flags += ["--listen-peer-urls", f"http://127.0.0.1:{peer}", "--cert-file", str(cert), "--key-file", str(key)]
    store = members.Store(folder / "store", port, metrics, flags)
    login = ["root", logins.ROOT_PASSWORD] if request.param == "as root" else []
    try:
        store.start()
        with grpc.insecure_channel(store.address) as channel:
            auth = rpc_pb2_grpc.AuthStub(channel)
            auth.AuthStatus(rpc_pb2.AuthStatusRequest(), wait_for_ready=True, timeout=members.READY_S)
            if login:
                auth.UserAdd(rpc_pb2.AuthUserAddRequest(name=login[0], password=login[1]))
                auth.UserGrantRole(rpc_pb2.AuthUserGrantRoleRequest(user="root", role="root"))
                auth.AuthEnable(rpc_pb2.AuthEnableRequest())
        yield Served([str(port), *login], [str(secure), str(authority.path), *login])
    finally:
        store.kill()


@pytest.fixture(scope="module")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has `etcd3` as PyPI has it."""
    folder = tmp_path_factory.mktemp("old")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=INSTALL_S)
    pip = [folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", *OLD]
    installed = subprocess.run(pip, capture_output=True, text=True, timeout=INSTALL_S)
    if installed.returncode:
        reason = f"PyPI does not give {OLD[0]}: {installed.stderr[-500:]}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return folder / "bin/python"


def run(python: str | Path, script: str, *arguments: str) -> list[str]:
    """The parts that a script went through."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([python, CLIENTS / script, *arguments], capture_output=True, text=True, timeout=60, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split()


def test_etcd3(served: Served, old_python: Path) -> None:
    assert run(old_python, "threaded.py", "etcd3", *served.secure) == PARTS


def test_etcd_sdk_python(served: Served) -> None:
    assert run(sys.executable, "threaded.py", "pyetcd", *served.secure) == PARTS


def test_aetcd(served: Served) -> None:
    assert run(sys.executable, "aetcd_asyncio.py", *served.plain) == PARTS


def test_etcd3aio(served: Served) -> None:
    assert run(sys.executable, "etcd3aio_asyncio.py", *served.secure) == [*PARTS, "users"]
