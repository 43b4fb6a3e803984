"""Indexes of an indexed job as its status writes them: `1,3-5,7`, in order, each below the number of completions."""

from __future__ import annotations

from collections.abc import Iterator


class BadIndexes(ValueError):
    """Says what is wrong with them."""


def count(text: str, completions: int) -> int:
    """How many they are. BadIndexes if they cannot be read."""
    total, last = 0, -1
    for first, end in _intervals(text, completions):
        if first <= last:
            raise BadIndexes(f"non-increasing order, previous: {last}, current: {first}")
        total += end - first + 1
        last = end
    return total


def overlap(one: str, other: str, completions: int) -> int | None:
    """The first index that is in both. BadIndexes if either cannot be read."""
    ours, theirs = list(_intervals(one, completions)), list(_intervals(other, completions))
    while ours and theirs:
        (first, end), (other_first, other_end) = ours[0], theirs[0]
        if first <= other_end and other_first <= end:
            return max(first, other_first)
        (ours if first <= other_first else theirs).pop(0)
    return None


def _intervals(text: str, completions: int) -> Iterator[tuple[int, int]]:
    for part in text.split(",") if text else ():
        ends = part.split("-")
        if len(ends) > 2:
            raise BadIndexes(
                f'the fragment "{part}" violates the requirement that an index interval can have at most two parts '
                "separated by '-'"
            )
        numbers = [_index(one, completions) for one in ends]
        if len(numbers) == 2 and numbers[0] >= numbers[1]:
            raise BadIndexes(f"non-increasing order, previous: {numbers[0]}, current: {numbers[1]}")
        yield numbers[0], numbers[-1]


def _index(text: str, completions: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise BadIndexes(f'cannot convert string to integer for index: "{text}"')
    if int(text) >= completions:
        raise BadIndexes(f'too large index: "{text}"')
    return int(text)
