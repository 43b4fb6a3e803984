"""The log on disk: what was synced is read back, a torn tail is cut, anything else is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from raftsman.store.wal import disk
from raftsman.store.wal import log as wal

SEGMENT = 4096


def opened(folder: Path) -> wal.Wal:
    return wal.Wal(folder, segment_bytes=SEGMENT)


def filled(folder: Path, batches: list[list[bytes]]) -> None:
    log = opened(folder)
    index = 0
    for batch in batches:
        for payload in batch:
            index += 1
            log.append(wal.ENTRY, index.to_bytes(8, "little") + payload, index=index)
        log.sync(b"meta")
    log.close()


def entries(folder: Path) -> list[bytes]:
    log = opened(folder)
    log.close()
    return [record.payload[8:] for record in log.records if record.kind == wal.ENTRY]


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("wal-*.log"))


BATCHES = [[b"one", b"two"], [b"x" * 700], [b"three", b"\0" * 40, b"four"]]
PAYLOADS = [payload for batch in BATCHES for payload in batch]


def test_what_was_synced_is_read_back(tmp_path: Path) -> None:
    filled(tmp_path, BATCHES)
    assert entries(tmp_path) == PAYLOADS
    assert entries(tmp_path) == PAYLOADS


def test_what_was_not_synced_is_not(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.append(wal.ENTRY, b"12345678" + b"never", index=1)
    log.close()
    assert entries(tmp_path) == []


def test_a_log_goes_on_where_it_ended_and_over_segments(tmp_path: Path) -> None:
    expected = []
    for round_ in range(12):
        log = opened(tmp_path)
        log.append(wal.ENTRY, round_.to_bytes(8, "little") + bytes([round_ + 1]) * 900, index=round_ + 1)
        log.sync(b"meta")
        log.close()
        expected.append(bytes([round_ + 1]) * 900)
    assert entries(tmp_path) == expected
    assert len(segments(tmp_path)) > 1
    log = opened(tmp_path)
    assert [record.payload for record in log.records if record.kind == wal.META] == [b"meta"] * len(segments(tmp_path))
    log.drop_before(12)
    log.close()
    assert len(segments(tmp_path)) == 1
    assert entries(tmp_path)[-1] == expected[-1]


def test_a_batch_larger_than_a_segment_gets_its_own(tmp_path: Path) -> None:
    filled(tmp_path, [[b"a"], [b"y" * 3 * SEGMENT], [b"b"]])
    assert entries(tmp_path) == [b"a", b"y" * 3 * SEGMENT, b"b"]


def test_every_flipped_byte_is_found_or_harmless(tmp_path: Path) -> None:
    filled(tmp_path, BATCHES)
    path = segments(tmp_path)[0]
    whole = path.read_bytes()
    refused = 0
    written = len(whole.rstrip(b"\0"))
    for place in [*range(written + 40), *range(written + 40, len(whole), 97)]:
        broken = bytearray(whole)
        broken[place] ^= 0x41
        path.write_bytes(broken)
        try:
            assert entries(tmp_path) == PAYLOADS, place
        except wal.WalDamaged as error:
            refused += str(path) in str(error)
    assert refused >= sum(map(len, PAYLOADS))


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    filled(tmp_path, BATCHES)
    path = segments(tmp_path)[0]
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(wal.WalDamaged):
            opened(tmp_path)


def test_a_batch_torn_by_a_crash_is_cut_whatever_sectors_are_missing(tmp_path: Path) -> None:
    filled(tmp_path, BATCHES[:1])
    path = segments(tmp_path)[0]
    before = path.read_bytes()
    log = opened(tmp_path)
    for index, payload in enumerate((b"p" * 600, b"q" * 600, b"r" * 600)):
        log.append(wal.ENTRY, (index + 3).to_bytes(8, "little") + payload, index=index + 3)
    log.sync(b"meta")
    log.close()
    after = path.read_bytes()
    sectors = [at for at in range(0, len(after), 512) if before[at : at + 512] != after[at : at + 512]]
    assert len(sectors) >= 4
    for lost in range(1, 2 ** len(sectors)):
        torn = bytearray(after)
        for bit, at in enumerate(sectors):
            if lost >> bit & 1:
                torn[at : at + 512] = before[at : at + 512]
        path.write_bytes(torn)
        assert entries(tmp_path) == BATCHES[0], lost
        path.write_bytes(torn)
        log = opened(tmp_path)
        log.append(wal.ENTRY, (3).to_bytes(8, "little") + b"next", index=3)
        log.sync(b"meta")
        log.close()
        assert entries(tmp_path) == [*BATCHES[0], b"next"]


def test_a_synced_batch_that_lost_a_sector_is_damage_when_another_follows(tmp_path: Path) -> None:
    filled(tmp_path, [[b"a"], [b"z" * 1500], [b"b"]])
    path = segments(tmp_path)[0]
    whole = bytearray(path.read_bytes())
    whole[1024:1536] = bytes(512)
    path.write_bytes(whole)
    with pytest.raises(wal.WalDamaged, match="damaged in batch 2"):
        opened(tmp_path)


def test_a_missing_segment_is_refused(tmp_path: Path) -> None:
    filled(tmp_path, [[bytes([n]) * 3000] for n in range(1, 6)])
    segments(tmp_path)[2].unlink()
    with pytest.raises(wal.WalDamaged, match="a segment is missing"):
        opened(tmp_path)


def test_a_newer_format_is_refused_by_its_number(tmp_path: Path) -> None:
    filled(tmp_path, BATCHES)
    path = segments(tmp_path)[0]
    head = bytearray(path.read_bytes())
    head[4] = 9
    head[wal._HEAD_CRC_AT : wal._HEAD.size] = wal.zlib.crc32(bytes(head[: wal._HEAD_CRC_AT])).to_bytes(4, "little")
    path.write_bytes(head)
    with pytest.raises(wal.WalDamaged, match="format version 9"):
        opened(tmp_path)


def test_a_segment_that_was_never_finished_is_ignored(tmp_path: Path) -> None:
    filled(tmp_path, BATCHES)
    (tmp_path / "wal-0000000000000002.tmp").write_bytes(b"half a segm")
    assert entries(tmp_path) == PAYLOADS
    assert not list(tmp_path.glob("*.tmp"))


def test_a_full_disk_shows_when_a_segment_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk.os, "posix_fallocate", full)
    log = opened(tmp_path)
    log.append(wal.ENTRY, b"12345678", index=1)
    with pytest.raises(OSError, match="No space"):
        log.sync(b"meta")


class Small(disk.Real):
    """A disk that has room for so many more allocations."""

    def __init__(self, allocations: int) -> None:
        self.left = allocations

    def allocate(self, file: disk.File, size: int) -> None:
        if not self.left:
            raise OSError(28, "No space left on device")
        self.left -= 1
        super().allocate(file, size)


def test_a_spare_segment_takes_what_comes_after_the_disk_was_full(tmp_path: Path) -> None:
    log = wal.Wal(tmp_path, segment_bytes=1 << 16, disk=Small(2))
    assert log.reserve()
    count = 0
    while not log.short or log.room > 2000:  # the spare becomes the first segment, then there is one more, then none
        count += 1
        log.append(wal.ENTRY, count.to_bytes(8, "little") + bytes(900), index=count)
        log.sync(b"meta")
        log.reserve()
    assert not log.reserve()
    assert len(segments(tmp_path)) == 2
    assert count > 2 * 60
    log.append(wal.ENTRY, (count + 1).to_bytes(8, "little") + bytes(9000), index=count + 1)
    assert log.room < 0
    with pytest.raises(OSError, match="No space"):
        log.sync(b"meta")
    log.close()
    assert len(entries(tmp_path)) == count


def test_room_is_never_more_than_what_fits(tmp_path: Path) -> None:
    log = wal.Wal(tmp_path, segment_bytes=1 << 16, disk=Small(2))
    log.reserve()
    index = 0
    while log.room > 1000:
        index += 1
        log.append(wal.ENTRY, index.to_bytes(8, "little") + bytes(min(log.room - 100, 9000)), index=index)
        log.sync(b"meta")
        log.reserve()
    log.close()
    assert len(entries(tmp_path)) == index


def test_a_spare_segment_that_a_crash_left_is_made_again(tmp_path: Path) -> None:
    filled(tmp_path, BATCHES)
    (tmp_path / "spare").write_bytes(b"whatever")
    assert entries(tmp_path) == PAYLOADS
    assert not (tmp_path / "spare").exists()
