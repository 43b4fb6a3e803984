"""A client that goes in the middle of an answer is no error that anybody reads of."""

from __future__ import annotations

import asyncio

import grpc.aio
import pytest
from raftsman.store.server.departures import ends_with_its_client


@ends_with_its_client
async def at_once(error: Exception) -> None:
    raise error


@ends_with_its_client
async def in_a_task(error: Exception) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(at_once.__wrapped__(error))  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", [at_once, in_a_task])
async def test_a_client_that_is_gone_ends_its_stream(method: object) -> None:
    with pytest.raises(asyncio.CancelledError):
        await method(grpc.aio.InternalError("Failed execute_batch"))  # type: ignore[attr-defined, operator]


async def test_any_other_error_stays_one() -> None:
    with pytest.raises(ValueError, match="ours"):
        await at_once(ValueError("ours"))
    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        await in_a_task(ValueError("ours"))


@ends_with_its_client
async def well() -> None:
    return


async def test_what_ends_well_ends_well() -> None:
    await well()
