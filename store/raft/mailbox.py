"""Values from one thread to another's event loop: one wake-up for all that arrived meanwhile."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Any thread posts; `take` runs on `loop` with everything that was posted since it last ran.

    Unbounded itself: whoever posts bounds what it has outstanding.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, take: Callable[[list[T]], None]) -> None:
        self._loop = loop
        self._take = take
        self._items: deque[T] = deque()
        self._awake = False

    def post(self, item: T) -> None:
        self._items.append(item)
        if not self._awake:
            self._awake = True
            try:
                self._loop.call_soon_threadsafe(self._drain)
            except RuntimeError:
                self._items.clear()  # the loop is closed: its side has stopped

    def _drain(self) -> None:
        # Cleared first: what is posted from here on wakes the loop again, at worst once too often.
        self._awake = False
        items = []
        while self._items:
            items.append(self._items.popleft())
        if items:
            self._take(items)
