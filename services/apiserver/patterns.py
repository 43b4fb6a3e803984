"""Patterns of schemas and of CEL's searches: RE2's, as Go has them. Matching is linear in the text, always.

At most KEPT_MAX compiled patterns are kept.
"""

from __future__ import annotations

import functools
from typing import Any

import re2

KEPT_MAX = 4096
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False


@functools.lru_cache(maxsize=KEPT_MAX)
def compiled(pattern: str) -> Any:
    """Raises re2.error for one that is none."""
    return re2.compile(pattern, _OPTIONS)


def problem(pattern: str) -> str:
    """What is wrong with a pattern; "" if nothing."""
    try:
        compiled(pattern)
    except re2.error as error:
        said = error.args[0] if error.args else error
        return f"error parsing regexp: {said.decode() if isinstance(said, bytes) else said}"
    return ""


def matches(pattern: str, text: str) -> bool:
    """Whether a text, or a part of it, is what a pattern describes; true if nobody can say."""
    try:
        return compiled(pattern).search(text) is not None
    except re2.error:
        return True
