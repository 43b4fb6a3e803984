"""The file format: what is written is read back, by etcd's own tool too; what was changed since is never believed."""

from __future__ import annotations

import io
import json
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raftsman.store import bolt
from raftsman.store.bolt import pages

PAGE = pages.PAGE_BYTES
SIZES = st.sampled_from([0, 1, 15, 200, 1000, 4000, 4063, 4064, 4065, 9000, 70_000])
CONTENTS = st.dictionaries(
    st.binary(min_size=1, max_size=12),
    st.dictionaries(st.binary(min_size=1, max_size=40), SIZES.map(lambda size: b"v" * size), max_size=60),
    max_size=4,
)


def put(path: Path, buckets: dict[bytes, dict[bytes, bytes]]) -> Path:
    with path.open("w+b") as file:
        size = bolt.write(file, ((name, sorted(items.items())) for name, items in buckets.items()))
    assert path.stat().st_size == size
    return path


def everything(path: Path, *, trailer: int = 0) -> dict[bytes, dict[bytes, bytes]]:
    with bolt.Database(path, trailer=trailer) as database:
        return {name: dict(database.items(name)) for name in database.buckets}


def heads(data: bytes | bytearray) -> Iterator[tuple[int, int, int]]:
    """Where each page begins, its flags, and how many elements it has."""
    place = 0
    while place < len(data):
        _, flags, count, overflow = pages.PAGE.unpack_from(data, place)
        yield place, flags, count
        place += (overflow + 1) * PAGE


def branches(path: Path) -> Iterator[int]:
    """How many children every branch page has."""
    return (count for _, flags, count in heads(path.read_bytes()) if flags == pages.BRANCH)


@given(CONTENTS)
@settings(max_examples=80, deadline=None)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[bytes, dict[bytes, bytes]]
) -> None:
    path = put(tmp_path_factory.mktemp("bolt") / "db", contents)
    assert everything(path) == contents


@given(count=st.integers(0, 30_000), key_bytes=st.sampled_from([8, 17, 400, 3000]))
@settings(max_examples=15, deadline=None)
def test_no_branch_has_an_only_child(tmp_path_factory: pytest.TempPathFactory, count: int, key_bytes: int) -> None:
    count = count * 8 // key_bytes
    items = {number.to_bytes(8, "big").ljust(key_bytes, b"k"): b"" for number in range(count)}
    path = put(tmp_path_factory.mktemp("bolt") / "db", {b"key": items})
    assert everything(path) == {b"key": items}
    assert all(children >= 2 for children in branches(path))


def test_keys_out_of_order_are_a_mistake_of_the_writer() -> None:
    for keys in ([b"b", b"a"], [b"a", b"a"], [b""]):
        with pytest.raises(AssertionError):
            bolt.write(io.BytesIO(), [(b"key", [(key, b"") for key in keys])])


def test_values_of_half_a_page_do_not_leave_pages_half_empty(tmp_path: Path) -> None:
    items = {number.to_bytes(8, "big"): bytes(2100) for number in range(1000)}
    path = put(tmp_path / "db", {b"key": items})
    assert path.stat().st_size < 1.25 * 1000 * 2100


@pytest.mark.etcdctl
def test_etcdctl_finds_no_fault_in_a_deep_tree(tmp_path: Path) -> None:
    revisions = {struct.pack(">QsQ", number, b"_", 0): b"v" * (number % 50 or 9000) for number in range(1, 60_001)}
    path = put(tmp_path / "db", {b"key": revisions, b"lease": {}, b"meta": {b"a": b"b"}})
    assert len(list(branches(path))) > 2
    answer = subprocess.run(
        ["etcdctl", "snapshot", "status", "-w", "json", path],
        env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
    )
    status = json.loads(answer.stdout)
    assert (status["revision"], status["totalKey"], status["totalSize"]) == (60_000, 60_001, path.stat().st_size)


SMALL = {b"key": {b"%04d" % number: b"value" * 20 for number in range(200)}, b"lease": {}, b"meta": {b"a": b"b"}}


def test_every_truncation_is_named(tmp_path: Path) -> None:
    path = put(tmp_path / "db", SMALL)
    whole = path.read_bytes()
    for size in [*range(200), *range(200, len(whole), 509), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(bolt.BoltError, match=str(path)):
            everything(path)


def test_every_flipped_bit_of_the_structure_is_named_or_harmless(tmp_path: Path) -> None:
    """Heads of pages and elements; contents have the hash behind the database."""
    path = put(tmp_path / "db", SMALL)
    whole = path.read_bytes()
    tried = named = 0
    for page, _, _ in heads(whole):
        for place in range(page, page + 16 + 48):
            tried += 1
            damaged = bytearray(whole)
            damaged[place] ^= 0x41
            path.write_bytes(damaged)
            try:
                found = everything(path)
            except bolt.BoltError:
                named += 1
            else:
                assert found.keys() == SMALL.keys() or page >= 2 * PAGE
    assert named > tried / 3


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_garbage_raises_what_it_should(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = put(tmp_path_factory.mktemp("bolt") / "db", SMALL)
    garbled = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(2 * PAGE, len(garbled) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=32))
        garbled[place : place + len(piece)] = piece
    path.write_bytes(garbled)
    try:
        everything(path)
    except bolt.BoltError:
        pass


def test_a_cycle_ends(tmp_path: Path) -> None:
    path = put(tmp_path / "db", SMALL)
    data = bytearray(path.read_bytes())
    branch = next(place for place, flags, _ in heads(data) if flags == pages.BRANCH)
    (number,) = struct.unpack_from("<Q", data, branch)
    struct.pack_into("<Q", data, branch + 16 + 8, number)
    path.write_bytes(data)
    with pytest.raises(bolt.Damaged, match="used twice"):
        everything(path)


def test_the_older_meta_serves_when_the_newer_is_torn(tmp_path: Path) -> None:
    path = put(tmp_path / "db", SMALL)
    for torn in (0, PAGE):
        data = bytearray(put(path, SMALL).read_bytes())
        data[torn + 30] ^= 0xFF
        path.write_bytes(data)
        assert everything(path) == SMALL


@pytest.mark.parametrize("content", [b"", b"x" * 100_000, bytes(8192)])
def test_another_kind_of_file_is_called_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(bolt.NotABolt):
        everything(path)
