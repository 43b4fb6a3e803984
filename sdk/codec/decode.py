"""JSON → message, with every problem by its field path.

A decoding never stops at the first problem: what is right is taken, what is wrong is named. Names are matched exactly
(also in case), null means absent, and numbers must fit their type.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf import message as protobuf
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from raftsman import errors

from . import formats, plan

T = TypeVar("T", bound=protobuf.Message)
Object = TypeVar("Object")
Decode = Callable[[Any, Any, str, "list[errors.Cause]"], None]

# Reasons of causes. The first two are about names that are not the schema's: a server may be asked to let them pass.
UNKNOWN = "FieldUnknown"
DUPLICATE = "FieldDuplicate"
TYPE_INVALID = "FieldValueTypeInvalid"
INVALID = "FieldValueInvalid"

DEPTH_MAX = 100


@dataclass(frozen=True, slots=True)
class Decoded(Generic[Object]):
    """The message, complete but for what `problems` name."""

    message: Object
    problems: tuple[errors.Cause, ...]

    @property
    def unknown(self) -> tuple[errors.Cause, ...]:
        """The problems that only say that a name is unknown or doubled."""
        return tuple(p for p in self.problems if p.reason in (UNKNOWN, DUPLICATE))

    @property
    def wrong(self) -> tuple[errors.Cause, ...]:
        """The problems that no leniency excuses."""
        return tuple(p for p in self.problems if p.reason not in (UNKNOWN, DUPLICATE))


def from_json(value: Mapping[str, Any], message_type: type[T], *, path: str = "") -> Decoded[T]:
    """The message that a JSON object says. apiVersion and kind of a kind's object are not looked at."""
    own: Callable[[Mapping[str, Any]], T] | None = getattr(message_type, "of", None)
    if own is not None:
        # An object of a custom resource.
        return Decoded(own(value), ())
    message = message_type()
    return Decoded(message, tuple(decode_into(message, value, path=path)))


def decode_into(message: protobuf.Message, value: object, *, path: str = "") -> list[errors.Cause]:
    """Set what a JSON object says on `message`; the problems."""
    problems: list[errors.Cause] = []
    descriptor = message.DESCRIPTOR
    if isinstance(value, Mapping) and plan.type_meta(descriptor) is not None:
        value = {key: item for key, item in value.items() if key not in ("apiVersion", "kind")}
    _decode_message(message, value, path, problems)
    return problems


def strict(problem: errors.Cause) -> str:
    """An unknown or doubled field in the words that Kubernetes' clients look for."""
    return f'{"unknown" if problem.reason == UNKNOWN else "duplicate"} field "{problem.field}"'


def check(problems: Iterable[errors.Cause], *, what: str = "the object") -> None:
    """Raise errors.BadRequest that lists every problem, if there is one."""
    causes = tuple(problems)
    if causes and all(cause.reason in (UNKNOWN, DUPLICATE) for cause in causes):
        listed = ", ".join(strict(cause) for cause in causes[:20])
        raise errors.BadRequest(f"{what} cannot be handled: strict decoding error: {listed}", causes=causes)
    if causes:
        listed = "; ".join(f"{cause.field or what}: {cause.message}" for cause in causes[:20])
        more = f"; and {len(causes) - 20} more" if len(causes) > 20 else ""
        raise errors.BadRequest(f"{what} cannot be decoded: {listed}{more}", causes=causes)


_compiled: dict[Descriptor, dict[str, tuple[tuple[str, ...], Decode]]] = {}


def _table(descriptor: Descriptor) -> dict[str, tuple[tuple[str, ...], Decode]]:
    found = _compiled.get(descriptor)
    if found is None:
        found = {name: (field.hops, _field_decoder(field)) for name, field in plan.fields(descriptor).items()}
        _compiled[descriptor] = found
    return found


def _decode_message(message: Any, value: object, path: str, problems: list[errors.Cause]) -> None:
    if not isinstance(value, Mapping):
        problems.append(errors.Cause(path, TYPE_INVALID, f"must be an object, not {formats.shown(value)}"))
        return
    if path.count(".") > DEPTH_MAX:
        problems.append(errors.Cause(path, INVALID, f"is nested more than {DEPTH_MAX} levels deep"))
        return
    table = _table(message.DESCRIPTOR)
    for key, item in value.items():
        found = table.get(key)
        if found is None:
            # An object inside another says its kind as well.
            if not path or key not in ("apiVersion", "kind") or plan.type_meta(message.DESCRIPTOR) is None:
                problems.append(errors.Cause(_join(path, key), UNKNOWN, "unknown field"))
        elif item is not None:
            target = message
            for hop in found[0]:
                target = getattr(target, hop)
            found[1](target, item, _join(path, key), problems)


def _decode_alternative(message: Any, value: object, path: str, problems: list[errors.Cause]) -> None:
    """An object is a schema; anything else is the value of the message's other field."""
    name = formats.ALTERNATIVES[plan.format_of(message.DESCRIPTOR)]
    if isinstance(value, Mapping):
        if name == "allows":
            message.allows = True
        message.schema.SetInParent()
        _decode_message(message.schema, value, path, problems)
    else:
        other = plan.field_of(message.DESCRIPTOR.fields_by_name[name])
        _field_decoder(other)(message, value, path, problems)


def _object_decoder(descriptor: Descriptor) -> Decode:
    return _decode_alternative if plan.format_of(descriptor) in formats.ALTERNATIVES else _decode_message


def _join(path: str, key: object) -> str:
    name = key if isinstance(key, str) else formats.shown(key)
    return f"{path}.{name}" if path else name


def _field_decoder(field: plan.Field) -> Decode:
    if field.shape is plan.Shape.MAP:
        return _map_decoder(field)
    if field.shape is plan.Shape.LIST:
        return _list_decoder(field)
    if field.message is None:
        return _scalar_decoder(field)
    shape = plan.format_of(field.message)
    return _format_decoder(field, shape) if shape in formats.DECODERS else _struct_decoder(field)


def _struct_decoder(field: plan.Field) -> Decode:
    attribute, pointer = field.attribute, field.pointer
    assert field.message is not None
    decode_object = _object_decoder(field.message)

    def decode(message: Any, value: Any, path: str, problems: list[errors.Cause]) -> None:
        inner = getattr(message, attribute)
        if pointer:
            inner.SetInParent()
        decode_object(inner, value, path, problems)

    return decode


def _format_decoder(field: plan.Field, shape: int) -> Decode:
    attribute = field.attribute
    convert = formats.DECODERS[shape]
    zero = formats.ZEROS[shape]
    keeps_zero = field.pointer

    def decode(message: Any, value: Any, path: str, problems: list[errors.Cause]) -> None:
        if value == zero and type(value) is type(zero) and not keeps_zero:
            return
        inner = getattr(message, attribute)
        try:
            convert(value, inner)
        except (ValueError, OverflowError) as error:
            problems.append(errors.Cause(path, _reason(value), str(error)))

    return decode


def _reason(value: object) -> str:
    return INVALID if isinstance(value, str | int | float) and not isinstance(value, bool) else TYPE_INVALID


_INTEGERS = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SINT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_ENUM: (0, 2**31 - 1),
}


def _string(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"must be a string, not {formats.shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("must be a string of valid Unicode") from None
    return value


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError(f"must be true or false, not {formats.shown(value)}")
    return value


def _bytes(value: Any) -> bytes:
    if type(value) is not str:
        # The value may be a secret's: it is not quoted, here and below.
        raise TypeError("must be a base64 string")
    try:
        return base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not valid base64") from None


def _float(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError(f"must be a number, not {formats.shown(value)}")
    return float(value)


def _integer(low: int, high: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if type(value) is not int:
            raise TypeError(f"must be an integer, not {formats.shown(value)}")
        if not low <= value <= high:
            raise ValueError(f"{value} is out of range: at least {low}, at most {high}")
        return value

    return convert


def _converter(scalar: int) -> Callable[[Any], Any]:
    if scalar in _INTEGERS:
        return _integer(*_INTEGERS[scalar])
    return {
        FieldDescriptor.TYPE_STRING: _string,
        FieldDescriptor.TYPE_BYTES: _bytes,
        FieldDescriptor.TYPE_BOOL: _bool,
        FieldDescriptor.TYPE_DOUBLE: _float,
        FieldDescriptor.TYPE_FLOAT: _float,
    }[scalar]


def _failure(path: str, error: Exception) -> errors.Cause:
    return errors.Cause(path, TYPE_INVALID if isinstance(error, TypeError) else INVALID, str(error))


def _scalar_decoder(field: plan.Field) -> Decode:
    attribute, pointer = field.attribute, field.pointer
    convert = _converter(field.scalar)

    def decode(message: Any, value: Any, path: str, problems: list[errors.Cause]) -> None:
        try:
            converted = convert(value)
        except (TypeError, ValueError) as error:
            problems.append(_failure(path, error))
            return
        if converted or pointer:
            setattr(message, attribute, converted)

    return decode


def _list_decoder(field: plan.Field) -> Decode:
    attribute = field.attribute
    append = _appender(field)

    def decode(message: Any, value: Any, path: str, problems: list[errors.Cause]) -> None:
        if not isinstance(value, list):
            problems.append(errors.Cause(path, TYPE_INVALID, f"must be a list, not {formats.shown(value)}"))
            return
        container = getattr(message, attribute)
        for index, item in enumerate(value):
            try:
                append(container, item, f"{path}[{index}]", problems)
            except (TypeError, ValueError, OverflowError) as error:
                problems.append(_failure(f"{path}[{index}]", error))

    return decode


def _appender(field: plan.Field) -> Decode:
    """Adds one JSON value to a repeated field. null in a list of objects is an empty object, as Go reads it."""
    if field.message is None:
        convert = _converter(field.scalar)
        return lambda container, item, _path, _problems: container.append(convert(item))
    shape = plan.format_of(field.message)
    if shape in formats.DECODERS:
        decode = formats.DECODERS[shape]
        default = formats.ZEROS[shape]

        def add_format(container: Any, item: Any, _path: str, _problems: list[errors.Cause]) -> None:
            value, message = (default if item is None else item), container.add()
            if value is not None:
                decode(value, message)

        return add_format
    decode_object = _object_decoder(field.message)
    return lambda container, item, path, problems: decode_object(
        container.add(), {} if item is None else item, path, problems
    )


def _map_decoder(field: plan.Field) -> Decode:
    attribute = field.attribute
    put = _putter(field)

    def decode(message: Any, value: Any, path: str, problems: list[errors.Cause]) -> None:
        if not isinstance(value, Mapping):
            problems.append(errors.Cause(path, TYPE_INVALID, f"must be an object, not {formats.shown(value)}"))
            return
        container = getattr(message, attribute)
        for key, item in value.items():
            try:
                put(container, _string(key), item, problems, f"{path}[{key}]")
            except (TypeError, ValueError, OverflowError) as error:
                problems.append(_failure(f"{path}[{key}]", error))
                if isinstance(key, str) and field.message is not None:
                    container.pop(key, None)

    return decode


def _putter(field: plan.Field) -> Callable[[Any, str, Any, list[errors.Cause], str], None]:
    """Sets one key of a map. null is the zero value, as Go reads it."""
    if field.message is None:
        convert = _converter(field.scalar)

        def put_scalar(container: Any, key: str, item: Any, _problems: list[errors.Cause], _path: str) -> None:
            container[key] = convert(_SCALAR_ZEROS.get(field.scalar, 0) if item is None else item)

        return put_scalar
    shape = plan.format_of(field.message)
    if shape in formats.DECODERS:
        decode = formats.DECODERS[shape]
        default = formats.ZEROS[shape]

        def put_format(container: Any, key: str, item: Any, _problems: list[errors.Cause], _path: str) -> None:
            value, message = (default if item is None else item), container[key]
            if value is not None:
                decode(value, message)

        return put_format
    decode_object = _object_decoder(field.message)
    return lambda container, key, item, problems, path: decode_object(container[key], item, path, problems)


_SCALAR_ZEROS: dict[int, Any] = {
    FieldDescriptor.TYPE_STRING: "",
    FieldDescriptor.TYPE_BYTES: "",
    FieldDescriptor.TYPE_BOOL: False,
}
