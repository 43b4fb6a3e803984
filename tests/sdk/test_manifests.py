"""Manifests are read as people write them, and bad ones never harm the reader."""

from __future__ import annotations

from pathlib import Path

import pytest
from raftsman import errors, manifests


def test_documents_lists_and_empty_documents_are_told_apart() -> None:
    text = b"a: 1\n---\n---\n# nothing\n---\nkind: PodList\napiVersion: v1\nitems: [{metadata: {name: x}}]\n"
    found = [document.value for document in manifests.parse(text)]
    assert found == [{"a": 1}, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}]


def test_scalars_are_read_as_kubernetes_tools_read_them() -> None:
    text = b"a: 0644\nb: yes\nc: 12:30\nd: 2020-01-01\ne: 1e3\nf: ~\ng: y\nh: 0x1f\ni: '5'\n1: x\n"
    assert manifests.parse(text)[0].value == {
        "a": 420, "b": True, "c": "12:30", "d": "2020-01-01", "e": 1000, "f": None, "g": "y", "h": 31, "i": "5",
        "1": "x",
    }  # fmt: skip


@pytest.mark.parametrize("text", [b"a: {b: 1, b: 2}", b'{"a": {"b": 1, "b": 2}}', b"a:\n  b: 1\n  b: 2\n"])
def test_doubled_keys_are_problems(text: bytes) -> None:
    (problem,) = manifests.parse(text)[0].problems
    assert problem.field.endswith("b")


def test_aliases_and_merges_are_written_out() -> None:
    text = b"x: &x {q: 1, z: 1}\ny: {<<: *x, z: 2}\n"
    assert manifests.parse(text)[0].value["y"] == {"q": 1, "z": 2}


NINE = [b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 12)]
BOMB = b"a0: &a0 [x]\n" + b"".join(NINE)


@pytest.mark.parametrize(
    "text",
    [BOMB, b"a: &a [*a]", b"[" * 100_000, b'{"a":' * 100_000, b"- " * 50_000, b"? " * 50_000, b"a: [1\nb: 2", b"\xff",
     b"a: !!python/object:os.system x", b"a: .nan", b"[1]", b"\tx", b"a: *nope", b"{a: 1}}"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_and_never_harms(text: bytes) -> None:
    with pytest.raises(errors.BadRequest, match=r"error parsing bad\.yaml"):
        manifests.parse(text, source="bad.yaml")


def test_folders_are_read_in_order_and_deeper_ones_only_when_asked(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("n: 2")
    (tmp_path / "a.json").write_text('{"n": 1}')
    (tmp_path / "note.txt").write_text("no manifest")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "c.yml").write_text("n: 3")
    assert [d.value["n"] for d in manifests.read([str(tmp_path)])] == [1, 2]
    assert [d.value["n"] for d in manifests.read([str(tmp_path)], recursive=True)] == [1, 2, 3]
    with pytest.raises(errors.BadRequest, match="no such file"):
        manifests.read([str(tmp_path / "missing.yaml")])
