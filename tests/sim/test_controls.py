"""Negative controls: what the simulation is for, it finds."""

from __future__ import annotations

import re

import pytest
from sim.controls import CONTROLS, Control, find
from sim.run import simulate


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
def test_a_mistake_is_found(control: Control) -> None:
    result = find(control)
    assert result is not None, f"{control.seeds} seeds found nothing"
    assert re.search(control.found, result.broken), result.broken
    assert simulate(result.plan).broken == "", "without the mistake"
