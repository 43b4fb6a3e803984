"""The contract's tests start stores and etcds as the store's own tests do."""

from __future__ import annotations

import sys
from pathlib import Path

for folder in (Path(__file__).parent, Path(__file__).parents[1] / "store"):
    sys.path.insert(0, str(folder))
