"""A pod's end waits until nothing is sent to it any more."""

import asyncio

import pytest
from raftsman.agents.proxy import departures
from raftsman.agents.proxy.departures import Departures
from raftsman.discovery import v1 as discovery

from .api import endpoint_slice

ADDRESS = "10.244.0.7"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departures, "SETTLE_S", 0.02)


def slice_of(*addresses: str, ready: bool = True, name: str = "web") -> discovery.EndpointSlice:
    made = endpoint_slice(name, *addresses)
    for entry in made.endpoints:
        entry.conditions.ready = ready
    return made


def write(known: Departures) -> None:
    known.wrote(known.leaving(), now=asyncio.get_running_loop().time())


async def waits(known: Departures) -> bool:
    try:
        async with asyncio.timeout(0.005):
            await known.departed(ADDRESS)
    except TimeoutError:
        return True
    return False


async def test_an_address_that_nothing_was_sent_to_is_not_waited_for() -> None:
    known = Departures()
    known.changed(None, slice_of("10.244.0.8"))
    assert not await waits(known)


async def test_a_ready_endpoint_is_waited_for_until_the_rules_without_it_are_written_and_settled() -> None:
    known = Departures()
    known.changed(None, slice_of(ADDRESS))
    write(known)
    assert await waits(known)
    known.changed(slice_of(ADDRESS), slice_of(ADDRESS, ready=False))
    assert await waits(known)
    write(known)
    assert await waits(known)
    await known.departed(ADDRESS)
    assert not await waits(known)


async def test_who_waits_already_is_told() -> None:
    known = Departures()
    known.changed(None, slice_of(ADDRESS))
    waiting = asyncio.create_task(known.departed(ADDRESS))
    await asyncio.sleep(0)
    known.changed(slice_of(ADDRESS), None)
    write(known)
    await asyncio.wait_for(waiting, 1)


async def test_an_endpoint_of_two_services_left_when_both_let_it_go() -> None:
    known = Departures()
    known.changed(None, slice_of(ADDRESS))
    known.changed(None, slice_of(ADDRESS, name="other"))
    known.changed(slice_of(ADDRESS), None)
    write(known)
    assert await waits(known)
    known.changed(slice_of(ADDRESS, name="other"), None)
    write(known)
    await known.departed(ADDRESS)


async def test_an_address_that_is_used_again_is_waited_for_again() -> None:
    known = Departures()
    for _ in range(2):
        known.changed(None, slice_of(ADDRESS))
        write(known)
        known.changed(slice_of(ADDRESS), None)
        assert await waits(known)
        write(known)
        await known.departed(ADDRESS)


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departures, "LEFT_MAX", 1)
    known = Departures()
    for address in (ADDRESS, "10.244.0.8"):
        known.changed(None, slice_of(address))
        known.changed(slice_of(address), None)
        write(known)
    assert not await waits(known)
