"""Quantities are exact and printed in one form."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raftsman import quantity


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1000m", "1"), ("0.5", "500m"), ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("0.1n", "1n"), ("1e3", "1e3"),
        ("123456", "123456"), ("0Mi", "0"), ("512", "512"), ("1Ki", "1Ki"), ("-1.5", "-1500m"), ("+5", "5"),
        ("1.", "1"), (".5", "500m"), ("2000000u", "2"), ("0.5Ki", "512"), ("1.2Gi", "1288490188800m"),
        ("1000k", "1M"), ("12e6", "12e6"), ("100E", "9223372036854775807"),
    ],
)  # fmt: skip
def test_a_quantity_is_printed_in_its_canonical_form(text: str, canonical: str) -> None:
    assert quantity.format(text) == canonical


@pytest.mark.parametrize("text", ["", "Ki", "abc", "1K", "1 Gi", ".", "--1", "1e", "1GiB", "0x1", "٣", "9" * 5000])
def test_what_is_no_quantity_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(quantity.QuantityError, match="is not a quantity"):
        quantity.parse(text)


def test_thousandths_and_whole_units_are_rounded_up() -> None:
    assert quantity.to_milli("0.0001") == 1
    assert quantity.to_int("1500m") == 2
    assert quantity.to_int("1Ki") == 1024
    assert quantity.to_milli("") == 0


suffixes = st.sampled_from(["", "m", "k", "M", "Ki", "Mi", "Gi", "u", "n", "e3", "E"])
texts = st.builds(lambda n, f, s: f"{n}.{f}{s}", st.integers(0, 10**6), st.integers(0, 999), suffixes)


@given(texts)
def test_the_canonical_form_means_the_same(text: str) -> None:
    once = quantity.parse(text)
    again = quantity.parse(str(once))
    assert again == once
    assert str(again) == str(once)


@given(texts, texts)
def test_sums_and_order_are_those_of_the_numbers(left: str, right: str) -> None:
    a, b = quantity.parse(left), quantity.parse(right)
    assert Fraction((a + b).nano) == Fraction(a.nano) + Fraction(b.nano)
    assert (a < b) == (a.nano < b.nano)
    assert (a + b) - b == a
