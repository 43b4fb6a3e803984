"""One store and one API server for all tests of this folder; each test works in a namespace of its own."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from raftsman.core import v1 as core

from .certificates import Authority
from .cluster import Api, ApiServerProcess, StoreProcess


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="raftsman-test-") as path:
        yield Path(path)


@pytest.fixture(scope="session")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="session")
def store(folder: Path) -> Iterator[StoreProcess]:
    process = StoreProcess(folder)
    yield process
    process.stop()


@pytest.fixture(scope="session")
def server(folder: Path, store: StoreProcess, authority: Authority) -> Iterator[ApiServerProcess]:
    process = ApiServerProcess(folder, store, authority)
    yield process
    process.stop()
    broken = [line for line in process.log.read_text().splitlines() if "failed unexpectedly" in line]
    assert not broken, "\n".join(broken)


@pytest.fixture
async def api(server: ApiServerProcess) -> AsyncIterator[Api]:
    """A client of the cluster's administrator."""
    async with server.client() as client:
        yield client


@pytest.fixture
async def namespace(api: Api) -> str:
    """A fresh namespace with the service account that pods need."""
    name = f"t-{secrets.token_hex(4)}"
    namespace = core.Namespace()
    namespace.metadata.name = name
    await api.create(namespace)
    account = core.ServiceAccount()
    account.metadata.namespace, account.metadata.name = name, "default"
    await api.create(account)
    return name


@pytest.fixture
async def second(folder: Path, store: StoreProcess, authority: Authority) -> AsyncIterator[Api]:
    """A client of another API server on the same store."""
    process = ApiServerProcess(folder, store, authority)
    async with process.client() as client:
        yield client
    process.stop()
