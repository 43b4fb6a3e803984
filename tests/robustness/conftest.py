"""These tests are imported as `robustness`, as scripts/robustness does; certificates come from the store's tests."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "store")]
