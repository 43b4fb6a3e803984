"""What a schema demands of values, in Kubernetes' words; an update is judged only by what it changes.

A value that an update leaves as it was is not looked at again (KEP-4008, ratcheting): it is found through names, and
through the keys of lists of type map. Rules in CEL are judged when the rest is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from raftsman.services.apiserver import patterns
from raftsman.services.apiserver.managedfields.documents import same
from raftsman.services.apiserver.validation.causes import Causes

from . import formats
from .document import Document
from .schema import ABSENT, MAP, SET, Schema

_NAMES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
UNCHECKED = (
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)
# What a schema may demand beside its type, when nothing of it has to be told apart from the structure.
_JUNCTORS = ("allOf", "anyOf", "oneOf", "not")


class Rules:
    """What one version demands of its objects."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._judge_rules: Any = None

    def create(self, new: Document, causes: Causes) -> None:
        self._judge(new, None, causes)

    def update(self, new: Document, old: Document, causes: Causes) -> None:
        self._judge(new, old, causes)

    def status(self, new: Document, old: Document, causes: Causes) -> None:
        self._judge(new, old, causes)

    def _judge(self, new: Document, old: Document | None, causes: Causes) -> None:
        before = len(causes.found)
        validate(new.content, self._schema, causes, old=ABSENT if old is None else old.content)
        if not self._schema.any_rules:
            return
        if len(causes.found) > before:
            causes.invalid("<nil>", "null", UNCHECKED)
            return
        if self._judge_rules is None:
            from . import rules

            self._judge_rules = rules.Judge(self._schema).judge
        self._judge_rules(new, old, causes)


def validate(value: Any, schema: Schema, causes: Causes, *, old: Any = ABSENT, path: str = "") -> None:
    """Every way in which a value is not what its schema demands."""
    if old is not ABSENT and same(value, old):
        return
    if not _type_fits(value, schema, causes, path):
        return
    _validations(value, schema.facts, causes, path)
    if isinstance(value, dict):
        _object(value, schema, causes, old, path)
    elif isinstance(value, list):
        _list(value, schema, causes, old, path)


def shown(path: str) -> str:
    return path or "<nil>"


def _body(path: str) -> str:
    return f"{path} in body"


def _type_fits(value: Any, schema: Schema, causes: Causes, path: str) -> bool:
    if value is None:
        if schema.nullable:
            return True
        if not schema.type and not schema.int_or_string:
            return True
    if schema.int_or_string:
        fits = isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))
        wanted = "integer,string"
    else:
        fits, wanted = is_a(value, schema.type), schema.type
    if not fits:
        name = "null" if value is None else _NAMES[type(value)]
        causes.type_invalid(shown(path), name, f'{_body(path)} must be of type {wanted}: "{name}"')
    elif value is None:
        return False
    return fits


def is_a(value: Any, type_: str) -> bool:
    match type_:
        case "":
            return True
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            if isinstance(value, bool):
                return False
            return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        case "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
    return False


def _object(value: dict[str, Any], schema: Schema, causes: Causes, old: Any, path: str) -> None:
    if schema.embedded:
        _embedded(value, causes, path)
    for name, inner in value.items():
        below = schema.named(name)
        if below is None:
            continue
        before = old.get(name, ABSENT) if isinstance(old, dict) else ABSENT
        validate(inner, below, causes, old=before, path=f"{path}.{name}" if path else name)


def _embedded(value: dict[str, Any], causes: Causes, path: str) -> None:
    for name in ("apiVersion", "kind"):
        found = value.get(name)
        if not isinstance(found, str) or not found:
            causes.required(f"{path}.{name}", "must not be empty")


def _list(value: list[Any], schema: Schema, causes: Causes, old: Any, path: str) -> None:
    _unique(value, schema, causes, path)
    if schema.items is None:
        return
    before: dict[bytes, Any] = {}
    if isinstance(old, list) and schema.list_type == MAP:
        before = {_text(schema.item_key(item)): item for item in old}
    for index, item in enumerate(value):
        earlier = before.get(_text(schema.item_key(item)), ABSENT) if before else ABSENT
        validate(item, schema.items, causes, old=earlier, path=f"{path}[{index}]")


def _text(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _unique(value: list[Any], schema: Schema, causes: Causes, path: str) -> None:
    """The items of a set, and the keys of a map, are each there once."""
    if schema.list_type not in (SET, MAP):
        return
    seen: set[bytes] = set()
    for index, item in enumerate(value):
        found = item if schema.list_type == SET else schema.item_key(item)
        text = _text(found)
        if text in seen:
            told = item if schema.list_type == SET else dict(zip(schema.list_keys, found or (), strict=False))
            causes.duplicate(f"{path}[{index}]", told)
        seen.add(text)


# -- value validations


def _validations(value: Any, facts: Mapping[str, Any], causes: Causes, path: str) -> None:
    if "enum" in facts and not any(same(value, one) for one in facts["enum"]):
        causes.not_supported(shown(path), value, [one if isinstance(one, str) else str(one) for one in facts["enum"]])
    if isinstance(value, str):
        _string(value, facts, causes, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        _number(value, facts, causes, path)
    elif isinstance(value, list):
        _size(value, facts, causes, path, least="minItems", most="maxItems", what="items")
        if facts.get("uniqueItems") and any(same(a, b) for i, a in enumerate(value) for b in value[:i]):
            causes.invalid(shown(path), value, f"{_body(path)} shouldn't contain duplicates")
    elif isinstance(value, dict):
        _size(value, facts, causes, path, least="minProperties", most="maxProperties", what="properties")
        for name in facts.get("required", ()):
            if name not in value:
                causes.required(f"{path}.{name}" if path else name)
    if any(name in facts for name in _JUNCTORS):
        _junctors(value, facts, causes, path)


def _string(value: str, facts: Mapping[str, Any], causes: Causes, path: str) -> None:
    least, most = facts.get("minLength"), facts.get("maxLength")
    if most is not None and len(value) > most:
        causes.too_long(shown(path), most)
    if least is not None and len(value) < least:
        causes.invalid(shown(path), value, f"{_body(path)} should be at least {least} chars long")
    pattern = facts.get("pattern")
    if pattern and not patterns.matches(pattern, value):
        causes.invalid(shown(path), value, f"{_body(path)} should match '{pattern}'")
    if (name := facts.get("format")) and not formats.fits(name, value):
        causes.invalid(shown(path), value, f'{_body(path)} must be of type {name}: "{value}"')


_INTEGERS = {"int32": 1 << 31, "int64": 1 << 63}


def _number(value: float, facts: Mapping[str, Any], causes: Causes, path: str) -> None:
    most, least, step = facts.get("maximum"), facts.get("minimum"), facts.get("multipleOf")
    if most is not None:
        if facts.get("exclusiveMaximum") and value >= most:
            causes.invalid(shown(path), value, f"{_body(path)} should be less than {most}")
        elif value > most:
            causes.invalid(shown(path), value, f"{_body(path)} should be less than or equal to {most}")
    if least is not None:
        if facts.get("exclusiveMinimum") and value <= least:
            causes.invalid(shown(path), value, f"{_body(path)} should be greater than {least}")
        elif value < least:
            causes.invalid(shown(path), value, f"{_body(path)} should be greater than or equal to {least}")
    if step and not _is_multiple(value, step):
        causes.invalid(shown(path), value, f"{_body(path)} should be a multiple of {step}")
    limit = _INTEGERS.get(facts.get("format", "")) if facts.get("type") == "integer" else None
    if limit is not None and not -limit <= value < limit:
        causes.invalid(shown(path), value, f'{_body(path)} must be of type {facts["format"]}: "{value}"')


def _is_multiple(value: float, step: float) -> bool:
    if isinstance(value, int) and float(step).is_integer():
        return value % int(step) == 0
    return float(value / step).is_integer()


def _size(value: Any, facts: Mapping[str, Any], causes: Causes, path: str, *, least: str, most: str, what: str) -> None:
    count = len(value)
    if (low := facts.get(least)) is not None and count < low:
        causes.invalid(shown(path), count, f"{_body(path)} should have at least {low} {what}")
    if (high := facts.get(most)) is not None and count > high:
        causes.too_many(shown(path), count, high)


def _junctors(value: Any, facts: Mapping[str, Any], causes: Causes, path: str) -> None:
    def told(why: str) -> None:
        causes.invalid(shown(path), value, f'"{path}" {why}')

    failures = [_failures(value, one, path) for one in facts.get("allOf", ())]
    for failed in failures:
        causes.found += failed.found
    if any(failures):
        told("must validate all the schemas (allOf)")
    any_of = facts.get("anyOf")
    if any_of and all(_failures(value, one, path) for one in any_of):
        told("must validate at least one schema (anyOf)")
    one_of = facts.get("oneOf")
    if one_of:
        fitting = sum(not _failures(value, one, path) for one in one_of)
        if fitting != 1:
            found = "none valid" if not fitting else f"{fitting} valid alternatives"
            told(f"must validate one and only one schema (oneOf). Found {found}")
    if "not" in facts and not _failures(value, facts["not"], path):
        told("must not validate the schema (not)")


def _failures(value: Any, facts: Mapping[str, Any], path: str) -> Causes:
    """What a schema inside a junctor, which has no types, finds wrong with a value."""
    causes = Causes()
    if facts.get("type") and value is not None and not is_a(value, facts["type"]):
        causes.type_invalid(shown(path), _NAMES[type(value)], f"{_body(path)} must be of type {facts['type']}")
        return causes
    _validations(value, facts, causes, path)
    if isinstance(value, dict):
        _nested_objects(value, facts, causes, path)
    elif isinstance(value, list) and isinstance(facts.get("items"), Mapping):
        for index, item in enumerate(value):
            causes.found += _failures(item, facts["items"], f"{path}[{index}]").found
    return causes


def _nested_objects(value: dict[str, Any], facts: Mapping[str, Any], causes: Causes, path: str) -> None:
    properties, additional = facts.get("properties", {}), facts.get("additionalProperties")
    for name, inner in value.items():
        below = properties.get(name, additional if isinstance(additional, Mapping) else None)
        if below is not None:
            causes.found += _failures(inner, below, f"{path}.{name}" if path else name).found
