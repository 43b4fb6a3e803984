"""A fake API for the shells of controllers, and a real one with all that `control` runs; decisions need neither."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from ..control.conftest import client, cluster, namespace  # noqa: F401, TID252

sys.path.insert(0, str(Path(__file__).parents[2] / "sdk"))

from fake_api import FakeApi


@pytest_asyncio.fixture
async def fake_api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as api:
        yield api
