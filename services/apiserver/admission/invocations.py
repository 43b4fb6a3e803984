"""Which mutating webhooks were asked, and which are to be asked again: somebody changed the object after them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_Key = tuple[str, int]


@dataclass(slots=True)
class Invocations:
    """Of one request. `before`: asked, and to be asked again if the object changes; `again`: it did."""

    before: set[_Key] = field(default_factory=set)
    again: set[_Key] = field(default_factory=set)
    changed: bool = False
    # The object's JSON as the webhooks left it.
    output: Any = None

    def note_change(self) -> None:
        self.again |= self.before
        self.before.clear()
        self.changed = True
