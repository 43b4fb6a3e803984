"""What the documents say of tests is true: every test that they name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def named(document: str) -> list[tuple[str, str]]:
    return NAMED.findall((ROOT / "docs" / document).read_text())


@pytest.mark.parametrize("document", ["GUARANTEES.md", "TESTING.md"])
def test_every_test_that_is_named_exists(document: str) -> None:
    tests = named(document)
    assert tests
    missing = [
        f"{path}::{name}"
        for path, name in tests
        if not (ROOT / path).exists() or not re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.M)
    ]
    assert missing == []


def test_every_promise_has_a_test() -> None:
    text = (ROOT / "docs" / "GUARANTEES.md").read_text()
    sections = re.split(r"^## ", text, flags=re.M)[1:]
    without = [section.partition("\n")[0] for section in sections if not NAMED.search(section)]
    assert without == ["What is not promised"]
