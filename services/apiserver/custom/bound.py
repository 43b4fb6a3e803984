"""Values as rules see them: JSON, read as its schema says.

A property that expressions cannot write by its name has another (`my-key` is my__dash__key); times, durations and
bytes are no texts; a number is never an integer. What the schema does not know is not there.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime, timedelta
from typing import Any

from google.protobuf import duration_pb2, timestamp_pb2
from raftsman import times
from raftsman.services.apiserver.cel import typed

from .schema import Schema

_OWN = ("apiVersion", "kind", "metadata")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def value(found: Any, schema: Schema, *, root: bool = False) -> Any:
    """A value of a schema as an expression takes it."""
    if isinstance(found, dict):
        return _object(found, schema, root=root)
    if isinstance(found, list):
        return [value(item, schema.items) for item in found] if schema.items is not None else []
    if isinstance(found, str):
        return _text(found, schema)
    if schema.type == "number" and isinstance(found, int) and not isinstance(found, bool):
        return float(found)
    if schema.type == "integer" and isinstance(found, float) and found.is_integer():
        return int(found)
    return found


def _object(found: dict[str, Any], schema: Schema, *, root: bool) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, inner in found.items():
        known = schema.properties.get(name)
        if (root or schema.embedded) and name in _OWN:
            made[name] = inner
        elif known is not None:
            made[typed.escaped(name)] = value(inner, known)
        elif schema.additional is not None:
            made[name] = value(inner, schema.additional)
    return made


def _text(found: str, schema: Schema) -> Any:
    if schema.int_or_string or schema.type != "string":
        return found
    try:
        match schema.facts.get("format"):
            case "date-time" | "datetime":
                seconds, nanos = times.parse_rfc3339(found)
                return timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos)
            case "date":
                return timestamp_pb2.Timestamp(
                    seconds=int(datetime.fromisoformat(f"{found}T00:00:00+00:00").timestamp())
                )
            case "duration":
                return _duration(found)
            case "byte":
                return base64.b64decode(found)
    except (ValueError, binascii.Error):
        return found
    return found


def _duration(text: str) -> duration_pb2.Duration:
    """ValueError if it is none of Go's."""

    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    parts = re.findall(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)", rest)
    if "".join(number + unit for number, unit in parts) != rest and rest != "0":
        raise ValueError(f"{text!r} is no duration")
    made = duration_pb2.Duration()
    made.FromTimedelta(timedelta(seconds=sign * sum(float(number) * _UNITS[unit] for number, unit in parts)))
    return made
