"""Quantities in their canonical form; what is no quantity is left for validation to name."""

from __future__ import annotations

from collections.abc import MutableMapping

from raftsman import quantity
from raftsman.meta import v1 as meta


def canonical(found: MutableMapping[str, meta.Quantity]) -> None:
    for one in found.values():
        canonical_one(one)


def canonical_one(found: meta.Quantity) -> None:
    try:
        found.string = quantity.format(found.string)
    except quantity.QuantityError:
        pass
