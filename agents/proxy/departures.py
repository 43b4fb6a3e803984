"""Who is sent new connections at present, and who no longer is: what a pod's end waits for.

Fed by the proxy's informer handlers and by its writes. An address is a pod's; it counts as receiving while any endpoint
slice calls it ready, and as left once the rules without it are in the kernel.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterator

from raftsman.discovery import v1 as discovery

SETTLE_S = 0.2
"""How long a connection that the former rules sent has to be accepted and answered."""
LEFT_MAX = 1024
"""Addresses that are remembered as left. Those beyond are not waited for."""


class Departures:
    """On the event loop only; `now` is on its clock."""

    def __init__(self) -> None:
        self._ready: Counter[str] = Counter()
        self._leaving: set[str] = set()
        self._left_at: OrderedDict[str, float] = OrderedDict()
        self._written = asyncio.Event()

    def changed(self, old: discovery.EndpointSlice | None, new: discovery.EndpointSlice | None) -> None:
        before, after = Counter(_ready(old)), Counter(_ready(new))
        self._ready.update(after)
        self._ready -= before
        for address in before.keys() ^ after.keys():
            self._left_at.pop(address, None)
            if address in self._ready:
                self._leaving.discard(address)
            else:
                self._leaving.add(address)

    def leaving(self) -> frozenset[str]:
        """The addresses that the next write leaves out; give them to `wrote` once it is done."""
        return frozenset(self._leaving)

    def wrote(self, without: frozenset[str], *, now: float) -> None:
        """The rules are in the kernel, without these addresses."""
        for address in without & self._leaving:
            self._leaving.discard(address)
            self._left_at[address] = now
        while len(self._left_at) > LEFT_MAX:
            self._left_at.popitem(last=False)
        written, self._written = self._written, asyncio.Event()
        written.set()

    async def departed(self, address: str) -> None:
        """Wait until nothing is sent to the address any more and what was sent had SETTLE_S; at once if none ever was.

        Not bounded: it is the caller's to give up.
        """
        while address in self._ready or address in self._leaving:
            await self._written.wait()
        left_at = self._left_at.get(address)
        if left_at is not None:
            await asyncio.sleep(max(0.0, left_at + SETTLE_S - asyncio.get_running_loop().time()))


def _ready(held: discovery.EndpointSlice | None) -> Iterator[str]:
    for entry in held.endpoints if held is not None else ():
        if not entry.conditions.HasField("ready") or entry.conditions.ready:
            yield from entry.addresses
