"""Mistakes put into real members on purpose: each must be caught, or the other tests of this folder prove nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pytest
from robustness.mistaken import command
from robustness.run import Plan, run

pytestmark = pytest.mark.root

TRIES = 4


@dataclass(frozen=True)
class Control:
    mistake: str
    kinds: tuple[str, ...]
    found: str
    seconds: float


CONTROLS = (
    Control("stale reads", ("cut off", "cut off the leader"), "not linearizable", 6.0),
    Control("no sync", ("kill all",), "not linearizable|ended by itself|does not serve|differ|wait for revision", 6.0),
    Control("dropped event", (), "reliable|atomic", 3.0),
)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: str(control.mistake))
async def test_a_mistake_is_caught(control: Control) -> None:
    results = []
    for number in range(TRIES):
        seed = f"{control.mistake} {number}"
        drawn = Plan.drawn(seed, members=3, seconds=control.seconds, kinds=control.kinds)
        plan = replace(drawn, clients=8, keys=3, pause_s=0.01, converge_s=8.0, command=command(control.mistake))
        result = await run(plan)
        results.append(str(result))
        print(result)
        if result.broken:
            assert re.search(control.found, result.broken), "\n".join((result.broken, *result.lines))
            return
    raise AssertionError("\n".join(results))
