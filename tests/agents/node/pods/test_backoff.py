"""How long restarts and retries wait."""

from __future__ import annotations

from dataclasses import replace

from raftsman.agents.node.pods import backoff
from raftsman.agents.node.pods.observation import Backoff

from .builders import NOW, ago, ended, run


def test_restarts_wait_ten_seconds_and_double_up_to_five_minutes() -> None:
    last, held, delays = ended(run(), 1), None, []
    for _ in range(7):
        held = backoff.after_restart(held, last)
        delays.append(held.delay_s)
    assert delays == [10, 20, 40, 80, 160, 300, 300]


def test_ten_minutes_of_running_forget_the_past() -> None:
    last = ended(run(), 1)
    assert last.exit is not None
    steady = replace(last, started_at=ago(601), exit=replace(last.exit, finished_at=ago(0)))
    assert backoff.after_restart(Backoff(300.0), steady).delay_s == 10
    assert backoff.restart_at(Backoff(300.0), steady) is None


def test_faults_of_one_reason_grow_and_another_reason_begins_anew() -> None:
    fault = backoff.after_fault(None, "ErrImagePull", "x", now=NOW)
    assert fault.delay_s == 10
    fault = backoff.after_fault(fault, "ErrImagePull", "x", now=NOW)
    assert fault.delay_s == 20
    fault = backoff.after_fault(fault, "CreateContainerConfigError", "x", now=NOW)
    assert fault.delay_s == 1
    for _ in range(9):
        fault = backoff.after_fault(fault, "CreateContainerConfigError", "x", now=NOW)
    assert fault.delay_s == backoff.CONFIG_MAX_S
