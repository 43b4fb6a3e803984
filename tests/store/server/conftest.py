"""One store process for a module's tests; each test uses keys of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import grpc.aio
import members
import pytest
import pytest_asyncio


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[members.Store]:
    with members.lone(tmp_path_factory.mktemp("store"), "--auto-compaction-retention", "0") as started:
        yield started


@pytest_asyncio.fixture
async def channel(store: members.Store) -> AsyncIterator[grpc.aio.Channel]:
    await store.ready()
    async with store.channel() as opened:
        yield opened
