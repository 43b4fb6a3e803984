"""Times, durations and ages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raftsman import times
from raftsman.meta import v1 as meta


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "<invalid>"), (0, "0s"), (119, "119s"), (120, "2m"), (130, "2m10s"), (600, "10m"), (10799, "179m"),
     (10800, "3h"), (10861, "3h1m"), (28800, "8h"), (172800, "2d"), (176400, "2d1h"), (691200, "8d"),
     (730 * 86400, "2y"), (800 * 86400, "2y70d"), (3000 * 86400, "8y")],
)  # fmt: skip
def test_an_age_is_a_few_characters(seconds: int, text: str) -> None:
    assert times.human_duration(seconds) == text


def test_an_empty_time_has_no_age() -> None:
    assert times.age(meta.Time()) == "<unknown>"


@given(st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=st.just(UTC)))
def test_a_time_survives_its_text_truncated_to_seconds(moment: datetime) -> None:
    found = times.from_datetime(moment)
    assert times.parse_rfc3339(times.format_seconds(found.seconds)) == (found.seconds, 0)
    assert times.to_datetime(times.micro_from_datetime(moment)) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00"])
def test_what_is_no_time_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        times.parse_rfc3339(text)


@given(st.integers(-(2**62), 2**62))
def test_a_duration_survives_its_text(nanos: int) -> None:
    assert times.parse_duration(times.format_duration(nanos)) == nanos


@pytest.mark.parametrize("text", ["", "1", "1x", "h", "1h 2m", "1h-2m"])
def test_what_is_no_duration_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        times.parse_duration(text)
