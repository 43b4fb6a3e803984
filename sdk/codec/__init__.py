"""JSON of API objects, exactly as Kubernetes prints and reads it, driven by the options on the messages.

`to_json(message)` gives a dict of JSON shape; `from_json(value, core.Pod)` gives the message and every problem by its
field path; `check(problems)` raises them. A plan is compiled once per message type (plan.py, encode.py, decode.py);
formats.py knows the messages whose JSON is no object of their fields.

Presence: a field that Go keeps behind a pointer is present or absent; any other field at its zero value counts as
absent, so JSON → message → JSON and message → JSON → message both end at one form.
"""

from .decode import (
    DUPLICATE,
    INVALID,
    TYPE_INVALID,
    UNKNOWN,
    Decoded,
    check,
    decode_into,
    from_json,
    strict,
)
from .encode import to_json
from .plan import type_meta

__all__ = [
    "DUPLICATE",
    "INVALID",
    "TYPE_INVALID",
    "UNKNOWN",
    "Decoded",
    "check",
    "decode_into",
    "from_json",
    "strict",
    "to_json",
    "type_meta",
]
