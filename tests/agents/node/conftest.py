"""A fake API for the shells that write to one."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from raftsman import Client

sys.path.insert(0, str(Path(__file__).parents[2] / "sdk"))

from fake_api import FakeApi


@pytest_asyncio.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as api:
        yield api


@pytest_asyncio.fixture
async def client(api: FakeApi) -> AsyncIterator[Client]:
    async with api.client() as client:
        yield client
