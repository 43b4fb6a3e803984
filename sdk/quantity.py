"""Resource quantities: exact decimal and binary amounts, printed in Kubernetes' canonical form.

`parse("1.5Gi")`, `to_milli("250m") == 250`, `to_int("1Gi")`, `format("1024Mi") == "1Gi"`. Amounts are kept as whole
nano-units (smaller fractions are rounded away from zero) and capped at 2**63-1, as apimachinery does.
"""

from __future__ import annotations

import enum
import functools
import re
from dataclasses import dataclass

_NANO = 10**9
_MILLI = 10**6
_TEXT_MAX = 100
MAXIMUM = (2**63 - 1) * _NANO

_SYNTAX = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?\d{1,3})?", re.ASCII)
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY_SUFFIXES = {power: suffix for suffix, power in _BINARY.items()}
_DECIMAL_SUFFIXES = {exponent: suffix for suffix, exponent in _DECIMAL.items()}


class QuantityError(ValueError):
    """Text that is no quantity; the message names the text and the form that would be right."""


class Notation(enum.Enum):
    DECIMAL = "decimal"
    BINARY = "binary"
    EXPONENT = "exponent"


@functools.total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Quantity:
    """An amount in whole nano-units and the notation it is printed in. Equality and order look at the amount only."""

    nano: int
    notation: Notation = Notation.DECIMAL

    @property
    def milli(self) -> int:
        """Thousandths, rounded away from zero."""
        return _divide_away(self.nano, _MILLI)

    @property
    def value(self) -> int:
        """Whole units, rounded away from zero."""
        return _divide_away(self.nano, _NANO)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.nano == other.nano

    def __hash__(self) -> int:
        return hash(self.nano)

    def __lt__(self, other: Quantity) -> bool:
        return self.nano < other.nano

    def __bool__(self) -> bool:
        return self.nano != 0

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.nano + other.nano, self.notation if self.nano else other.notation)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.nano - other.nano, self.notation if self.nano else other.notation)

    def __neg__(self) -> Quantity:
        return Quantity(-self.nano, self.notation)

    def __str__(self) -> str:
        if self.nano == 0:
            return "0"
        if self.notation is Notation.BINARY and self.nano % _NANO == 0 and abs(self.nano) >= 1024 * _NANO:
            return _binary_text(self.nano // _NANO)
        return _decimal_text(self.nano, exponent=self.notation is Notation.EXPONENT)


ZERO = Quantity(0)


def _divide_away(amount: int, unit: int) -> int:
    whole = -(-abs(amount) // unit)
    return whole if amount >= 0 else -whole


def _binary_text(value: int) -> str:
    power = 0
    while power < 6 and value % 1024 == 0:
        value //= 1024
        power += 1
    return f"{value}{_BINARY_SUFFIXES.get(power, '')}"


def _decimal_text(nano: int, *, exponent: bool) -> str:
    power = -9
    while power < 18 and nano % 1000 == 0:
        nano //= 1000
        power += 3
    if exponent:
        return f"{nano}e{power}" if power else str(nano)
    return f"{nano}{_DECIMAL_SUFFIXES[power]}"


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Quantity:
    """The quantity that `text` says; QuantityError if it says none."""
    found = _SYNTAX.fullmatch(text) if len(text) <= _TEXT_MAX else None
    if found is None:
        shown = repr(text[:_TEXT_MAX])
        raise QuantityError(f"{shown} is not a quantity: write a number with an optional suffix: 100m, 1.5, 2Gi")
    sign, digits, suffix = found.groups(default="")
    whole, _, fraction = digits.partition(".")
    factor, scale, notation = _unit(suffix)
    # The number is int(whole+fraction) * factor * 10**(scale - len(fraction)), here in nano-units.
    power = scale - len(fraction) + 9
    amount = int(whole + fraction or "0") * factor
    nano = amount * 10**power if power >= 0 else _divide_away(amount, 10**-power)
    nano = min(nano, MAXIMUM)
    return Quantity(-nano if sign == "-" else nano, notation)


def _unit(suffix: str) -> tuple[int, int, Notation]:
    """(integer factor, power of ten, notation) of a suffix."""
    if suffix in _BINARY:
        return 1024 ** _BINARY[suffix], 0, Notation.BINARY
    if suffix in _DECIMAL:
        return 1, _DECIMAL[suffix], Notation.DECIMAL
    return 1, int(suffix[1:]), Notation.EXPONENT


def from_int(value: int, notation: Notation = Notation.DECIMAL) -> Quantity:
    """The quantity of `value` whole units."""
    return Quantity(value * _NANO, notation)


def from_milli(milli: int) -> Quantity:
    """The quantity of `milli` thousandths."""
    return Quantity(milli * _MILLI)


def to_milli(text: str) -> int:
    """Thousandths: CPU `0.25` or `250m` is 250. QuantityError for what is no quantity; "" is 0."""
    return parse(text).milli if text else 0


def to_int(text: str) -> int:
    """Whole units: memory `1Ki` is 1024 bytes. QuantityError for what is no quantity; "" is 0."""
    return parse(text).value if text else 0


def format(text: str | Quantity) -> str:
    """The canonical form: `1000m` is `1`, `1024Mi` is `1Gi`."""
    return str(parse(text) if isinstance(text, str) else text)
