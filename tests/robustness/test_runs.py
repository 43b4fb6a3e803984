"""Real members under faults keep every promise; nothing of a run is left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from robustness.faults import KINDS
from robustness.run import Plan, run

pytestmark = pytest.mark.root

PROCESSES = ("kill", "kill the leader", "kill all", "pause", "pause the leader", "restart", "away")
LINKS = ("cut off", "cut off the leader", "one way", "one way to the leader", "weather", "cut streams")
SECONDS = 10.0


def left_behind() -> set[str]:
    """Namespaces of this process, and processes in them."""
    own = f"rb-{os.getpid()}-"
    names = {path.name for path in Path("/run/netns").glob(f"{own}*")}
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if own in process.read_text() and process.parent.name != str(os.getpid()):
                names.add(process.read_text())
        except OSError:
            continue
    return names


@pytest.mark.parametrize(
    ("members", "kinds"),
    [
        pytest.param(3, (*PROCESSES, *LINKS), id="three members, processes and links"),
        pytest.param(3, ("replace", "move the leader", "kill the leader", "weather"), id="members replaced"),
        pytest.param(5, (*LINKS, "kill"), id="five members, links"),
    ],
)
async def test_no_promise_is_broken(members: int, kinds: tuple[str, ...]) -> None:
    assert set(kinds) <= set(KINDS)
    plan = Plan.drawn(f"ci {members} {kinds[0]}", members=members, seconds=SECONDS, kinds=kinds)
    result = await run(plan)
    assert not result.broken, "\n".join((str(result), *result.lines, str(plan)))
    assert result.answered > 50, str(result)
    assert result.faults >= 2, str(result)
    assert not left_behind()
