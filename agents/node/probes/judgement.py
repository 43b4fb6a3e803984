"""What a row of probe results means. Pure.

liveness, failureThreshold 3:    ok ok FAIL FAIL ok FAIL FAIL FAIL   -> given up at the last one
readiness, successThreshold 1:   (not ready) FAIL ok                 -> ready at the last one
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from raftsman.core import v1 as core


class Role(enum.Enum):
    STARTUP = "startup"
    LIVENESS = "liveness"
    READINESS = "readiness"


@dataclass(frozen=True, slots=True)
class Timing:
    """A probe's numbers with their defaults, in seconds and in results."""

    initial_delay_s: float = 0.0
    period_s: float = 10.0
    timeout_s: float = 1.0
    successes: int = 1
    failures: int = 3


def timing_of(probe: core.Probe) -> Timing:
    return Timing(
        initial_delay_s=float(probe.initial_delay_seconds),
        period_s=float(probe.period_seconds or 10),
        timeout_s=float(probe.timeout_seconds or 1),
        successes=probe.success_threshold or 1,
        failures=probe.failure_threshold or 3,
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one probe of one container stands."""

    passing: bool
    """What holds until enough results say otherwise: a liveness probe begins passing, the others do not."""
    run: int = 0
    """How many results in a row disagree with `passing`."""
    given_up: bool = False
    """A liveness or startup probe has failed often enough: kill the container."""


def begin(role: Role) -> Standing:
    return Standing(passing=role is Role.LIVENESS)


def judge(standing: Standing, passed: bool, *, role: Role, timing: Timing) -> Standing:
    """The standing after one more result."""
    if role is Role.STARTUP and not passed:
        run = standing.run + 1
        return replace(standing, run=run, given_up=run >= timing.failures)
    if passed == standing.passing:
        return replace(standing, run=0)
    run = standing.run + 1
    if run < (timing.successes if passed else timing.failures):
        return replace(standing, run=run)
    return Standing(passing=passed, given_up=role is Role.LIVENESS and not passed)
