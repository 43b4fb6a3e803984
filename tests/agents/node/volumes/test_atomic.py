"""Volumes change as a whole or not at all."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raftsman.agents.node.volumes import atomic
from raftsman.agents.node.volumes.atomic import File

_names = st.text("abc.-_", min_size=1, max_size=6).filter(lambda n: not n.startswith("..") and n != ".")
_payloads = st.dictionaries(
    _names, st.builds(File, st.binary(max_size=20), st.sampled_from((0o644, 0o400))), max_size=5
)


def shown(volume: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(volume)): path.read_bytes()
        for path in volume.rglob("*")
        if not any(part.startswith("..") for part in path.relative_to(volume).parts) and path.is_file()
    }


@given(payloads=st.lists(_payloads, min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_a_volume_shows_exactly_what_was_written_last(payloads: list[dict[str, File]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        volume = Path(folder, "v")
        for payload in payloads:
            atomic.write(volume, payload)
            assert shown(volume) == {name: file.data for name, file in payload.items()}
            assert len([p for p in volume.iterdir() if p.name.startswith("..2")]) == 1
            assert not atomic.write(volume, payload)


def test_paths_with_directories_and_modes(tmp_path: Path) -> None:
    atomic.write(tmp_path / "v", {"a/b/c": File(b"1", 0o600), "d": File(b"2")})
    assert (tmp_path / "v/a/b/c").read_bytes() == b"1"
    assert (tmp_path / "v/a/b/c").stat().st_mode & 0o777 == 0o600
    assert os.readlink(tmp_path / "v/a") == "..data/a"


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "..data", ""])
def test_a_path_outside_the_volume_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="not a path inside"):
        atomic.write(tmp_path / "v", {path: File(b"")})


@pytest.mark.root
def test_the_group_of_the_pod_may_read_what_the_owner_may(tmp_path: Path) -> None:
    atomic.write(tmp_path / "v", {"k": File(b"1", 0o400)}, group=2000)
    facts = (tmp_path / "v/k").stat()
    assert (facts.st_gid, facts.st_mode & 0o777) == (2000, 0o440)


def test_a_reader_never_sees_half_of_a_change(tmp_path: Path) -> None:
    volume, seen, stop = tmp_path / "v", set(), threading.Event()
    atomic.write(volume, {"a": File(b"0"), "b": File(b"0")})

    def read() -> None:
        while not stop.is_set():
            folder = os.open(volume / "..data", os.O_RDONLY)
            try:
                pair = []
                for name in ("a", "b"):
                    descriptor = os.open(name, os.O_RDONLY, dir_fd=folder)
                    pair.append(os.read(descriptor, 9))
                    os.close(descriptor)
                seen.add(tuple(pair))
            except FileNotFoundError:
                pass  # the old set was taken away while it was read: the reader opens again
            finally:
                os.close(folder)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 60):
        text = str(number).encode()
        atomic.write(volume, {"a": File(text), "b": File(text)})
    stop.set()
    reader.join()
    assert all(a == b for a, b in seen)
