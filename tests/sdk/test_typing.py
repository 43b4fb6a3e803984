"""The SDK's types, as a user's type checker sees them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SAMPLE = Path(__file__).with_name("typed_use.py")
ROOT = Path(__file__).parents[2]


def test_results_have_the_type_of_the_message_that_was_asked_for() -> None:
    subprocess.run([ROOT / "scripts/links"], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", str(SAMPLE)], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    found = re.findall(r'Revealed type is "(.*)"', done.stdout)
    short = [re.sub(r"[\w.]+\.(\w+)", r"\1", name) for name in found]
    assert short == re.findall(r"reveal_type\(.*\)  # (.+)", SAMPLE.read_text()), done.stdout
