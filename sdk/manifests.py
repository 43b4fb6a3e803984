"""Manifests as people write them: YAML or JSON, several documents a file, folders, lists of objects.

`parse(data)` gives Documents of JSON shape; `read(paths)` does so for files, folders and standard input. Doubled keys
are problems of their document. Scalars follow YAML 1.1 as Kubernetes' tools read it (0644 is octal, yes is true), but
dates stay text and 12:30 is no number. Bounds: BYTES_MAX a file, NODES_MAX values with aliases expanded, DEPTH_MAX.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from raftsman import errors
from yaml.cyaml import CParser  # type: ignore[attr-defined]

BYTES_MAX = 32 * 1024 * 1024
NODES_MAX = 1_000_000
DEPTH_MAX = 200
SUFFIXES = (".yaml", ".yml", ".json")
_DUPLICATE = "FieldDuplicate"


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a manifest, where it came from, and what was wrong with the way it is written."""

    value: dict[str, Any]
    source: str = ""
    problems: tuple[errors.Cause, ...] = ()

    @property
    def api_version(self) -> str:
        return _text(self.value.get("apiVersion"))

    @property
    def kind(self) -> str:
        return _text(self.value.get("kind"))

    @property
    def metadata(self) -> Mapping[str, Any]:
        found = self.value.get("metadata")
        return found if isinstance(found, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def parse(data: bytes, *, source: str = "") -> list[Document]:
    """Every object in YAML or JSON bytes, lists expanded. errors.BadRequest if the bytes are neither."""
    where = source or "the manifest"
    if len(data) > BYTES_MAX:
        raise errors.BadRequest(f"error parsing {where}: {len(data)} bytes are more than {BYTES_MAX}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise errors.BadRequest(f"error parsing {where}: not UTF-8: {error.reason} at byte {error.start}") from None
    documents: list[Document] = []
    for value, problems in _values(text, where):
        if value is None:
            continue
        if not isinstance(value, dict):
            raise errors.BadRequest(f"error parsing {where}: a document is not an object but {type(value).__name__}")
        documents.extend(_expanded(Document(value, source, tuple(problems))))
    return documents


def _values(text: str, where: str) -> Iterator[tuple[Any, list[errors.Cause]]]:
    if text.lstrip()[:1] in ("{", "["):
        try:
            yield from list(_json_values(text))
        except (ValueError, RecursionError):
            # Not JSON after all, or JSON documents divided by '---': YAML reads those.
            pass
        else:
            return
    try:
        yield from _yaml_values(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise errors.BadRequest(f"error parsing {where}: {line}{error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise errors.BadRequest(f"error parsing {where}: {error}") from None


def _json_values(text: str) -> Iterator[tuple[Any, list[errors.Cause]]]:
    position = len(text) - len(text.lstrip())
    while position < len(text):
        problems: list[errors.Cause] = []
        decoder = json.JSONDecoder(object_pairs_hook=_pairs_hook(problems), parse_constant=_no_constant)
        value, position = decoder.raw_decode(text, position)
        while position < len(text) and text[position].isspace():
            position += 1
        _check_json(value, text)
        yield value, problems


def json_value(data: bytes) -> Any:
    """One JSON value, nested at most DEPTH_MAX deep, its texts valid Unicode. ValueError says what it is not."""
    text = data.decode("utf-8-sig")
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError(f"nested more than {DEPTH_MAX} levels deep") from None
    _check_json(value, text)
    return value


def _check_json(value: Any, text: str) -> None:
    """What JSON may say and no message can hold: nesting without end, and half of a surrogate pair as text."""
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [inner for one in level for inner in _inner(one)]
        if not level:
            return
    raise ValueError(f"nested more than {DEPTH_MAX} levels deep")


def _inner(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _pairs_hook(problems: list[errors.Cause]) -> Any:
    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    problems.append(errors.Cause(key, _DUPLICATE, "the key is there more than once"))
                seen.add(key)
        return found

    return build


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


class _CLoader(CParser, yaml.resolver.BaseResolver):
    """libyaml's parser and composer with the scalar rules of this module."""

    def __init__(self, stream: str) -> None:
        CParser.__init__(self, stream)
        yaml.resolver.BaseResolver.__init__(self)


_TAG = "tag:yaml.org,2002:"
_RESOLVED = (
    ("bool", r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF", "yYnNtTfFoO"),
    ("int", r"[-+]?0b[01_]+|[-+]?0o?[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
     "-+0123456789."),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("merge", r"<<", "<"),
)  # fmt: skip
for _name, _pattern, _first in _RESOLVED:
    _firsts = [*_first.replace("\0", ""), *([""] if "\0" in _first else [])]
    _CLoader.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})\\Z"), _firsts)


def reads_as_text(word: str) -> bool:
    """Whether an unquoted YAML scalar is text to every reader: to this one, and to those of YAML 1.1 and 1.2."""
    if word in ("y", "Y", "n", "N") or _NUMBER_LIKE.fullmatch(word):
        return False
    return not any(re.fullmatch(pattern, word) for _, pattern, _ in _RESOLVED)


# Numbers with underscores, in base 60, 16, 8 and 2, and dates: each is a number or a date to some reader.
_NUMBER_LIKE = re.compile(
    r"[-+]?[\d_]*\.?[\d_]*(?:[eE][-+]?\d+)?|[-+]?\d[\d_]*(?::[0-5]?\d)+(?:\.[\d_]*)?|[-+]?0[boxBOX]\w*"
    r"|\d{4}-\d\d?-\d\d?(?:[Tt \t].*)?",
    re.ASCII | re.DOTALL,
)


def _yaml_values(text: str) -> Iterator[tuple[Any, list[errors.Cause]]]:
    _check_depth(text)
    loader = _CLoader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            _expanded_size(node, {}, 0)
            problems: list[errors.Cause] = []
            yield _value(node, "", problems), problems
    finally:
        loader.dispose()


def _check_depth(text: str) -> None:
    """libyaml's composer recurses without looking at the stack: nesting is counted before it may run."""
    nests = text.count("[") + text.count("{") + text.count("- -") + text.count("? ")
    if nests < DEPTH_MAX and not any(len(line) - len(line.lstrip(" ")) > DEPTH_MAX for line in text.splitlines()):
        return
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CBaseLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_MAX:
                raise ValueError(f"nested more than {DEPTH_MAX} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _children(node: Any) -> list[Any]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _expanded_size(node: Any, sizes: dict[int, int], depth: int) -> int:
    """How many values the node is once its aliases are written out. ValueError when that is too many, or endless."""
    known = sizes.get(id(node))
    if known is not None:
        if known < 0:
            raise ValueError("an alias contains itself")
        return known
    if depth > DEPTH_MAX:
        raise ValueError(f"nested more than {DEPTH_MAX} levels deep")
    sizes[id(node)] = -1
    size = 1 + sum(_expanded_size(child, sizes, depth + 1) for child in _children(node))
    if size > NODES_MAX:
        raise ValueError(f"more than {NODES_MAX} values with aliases expanded")
    sizes[id(node)] = size
    return size


def _value(node: Any, path: str, problems: list[errors.Cause]) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, problems)
    if isinstance(node, yaml.SequenceNode):
        return [_value(child, f"{path}[{index}]", problems) for index, child in enumerate(node.value)]
    return _scalar(node)


def _mapping(node: Any, path: str, problems: list[errors.Cause]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if key_node.tag == _TAG + "merge":
            for source in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                if not isinstance(source, yaml.MappingNode):
                    raise ValueError(f"line {source.start_mark.line + 1}: only a mapping can be merged with <<")
                merged = {**_mapping(source, path, problems), **merged}
            continue
        key = _key(key_node)
        inner = f"{path}.{key}" if path else key
        if key in found:
            line = key_node.start_mark.line + 1
            problems.append(errors.Cause(inner, _DUPLICATE, f"the key is there more than once (line {line})"))
        found[key] = _value(value_node, inner, problems)
    return {**merged, **found} if merged else found


def _key(node: Any) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError(f"line {node.start_mark.line + 1}: a key must be text")
    value = _scalar(node)
    if isinstance(value, str):
        return value
    return str(node.value) if not isinstance(value, bool) else str(value).lower()


def _scalar(node: Any) -> Any:
    kind, text = node.tag.removeprefix(_TAG), node.value
    try:
        match kind:
            case "str":
                return text
            case "null":
                return None
            case "bool":
                return text.lower() in ("yes", "true", "on")
            case "int":
                return _integer(text.replace("_", ""))
            case "float":
                return _finite(text)
    except ValueError as error:
        raise ValueError(f"line {node.start_mark.line + 1}: {error}") from None
    raise ValueError(f"line {node.start_mark.line + 1}: the tag {node.tag} has no meaning in a manifest")


def _integer(text: str) -> int:
    digits = text.lstrip("+-")
    sign = -1 if text.startswith("-") else 1
    if digits[:2] in ("0x", "0o", "0b"):
        return sign * int(digits, 0)
    return sign * int(digits, 8 if len(digits) > 1 and digits[0] == "0" else 10)


def _finite(text: str) -> float | int:
    value = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    if not math.isfinite(value):
        raise ValueError(f"{text} cannot be written in JSON")
    # 1e3 and 2.0 are the integers that JSON prints them as.
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _expanded(document: Document) -> Iterator[Document]:
    """The items of a list's document, or the document itself."""
    items = document.value.get("items")
    if not document.kind.endswith("List") or not isinstance(items, list):
        yield document
        return
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise errors.BadRequest(f"error parsing {document.source or 'the manifest'}: items[{index}] is no object")
        item_kind = document.kind.removesuffix("List")
        named = {"apiVersion": document.api_version, "kind": item_kind, **item} if item_kind else item
        yield from _expanded(replace(document, value=named, problems=document.problems if index == 0 else ()))


def files(paths: Iterable[str], *, recursive: bool = False) -> list[Path]:
    """The manifest files that paths name: a file itself, of a folder those with a manifest's suffix, sorted."""
    found: list[Path] = []
    for name in paths:
        path = Path(name)
        if not path.is_dir():
            found.append(path)
            continue
        inside = path.rglob("*") if recursive else path.iterdir()
        found.extend(sorted(p for p in inside if p.suffix in SUFFIXES and p.is_file()))
    return found


def read(paths: Sequence[str], *, recursive: bool = False) -> list[Document]:
    """Every object in files, folders and, for "-", standard input. errors.BadRequest names what cannot be read."""
    documents: list[Document] = []
    for name in paths:
        if name == "-":
            documents.extend(parse(sys.stdin.buffer.read(BYTES_MAX + 1), source="STDIN"))
            continue
        for path in files([name], recursive=recursive):
            try:
                data = path.read_bytes()
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise errors.BadRequest(f"the path {str(path)!r} cannot be read: {reason}") from None
            documents.extend(parse(data, source=str(path)))
    return documents
