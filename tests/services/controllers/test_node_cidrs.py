"""Pod addresses of nodes: each its own part, once, and soon."""

from __future__ import annotations

import ipaddress
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.services.controllers.node_cidrs import NodeCidrController, Plan, Ranges, decide

from .running import eventually, quiet, running

RANGES = Ranges(ipaddress.ip_network("10.244.0.0/16"), 24)


def node(name: str, cidr: str = "") -> core.Node:
    made = core.Node(metadata=meta.ObjectMeta(name=name))
    if cidr:
        made.spec.pod_cidr = cidr
        made.spec.pod_cidrs.append(cidr)
    return made


def test_a_node_without_addresses_gets_the_next_free_part() -> None:
    plan = decide(node("a"), taken=frozenset({0, 1}), ranges=RANGES, after=0)
    assert RANGES.part(plan.assign or 0) == "10.244.2.0/24"


def test_a_node_with_addresses_keeps_them() -> None:
    assert decide(node("a", "10.244.7.0/24"), taken=frozenset({7}), ranges=RANGES, after=7) == Plan()


def test_the_search_wraps_round() -> None:
    assert decide(node("a"), taken=frozenset(range(1, 256)), ranges=RANGES, after=255) == Plan(assign=0)


def test_when_nothing_is_left_it_says_so() -> None:
    assert decide(node("a"), taken=frozenset(range(256)), ranges=RANGES, after=3) == Plan(exhausted=True)


@pytest.mark.parametrize(
    ("cidr", "numbers"),
    [
        ("10.244.3.0/24", range(3, 4)),
        ("10.244.4.0/23", range(4, 6)),
        ("10.244.0.0/8", range(256)),
        ("10.244.9.128/25", range(9, 10)),
        ("192.168.0.0/24", range(0)),
        ("fd00::/64", range(0)),
        ("nonsense", range(0)),
    ],
)
def test_every_part_that_a_network_touches_is_taken(cidr: str, numbers: range) -> None:
    assert list(RANGES.numbers(cidr)) == list(numbers)


@given(st.integers(8, 24), st.integers(0, 8), st.data())
def test_a_part_touches_exactly_itself(prefix: int, extra: int, data: Any) -> None:
    ranges = Ranges(ipaddress.ip_network((0x0A000000 >> (32 - prefix) << (32 - prefix), prefix)), prefix + extra)
    number = data.draw(st.integers(0, ranges.count - 1))
    assert list(ranges.numbers(ranges.part(number))) == [number]


def test_a_mask_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="/8 does not fit"):
        Ranges(ipaddress.ip_network("10.244.0.0/16"), 8)


async def test_nodes_that_come_at_once_never_share_addresses(fake_api: Any) -> None:
    await fake_api.put(node("old", "10.244.0.0/24"))
    async with running(fake_api, NodeCidrController("10.244.0.0/16")):
        for number in range(20):
            await fake_api.put(node(f"n{number}"))
        await eventually(lambda: all(n.spec.pod_cidr for n in fake_api.all(core.Node)))
        cidrs = [n.spec.pod_cidr for n in fake_api.all(core.Node)]
        assert len(set(cidrs)) == 21
        await quiet(fake_api)


async def test_a_new_node_has_its_addresses_within_milliseconds(fake_api: Any) -> None:
    async with running(fake_api, NodeCidrController("10.244.0.0/16")):
        await fake_api.put(node("first"))
        await eventually(lambda: fake_api.find(core.Node, "first").spec.pod_cidr)
        started = time.monotonic()
        await fake_api.put(node("second"))
        await eventually(lambda: fake_api.find(core.Node, "second").spec.pod_cidr)
        assert time.monotonic() - started < 0.5


async def test_a_node_that_gets_none_is_told_by_an_event(fake_api: Any) -> None:
    await fake_api.put(node("full", "10.244.0.0/24"))
    async with running(fake_api, NodeCidrController("10.244.0.0/24")):
        await fake_api.put(node("late"))
        await eventually(lambda: fake_api.all(core.Event))
        assert fake_api.all(core.Event)[0].reason == "CIDRNotAvailable"
        assert not fake_api.find(core.Node, "late").spec.pod_cidr
