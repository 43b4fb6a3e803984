"""The table of what is overridden in pysyncobj is complete, and its tests exist."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

from raftsman.store import raft
from raftsman.store.raft import kernel

SyncObj = kernel.Kernel.__bases__[0]
HERE = Path(__file__).parent


def test_every_test_in_the_table_exists() -> None:
    named = set(re.findall(r"test_\w+", raft.__doc__ or ""))
    found = {path.stem for path in [*HERE.glob("test_*.py"), *HERE.parent.glob("test_*.py")]}
    assert named
    assert named <= found


def test_every_private_name_that_is_touched_is_in_the_table() -> None:
    source = Path(kernel.__file__).read_text()
    touched = set(re.findall(r"_SyncObj__(\w+)", source)) | {"checkCommandsToApply"}
    assert touched
    assert {name for name in touched if name not in (raft.__doc__ or "")} == set()


def test_every_override_overrides_something() -> None:
    own = {name for name in vars(kernel.Kernel) if name.startswith("_SyncObj__")} | {"_checkCommandsToApply"}
    assert {name for name in own if not hasattr(SyncObj, name)} == set()


def test_the_library_is_the_one_that_was_read() -> None:
    assert version("pysyncobj") == "0.3.17"
