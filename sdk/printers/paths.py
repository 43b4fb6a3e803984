"""JSONPath templates: `{.metadata.name}`, `{range .items[*]}{.spec.nodeName}{"\n"}{end}`, and plain paths.

Known: names, `['quoted names']`, `[0]`, `[-1]`, `[1:3]`, `[*]`, `.*`, `..name`, filters `[?(@.type=="Ready")]` with
== != < > <= >= or alone, literals in quotes, range and end. What else is written is refused with errors.BadRequest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from raftsman import errors

_STEP = re.compile(
    r"""\.\.(?P<deep>[\w\-$/]+) | \.(?P<name>(?:[\w\-$/]|\\.)+) | \.?(?P<star>\*|\[\*\]) | \[(?P<index>-?\d+)\]
      | \[(?P<slice>-?\d*:-?\d*)\] | \[(?P<quoted>'[^']*'|"[^"]*")\] | \[\?\((?P<filter>[^()]*)\)\] | (?P<self>\.)""",
    re.VERBOSE,
)
_FILTER = re.compile(
    r"\s*@(?P<path>[^=!<>]*?)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<value>'[^']*'|\"[^\"]*\"|-?[\d.]+|true|false))?\s*"
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}
Step = Callable[[list[Any]], list[Any]]


def _fail(text: str, why: str) -> errors.BadRequest:
    return errors.BadRequest(f"error parsing jsonpath {text}, {why}")


def find(path: str, value: Any) -> list[Any]:
    """Everything that a path such as `.status.conditions[?(@.type=="Ready")].status` leads to."""
    found = [value]
    for step in _steps(path):
        found = step(found)
    return found


def relaxed(path: str) -> str:
    """A path as users may shorten it: `metadata.name`, `.metadata.name` and `{.metadata.name}` are one."""
    path = path.strip()
    if path.startswith("{") and path.endswith("}"):
        path = path[1:-1].strip()
    path = path.removeprefix("$").removeprefix("@") or "."
    return path if path[0] in ".[" else f".{path}"


def _steps(path: str) -> list[Step]:
    text, position, steps = path.strip().removeprefix("$").removeprefix("@"), 0, []
    while position < len(text):
        found = _STEP.match(text, position)
        if found is None:
            raise _fail(path, f"{text[position:]!r} is not understood")
        steps.append(_step(found, path))
        position = found.end()
    return steps


def _step(found: re.Match[str], path: str) -> Step:
    kind = found.lastgroup
    text = found.group(kind) if kind else ""
    match kind:
        case "name":
            return _named(re.sub(r"\\(.)", r"\1", text))
        case "quoted":
            return _named(text[1:-1])
        case "star":
            return lambda values: [inner for value in values for inner in _children(value)]
        case "index":
            return lambda values: [
                value[int(text)]
                for value in values
                if isinstance(value, list) and -len(value) <= int(text) < len(value)
            ]
        case "slice":
            first, _, last = text.partition(":")
            cut = slice(int(first) if first else None, int(last) if last else None)
            return lambda values: [inner for value in values if isinstance(value, list) for inner in value[cut]]
        case "filter":
            keep = _filter(text, path)
            return lambda values: [inner for value in values for inner in _children(value) if keep(inner)]
        case "deep":
            return lambda values: [inner for value in values for inner in _descendants(value, text)]
    return lambda values: values


def _named(name: str) -> Step:
    return lambda values: [value[name] for value in values if isinstance(value, dict) and name in value]


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _descendants(value: Any, name: str) -> Iterator[Any]:
    if isinstance(value, dict) and name in value:
        yield value[name]
    for inner in _children(value):
        yield from _descendants(inner, name)


def _filter(text: str, path: str) -> Callable[[Any], bool]:
    found = _FILTER.fullmatch(text)
    if found is None:
        raise _fail(path, f"the filter {text!r} is not understood")
    inner, operator, literal = found["path"], found["op"], found["value"]
    _steps(inner)
    if operator is None:
        return lambda value: bool(find(inner, value))
    expected = literal[1:-1] if literal[0] in "'\"" else json.loads(literal)
    compare = _COMPARE[operator]

    def keep(value: Any) -> bool:
        try:
            return any(compare(item, expected) for item in find(inner, value))
        except TypeError:
            return False

    return keep


@dataclass(frozen=True, slots=True)
class _Range:
    path: str
    body: tuple[Any, ...]


def render(template: str, value: Any) -> str:
    """The text of a template. errors.BadRequest if it is malformed."""
    tokens = _tokens(template)
    parts, rest = _parse(tokens, 0, template, inside=False)
    assert rest == len(tokens)
    return "".join(_rendered(parts, value))


def _tokens(template: str) -> list[tuple[bool, str]]:
    """(whether it is an action, text) pieces of a template."""
    if "{" not in template:
        return [(True, relaxed(template))]
    found: list[tuple[bool, str]] = []
    position = 0
    while position < len(template):
        start = template.find("{", position)
        if start < 0:
            found.append((False, template[position:]))
            break
        if start > position:
            found.append((False, template[position:start]))
        end = _closing(template, start)
        found.append((True, template[start + 1 : end].strip()))
        position = end + 1
    return found


def _closing(template: str, start: int) -> int:
    quote = ""
    for index in range(start + 1, len(template)):
        char = template[index]
        if quote:
            quote = "" if char == quote and template[index - 1] != "\\" else quote
        elif char in "'\"":
            quote = char
        elif char == "}":
            return index
    raise _fail(template, "unclosed action")


def _parse(tokens: list[tuple[bool, str]], at: int, template: str, *, inside: bool) -> tuple[tuple[Any, ...], int]:
    parts: list[Any] = []
    while at < len(tokens):
        action, text = tokens[at]
        at += 1
        if not action:
            parts.append((False, text))
        elif text == "end":
            if not inside:
                raise _fail(template, "end without range")
            return tuple(parts), at
        elif text.startswith("range "):
            path = relaxed(text[6:])
            _steps(path)
            body, at = _parse(tokens, at, template, inside=True)
            parts.append(_Range(path, body))
        elif text[:1] in "'\"" and text:
            parts.append((False, _literal(text, template)))
        else:
            path = relaxed(text)
            _steps(path)
            parts.append((True, path))
    if inside:
        raise _fail(template, "range without end")
    return tuple(parts), at


def _literal(text: str, template: str) -> str:
    if len(text) < 2 or text[-1] != text[0]:
        raise _fail(template, f"unclosed quote in {text}")
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t", "r": "\r"}.get(m[1], m[1]), text[1:-1])


def _rendered(parts: tuple[Any, ...], value: Any) -> Iterator[str]:
    for part in parts:
        if isinstance(part, _Range):
            for item in find(part.path, value):
                yield from _rendered(part.body, item)
        elif part[0]:
            yield " ".join(text(item) for item in find(part[1], value))
        else:
            yield part[1]


def text(value: Any) -> str:
    """A value as a template prints it."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
