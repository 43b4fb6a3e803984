"""The disk seam: what stands on the machine's disk, and that nobody goes round it."""

from __future__ import annotations

import re
from pathlib import Path

import raftsman.store
from raftsman.store.wal import disk

STORE = Path(raftsman.store.__path__[0]).resolve()


def test_only_the_disk_syncs() -> None:
    syncing = {
        str(path.relative_to(STORE))
        for path in STORE.rglob("*.py")
        if re.search(r"os\.(fdatasync|fsync|sync_file_range)\(", path.read_text())
    }
    assert syncing == {"wal/disk.py"}


def test_a_file_is_created_empty_written_in_place_and_read(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    disk.REAL.make_folder(path.parent)
    for round_ in (1, 2):
        file = disk.REAL.create(path)
        disk.REAL.allocate(file, 100)
        disk.REAL.write_at(file, b"%d here" % round_, at=40)
        disk.REAL.sync(file)
        assert disk.REAL.read_at(file, 6, at=40) == b"%d here" % round_
        file.close()
        assert disk.REAL.size(path) == len(disk.REAL.read(path)) == 100
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_names_are_listed_in_order_replaced_and_removed(tmp_path: Path) -> None:
    for name in ("2.log", "1.log", "3.tmp"):
        disk.REAL.create(tmp_path / name).close()
    assert disk.REAL.list(tmp_path, "*.log") == [tmp_path / "1.log", tmp_path / "2.log"]
    disk.REAL.rename(tmp_path / "3.tmp", tmp_path / "1.log")
    disk.REAL.unlink(tmp_path / "2.log")
    disk.REAL.unlink(tmp_path / "2.log")
    assert disk.REAL.list(tmp_path, "*") == [tmp_path / "1.log"]
    assert disk.REAL.list(tmp_path / "nowhere", "*") == []
