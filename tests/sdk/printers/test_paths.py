"""JSONPath as users write it for `-o jsonpath`."""

from __future__ import annotations

from typing import Any

import pytest
from raftsman import errors
from raftsman.printers import paths

DATA: dict[str, Any] = {
    "kind": "List",
    "items": [
        {"metadata": {"name": "a", "labels": {"x.y/z": "1"}}, "n": 1, "ok": True,
         "conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
        {"metadata": {"name": "b"}, "n": 2},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.items[*].metadata.name}", "a b"),
        ("{.items[0].metadata.name}/{.kind}", "a/List"),
        ("{.items[-1].n}", "2"),
        ("{.items[0:1].n}", "1"),
        ("{..name}", "a b"),
        ("{range .items[*]}{.metadata.name}{'\\t'}{.n}{\"\\n\"}{end}", "a\t1\nb\t2\n"),
        (r"{.items[0].metadata.labels.x\.y/z}", "1"),
        ("{.items[0].metadata.labels['x.y/z']}", "1"),
        ('{.items[0].conditions[?(@.type=="Ready")].status}', "True"),
        ("{.items[?(@.n>1)].metadata.name}", "b"),
        ("{.items[?(@.ok)].metadata.name}", "a"),
        ("{.missing}", ""),
        ("{.items[1].metadata}", '{"name":"b"}'),
        ("kind", "List"),
        ("no {.kind} braces", "no List braces"),
    ],
)
def test_a_template_prints(template: str, text: str) -> None:
    assert paths.render(template, DATA) == text


@pytest.mark.parametrize("template", ["{.a", "{range .a}", "{end}", "{.a[}", "{.a[?(x y z)]}", "{'a}", "{.a[b]}"])
def test_a_malformed_template_is_refused(template: str) -> None:
    with pytest.raises(errors.BadRequest):
        paths.render(template, DATA)
