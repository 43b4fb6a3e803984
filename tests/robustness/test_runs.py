"""Real members under faults keep every promise; nothing of a run is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from robustness.faults import KINDS
from robustness.network import remove_leftovers
from robustness.run import Plan, run

pytestmark = pytest.mark.root

PROCESSES = ("kill", "kill the leader", "kill all", "pause", "pause the leader", "restart", "away")
LINKS = ("cut off", "cut off the leader", "one way", "one way to the leader", "weather", "cut streams")
SECONDS = 8.0
TESTS = Path(__file__).parents[1]


def left_behind(process: int) -> set[str]:
    """Namespaces of a process, and processes in them."""
    own = f"rb-{process}-"
    names = {path.name for path in Path("/run/netns").glob(f"{own}*")}
    for started in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if own in started.read_text():
                names.add(started.read_text())
        except OSError:
            continue
    return names


@pytest.mark.parametrize(
    ("members", "kinds"),
    [
        pytest.param(3, (*PROCESSES, *LINKS), id="three members, processes and links"),
        pytest.param(3, ("replace", "die at a step", "full disk", "weather"), id="members replaced"),
        pytest.param(5, (*LINKS, "kill"), id="five members, links"),
    ],
)
async def test_no_promise_is_broken(members: int, kinds: tuple[str, ...]) -> None:
    assert set(kinds) <= set(KINDS)
    drawn = Plan.drawn(f"ci {members} {kinds[0]}", members=members, seconds=SECONDS, kinds=kinds)
    plan = replace(drawn, clients=6, pause_s=0.02)
    result = await run(plan)
    assert not result.broken, "\n".join((str(result), *result.lines, str(plan)))
    assert result.answered > 20, str(result)
    assert result.faults >= 1, str(result)
    assert not left_behind(os.getpid())


def test_a_run_that_is_killed_leaves_no_process_and_the_next_one_tidies_up() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(TESTS), str(TESTS / "store")))}
    running = subprocess.Popen(
        [sys.executable, "-m", "robustness", "--seed=1", "--members=3", "--faults=kill"],
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 20
        while sum("--data-dir" in left for left in left_behind(running.pid)) < 3:
            assert time.monotonic() < until
            time.sleep(0.1)
    finally:
        running.kill()
        running.wait()
    while any("--data-dir" in left for left in left_behind(running.pid)):
        assert time.monotonic() < until + 10
        time.sleep(0.1)
    remove_leftovers()
    assert not left_behind(running.pid)
    assert not list(Path(tempfile.gettempdir()).glob(f"rb-{running.pid}-*"))
