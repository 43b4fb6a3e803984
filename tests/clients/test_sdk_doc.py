"""Every block of Python in docs/SDK.md runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs/SDK.md"
BLOCKS = re.findall(r"## ([^\n]+)\n(?:(?!\n## ).)*?```python\n(.*?)```", DOCUMENT.read_text(), re.S)


def test_each_section_with_code_is_known() -> None:
    assert len(BLOCKS) == DOCUMENT.read_text().count("```python") == 5


@pytest.mark.parametrize(("title", "block"), BLOCKS, ids=[title for title, _ in BLOCKS])
def test_a_block_runs(title: str, block: str, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    exec(compile(block, f"{DOCUMENT.name}: {title}", "exec", dont_inherit=True), {"__name__": "__main__"})
