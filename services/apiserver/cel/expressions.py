"""Expressions, compiled once and evaluated often (cel-expr-python: cel-cpp, some 10 µs an evaluation).

Variables are declared by name and are of JSON shape. At most PROGRAMS_MAX compiled expressions are kept; one of more
than EXPRESSION_CHARACTERS_MAX characters is refused.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PROGRAMS_MAX = 4096
ENVIRONMENTS_MAX = 64
EXPRESSION_CHARACTERS_MAX = 16 << 10
_CODE = re.compile(r"^[A-Z_]+: ")
_MISSING = re.compile(r'Key not found in map : "?(.*?)"?$')


class CompileError(ValueError):
    """Why an expression is none, in one line."""


class EvaluationError(Exception):
    """Why an expression has no value."""


class Program:
    """A compiled expression."""

    __slots__ = ("_environment", "_expression", "text")

    def __init__(self, text: str, environment: Any, expression: Any) -> None:
        self.text, self._environment, self._expression = text, environment, expression

    @property
    def type(self) -> str:
        """BOOL, STRING, …; DYN if that is known only at run time."""
        return str(self._expression.return_type().name())

    def evaluate(self, variables: Mapping[str, Any]) -> Any:
        """The value, of JSON shape (times and durations are Python's). Raises EvaluationError."""
        try:
            value = self._expression.eval(data=variables)
        except (RuntimeError, ValueError, TypeError) as error:
            raise EvaluationError(_reason(str(error))) from None
        if value.type().name() in ("ERROR", "*error*"):
            raise EvaluationError(_reason(str(value.value())))
        return value.plain_value()


@functools.lru_cache(maxsize=PROGRAMS_MAX)
def compiled(text: str, variables: tuple[str, ...]) -> Program:
    """Raises CompileError."""
    if len(text) > EXPRESSION_CHARACTERS_MAX:
        raise CompileError(f"an expression may have {EXPRESSION_CHARACTERS_MAX} characters")
    environment = _environment(variables)
    try:
        return Program(text, environment, environment.compile(text))
    except (RuntimeError, ValueError) as error:
        raise CompileError(_problem(str(error))) from None


@functools.lru_cache(maxsize=ENVIRONMENTS_MAX)
def _environment(variables: tuple[str, ...]) -> Any:
    from cel_expr_python import cel

    return cel.NewEnv(variables=dict.fromkeys(variables, cel.Type.DYN), extensions=_extensions())


def _extensions() -> list[Any]:
    from cel_expr_python.ext import ext_bindings, ext_encoders, ext_math, ext_optional, ext_strings

    from . import authorizer, functions, kubernetes

    return [
        ext_bindings.ExtBindings(), ext_encoders.ExtEncoders(), ext_math.ExtMath(), ext_optional.ExtOptional(),
        ext_strings.ExtStrings(), functions.extension(), kubernetes.extension(), authorizer.extension(),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of an expression before it runs: the type of its value, and its tree."""

    type: str
    serialised: bytes


def typed_environment(types: Any, variables: Mapping[str, Any]) -> Any:
    """Where expressions about variables of known types are checked. `types`: a descriptor pool."""
    from cel_expr_python import cel

    return cel.NewEnv(descriptor_pool=types, variables=dict(variables), extensions=_extensions())


def checked(text: str, environment: Any) -> Checked:
    """Check an expression. Raises CompileError."""
    try:
        expression = environment.compile(text)
        return Checked(str(expression.return_type().name()), expression.serialize())
    except (RuntimeError, ValueError) as error:
        raise CompileError(_problem(str(error))) from None


def _reason(text: str) -> str:
    text = _CODE.sub("", text)
    missing = _MISSING.search(text)
    if missing:
        return f"no such key: {missing[1]}"
    return "division by zero" if text == "divide by zero" else text


def _problem(text: str) -> str:
    """The sentences, without the drawing below them."""
    lines = [line for line in _CODE.sub("", text).splitlines() if line.strip() and not line.lstrip().startswith("|")]
    return "; ".join(line.removeprefix("ERROR: ") for line in lines).removesuffix(" [INVALID_ARGUMENT]")
