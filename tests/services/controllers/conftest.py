"""A fake API for the controllers' shells; their decisions need none."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parents[2] / "sdk"))

from fake_api import FakeApi


@pytest_asyncio.fixture
async def fake_api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as api:
        yield api
