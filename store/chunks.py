"""How operations that came together are cut into what goes into the log as one piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

CHUNK_BYTES = 128 << 10
CHUNK_OPERATIONS = 1_024


class _Carrying(Protocol):
    @property
    def payload(self) -> bytes: ...


T = TypeVar("T", bound=_Carrying)


def cut(proposals: Sequence[T]) -> Iterator[Sequence[T]]:
    """Parts of at most CHUNK_BYTES and CHUNK_OPERATIONS, or of one larger operation."""
    start = size = 0
    for place, proposal in enumerate(proposals):
        if place > start and (size + len(proposal.payload) > CHUNK_BYTES or place - start >= CHUNK_OPERATIONS):
            yield proposals[start:place]
            start, size = place, 0
        size += len(proposal.payload)
    yield proposals[start:]
