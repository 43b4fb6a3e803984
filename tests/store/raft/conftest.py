"""Raft's tests share `kernels.py`, and import the library as the store does: so that it breaks nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import raftsman.store.raft  # noqa: F401

sys.path.insert(0, str(Path(__file__).parent))
