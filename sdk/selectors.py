"""Label and field selectors: the text that users write, the LabelSelector of specs, and matching.

`parse_labels("app=web,tier in (a,b),!canary")`, `parse_fields("status.phase!=Running")`. A text that is no selector
is answered with errors.BadRequest naming the text. At most TERMS_MAX requirements each.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from raftsman import errors
from raftsman.meta import v1 as meta

TERMS_MAX = 1000

_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII)
_PREFIX = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_TOKEN = re.compile(r"\s*(==|!=|[=!<>(),]|[^\s=!<>(),]+)\s*")


class Operator(enum.Enum):
    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    NOT_EXISTS = "!"
    EQUALS = "="
    NOT_EQUALS = "!="
    GREATER = ">"
    LESS = "<"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term. A label that is absent satisfies NOT_IN, NOT_EQUALS and NOT_EXISTS only."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return _MATCHES[self.operator](self, labels.get(self.key))

    def __str__(self) -> str:
        match self.operator:
            case Operator.EXISTS:
                return self.key
            case Operator.NOT_EXISTS:
                return f"!{self.key}"
            case Operator.IN | Operator.NOT_IN:
                return f"{self.key} {self.operator.value} ({','.join(sorted(self.values))})"
            case _:
                return f"{self.key}{self.operator.value}{self.values[0]}"


def _compares(requirement: Requirement, value: str | None, *, greater: bool) -> bool:
    try:
        left, right = int(value or ""), int(requirement.values[0])
    except ValueError:
        return False
    return left > right if greater else left < right


_MATCHES: dict[Operator, Callable[[Requirement, str | None], bool]] = {
    Operator.IN: lambda r, v: v is not None and v in r.values,
    Operator.EQUALS: lambda r, v: v is not None and v == r.values[0],
    Operator.NOT_IN: lambda r, v: v is None or v not in r.values,
    Operator.NOT_EQUALS: lambda r, v: v is None or v != r.values[0],
    Operator.EXISTS: lambda r, v: v is not None,
    Operator.NOT_EXISTS: lambda r, v: v is None,
    Operator.GREATER: lambda r, v: _compares(r, v, greater=True),
    Operator.LESS: lambda r, v: _compares(r, v, greater=False),
}


@dataclass(frozen=True, slots=True)
class Selector:
    """Labels that satisfy every requirement; without requirements, all labels. `nothing` selects none at all."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    @property
    def everything(self) -> bool:
        return not self.requirements and not self.nothing

    def matches(self, labels: Mapping[str, str]) -> bool:
        return not self.nothing and all(requirement.matches(labels) for requirement in self.requirements)

    def exact(self, key: str) -> str | None:
        """The one value that `key` must have, if the selector says so (an index can then be used)."""
        for term in self.requirements:
            if term.key == key and len(term.values) == 1 and term.operator in (Operator.EQUALS, Operator.IN):
                return term.values[0]
        return None

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)


EVERYTHING = Selector()
NOTHING = Selector(nothing=True)


@dataclass(frozen=True, slots=True)
class FieldSelector(Selector):
    """Fields by their selectable path. A field that is absent counts as empty."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(
            (labels.get(term.key, "") == term.values[0]) is (term.operator is Operator.EQUALS)
            for term in self.requirements
        )


class _Labels:
    """A recursive-descent reader of one label selector."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.at = 0

    def fail(self, why: str) -> errors.BadRequest:
        return errors.BadRequest(f"unable to parse label selector {self.text!r}: {why}")

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def selector(self) -> Selector:
        found = [self.requirement()]
        while self.peek() == ",":
            self.take()
            found.append(self.requirement())
            if len(found) > TERMS_MAX:
                raise self.fail(f"more than {TERMS_MAX} requirements")
        if self.peek():
            raise self.fail(f"found {self.peek()!r} where ',' or the end was expected")
        return Selector(tuple(sorted(found, key=lambda r: r.key)))

    def requirement(self) -> Requirement:
        if self.peek() == "!":
            self.take()
            return Requirement(self.key(), Operator.NOT_EXISTS)
        key = self.key()
        match self.peek():
            case "" | ",":
                return Requirement(key, Operator.EXISTS)
            case "=" | "==":
                self.take()
                return Requirement(key, Operator.EQUALS, (self.value(),))
            case "!=":
                self.take()
                return Requirement(key, Operator.NOT_EQUALS, (self.value(),))
            case "<" | ">":
                return Requirement(key, Operator(self.take()), (self.number(),))
            case "in" | "notin":
                return Requirement(key, Operator(self.take()), self.values())
            case other:
                raise self.fail(f"found {other!r} where an operator was expected")

    def key(self) -> str:
        key = self.take()
        problem = key_problem(key)
        if problem:
            raise self.fail(f"{key!r} is no label key: {problem}")
        return key

    def value(self) -> str:
        value = "" if self.peek() in ("", ",", ")") else self.take()
        problem = value_problem(value)
        if problem:
            raise self.fail(f"{value!r} is no label value: {problem}")
        return value

    def number(self) -> str:
        value = self.take()
        if not re.fullmatch(r"[+-]?\d{1,19}", value, re.ASCII):
            raise self.fail(f"{value!r} is not an integer")
        return value

    def values(self) -> tuple[str, ...]:
        if self.take() != "(":
            raise self.fail("expected '(' after in or notin")
        found = [self.value()]
        while self.peek() == ",":
            self.take()
            found.append(self.value())
        if self.take() != ")":
            raise self.fail("expected ')' after the values")
        return tuple(found)


def _tokens(text: str) -> list[str]:
    found, position = [], 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            break
        found.append(token[1])
        position = token.end()
    return found


def key_problem(key: str) -> str:
    """What is wrong with a label key, or ""."""
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > 253 or not _PREFIX.fullmatch(prefix)):
        return "the part before '/' must be a DNS subdomain"
    if not name or len(name) > 63 or not _NAME.fullmatch(name):
        return "the name must be 1 to 63 letters, digits, '-', '_' or '.', beginning and ending with a letter or digit"
    return ""


def value_problem(value: str) -> str:
    """What is wrong with a label value, or ""."""
    if value and (len(value) > 63 or not _NAME.fullmatch(value)):
        return "it must be at most 63 letters, digits, '-', '_' or '.', beginning and ending with a letter or digit"
    return ""


@functools.lru_cache(maxsize=1024)
def parse_labels(text: str) -> Selector:
    """The selector that `text` says; "" selects everything. errors.BadRequest names a text that says none."""
    return _Labels(text).selector() if text.strip() else EVERYTHING


_EXPRESSIONS = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Exists": Operator.EXISTS,
    "DoesNotExist": Operator.NOT_EXISTS,
    "Gt": Operator.GREATER,
    "Lt": Operator.LESS,
}


def from_label_selector(selector: meta.LabelSelector | None) -> Selector:
    """The selector of a spec: None selects nothing, an empty one everything. errors.BadRequest for a bad operator."""
    if selector is None:
        return NOTHING
    found = [Requirement(key, Operator.EQUALS, (value,)) for key, value in sorted(selector.match_labels.items())]
    found += [requirement(e.key, e.operator, tuple(e.values)) for e in selector.match_expressions]
    return Selector(tuple(found))


def from_mapping(labels: Mapping[str, str]) -> Selector:
    """The selector of a map of labels, such as a Service's; an empty map selects everything."""
    return Selector(tuple(Requirement(key, Operator.EQUALS, (value,)) for key, value in sorted(labels.items())))


def requirement(key: str, operator: str, values: tuple[str, ...]) -> Requirement:
    """The term of a match expression (`In`, `NotIn`, `Exists`, `DoesNotExist`, and nodes' `Gt`, `Lt`)."""
    found = _EXPRESSIONS.get(operator)
    if found is None:
        raise errors.BadRequest(f"{operator!r} is not a valid label selector operator")
    if found in (Operator.IN, Operator.NOT_IN) and not values:
        raise errors.BadRequest(f"operator {operator} of key {key!r} needs values")
    if found in (Operator.EXISTS, Operator.NOT_EXISTS) and values:
        raise errors.BadRequest(f"operator {operator} of key {key!r} takes no values")
    if found in (Operator.GREATER, Operator.LESS) and len(values) != 1:
        raise errors.BadRequest(f"operator {operator} of key {key!r} takes exactly one value")
    return Requirement(key, found, values)


_FIELD_TERM = re.compile(r"([^=!,\\]+)(==|!=|=)((?:[^\\,=]|\\[\\,=])*)")


@functools.lru_cache(maxsize=1024)
def parse_fields(text: str) -> FieldSelector:
    """The field selector of `a=b,c!=d` (a backslash escapes ',', '=' and itself); "" selects everything."""
    found, position = [], 0
    while position < len(text):
        term = _FIELD_TERM.match(text, position)
        if term is None or (term.end() < len(text) and text[term.end()] != ","):
            raise errors.BadRequest(f"unable to parse field selector {text!r}: write FIELD=VALUE or FIELD!=VALUE")
        operator = Operator.NOT_EQUALS if term[2] == "!=" else Operator.EQUALS
        found.append(Requirement(term[1].strip(), operator, (re.sub(r"\\(.)", r"\1", term[3]),)))
        position = term.end() + 1
    if len(found) > TERMS_MAX:
        raise errors.BadRequest(f"a field selector has at most {TERMS_MAX} requirements")
    return FieldSelector(tuple(found))
