"""The messages whose JSON is not an object of their fields: quantities, times, int-or-string, raw JSON and the like.

An encoder takes the message and gives the JSON value. A decoder takes a JSON value that is not null and a message to
fill, and raises ValueError (a sentence) for a value that is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from raftsman import quantity, times
from raftsman.options import v1 as options

Encoder = Callable[[Any], Any]
Decoder = Callable[[Any, Any], None]

_INT32 = 2**31


def shown(value: object) -> str:
    """A value as an error may quote it, cut to a bounded length."""
    try:
        text = orjson.dumps(value).decode()
    except (TypeError, orjson.JSONEncodeError):
        text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def number_text(value: float) -> str:
    """The digits of a JSON number, as a quantity reads them."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e18:
        return str(int(value))
    return str(value)


def _encode_quantity(message: Any) -> str:
    text: str = message.string
    try:
        return quantity.format(text) if text else "0"
    except quantity.QuantityError:
        return text


def _decode_quantity(value: Any, message: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"must be a quantity (a string or a number), not {shown(value)}")
    text = value.strip() if isinstance(value, str) else number_text(value)
    message.string = quantity.format(text)


def _encode_int_or_string(message: Any) -> int | str:
    found: int | str = message.str_val if message.type == 1 else message.int_val
    return found


def _decode_int_or_string(value: Any, message: Any) -> None:
    if isinstance(value, str):
        message.type, message.str_val = 1, value
    elif type(value) is int and -_INT32 <= value < _INT32:
        message.type, message.int_val = 0, value
    else:
        raise ValueError(f"must be a 32-bit integer or a string, not {shown(value)}")


def _encode_time(message: Any) -> str | None:
    return None if times.is_zero(message) else times.format_seconds(message.seconds)


def _decode_time(value: Any, message: Any) -> None:
    seconds, _ = _moment(value)
    if seconds:
        message.seconds = seconds


def _encode_micro_time(message: Any) -> str | None:
    return None if times.is_zero(message) else times.format_micros(message.seconds, message.nanos)


def _decode_micro_time(value: Any, message: Any) -> None:
    seconds, nanos = _moment(value)
    if seconds or nanos >= 1000:
        message.seconds, message.nanos = seconds, nanos // 1000 * 1000


def _moment(value: Any) -> tuple[int, int]:
    if not isinstance(value, str):
        raise ValueError(f"must be an RFC 3339 time, not {shown(value)}")
    found = times.parse_rfc3339(value)
    # As the zero time, an empty message: in protobuf 1970 cannot be told from it.
    return (0, 0) if found == (times.YEAR_ONE_S, 0) else found


def _encode_raw(message: Any) -> Any:
    return orjson.loads(message.raw) if message.raw else None


def _decode_raw(value: Any, message: Any) -> None:
    try:
        message.raw = orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise ValueError(f"cannot be written as JSON: {error}") from None


def _encode_duration(message: Any) -> str:
    return times.format_duration(message.duration)


def _decode_duration(value: Any, message: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"must be a duration such as 1h30m, not {shown(value)}")
    message.duration = times.parse_duration(value)


def _encode_strings(message: Any) -> list[str]:
    return list(message.items)


def _decode_strings(value: Any, message: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"must be a list of strings, not {shown(value)}")
    message.items.extend(value)


ENCODERS: dict[int, Encoder] = {
    options.FORMAT_QUANTITY: _encode_quantity,
    options.FORMAT_INT_OR_STRING: _encode_int_or_string,
    options.FORMAT_TIME: _encode_time,
    options.FORMAT_MICRO_TIME: _encode_micro_time,
    options.FORMAT_RAW_JSON: _encode_raw,
    options.FORMAT_DURATION: _encode_duration,
    options.FORMAT_STRING_LIST: _encode_strings,
}
DECODERS: dict[int, Decoder] = {
    options.FORMAT_QUANTITY: _decode_quantity,
    options.FORMAT_INT_OR_STRING: _decode_int_or_string,
    options.FORMAT_TIME: _decode_time,
    options.FORMAT_MICRO_TIME: _decode_micro_time,
    options.FORMAT_RAW_JSON: _decode_raw,
    options.FORMAT_DURATION: _decode_duration,
    options.FORMAT_STRING_LIST: _decode_strings,
}
# Formats whose JSON is either a schema (an object) or the value of another field, which is named here.
ALTERNATIVES: dict[int, str] = {
    options.FORMAT_SCHEMA_OR_ARRAY: "schemas",
    options.FORMAT_SCHEMA_OR_BOOL: "allows",
    options.FORMAT_SCHEMA_OR_STRINGS: "property",
}
# JSON values that mean the same as an absent field that is no pointer.
ZEROS: dict[int, Any] = {
    options.FORMAT_QUANTITY: "0",
    options.FORMAT_INT_OR_STRING: 0,
    options.FORMAT_TIME: None,
    options.FORMAT_MICRO_TIME: None,
    options.FORMAT_RAW_JSON: None,
    options.FORMAT_DURATION: "0s",
    options.FORMAT_STRING_LIST: None,
}
