"""`explain`: what a kind and its fields are, in the words of the protos, or of a custom resource's schema."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import click
from raftsman import codec, resources
from raftsman.apiextensions import v1 as apiextensions
from raftsman.resources import Resource

from . import field_docs
from .field_docs import Doc
from .session import Session
from .verb import Failure, flag, verb

WIDTH = 80
_NONE: frozenset[str] = frozenset()


@verb("explain")
@click.argument("field_path", metavar="TYPE[.FIELD...]")
@flag("--recursive", help="All fields below, without what they are.")
@click.option("--api-version", default="", help="Of this group and version, e.g. apps/v1.")
async def explain(session: Session, field_path: str, recursive: bool, api_version: str) -> None:
    """Say what a kind and its fields are: `explain pod.spec.containers`."""
    word, *path = field_path.split(".")
    kind, group, version, doc = await _found(session, word, path, api_version)
    head = [f"GROUP:      {group}"] if group else []
    session.say("\n".join([*head, f"KIND:       {kind}", f"VERSION:    {version}", ""]))
    name = ""
    for name in path:
        below = doc.fields()
        if name not in below:
            raise Failure(f'field "{name}" does not exist')
        doc = below[name]
    for line in _told(doc, name, recursive=recursive):
        session.say(line)


async def _found(session: Session, word: str, path: list[str], api_version: str) -> tuple[str, str, str, Doc]:
    """(kind, group, version, what it is). `word` and the first words of `path` may be a name with its group."""
    for end in range(len(path), -1, -1):
        one = _built_in(".".join((word, *path[:end])), api_version)
        if one is not None:
            del path[:end]
            return one.kind, one.group, one.version, field_docs.of_message(one.message.DESCRIPTOR)
    listed = await session.client.list(apiextensions.CustomResourceDefinition)
    for definition in listed.items:
        found = _custom(definition, word, path, api_version)
        if found is not None:
            return found
    raise Failure(f'the server doesn\'t have a resource type "{word}"')


def _built_in(name: str, api_version: str) -> Resource | None:
    """The kind of that name, in the version that is asked for."""
    named = resources.find(name)
    if named is None or api_version in ("", named.api_version):
        return named
    return resources.by_kind(api_version, named.kind)


def _custom(definition: Any, word: str, path: list[str], api_version: str) -> tuple[str, str, str, Doc] | None:
    spec, names = definition.spec, definition.spec.names
    called = {names.plural, names.singular, names.kind.lower(), *names.short_names}
    if word.lower() not in called:
        return None
    group = spec.group.split(".")
    if path[: len(group)] == group:
        del path[: len(group)]
    for version in spec.versions:
        if version.served and api_version in ("", f"{spec.group}/{version.name}"):
            schema = codec.to_json(version.schema.open_apiv3_schema)
            tree = {"properties": {}} | schema
            tree["properties"] = {"apiVersion": {}, "kind": {}, "metadata": {}} | tree["properties"]
            return names.kind, spec.group, version.name, field_docs.of_schema(names.kind, tree)
    return None


def _told(doc: Doc, name: str, *, recursive: bool) -> Iterator[str]:
    if name:
        yield f"FIELD: {name} <{doc.type}>{_required(doc)}\n"
    yield from _values(doc, "")
    yield "DESCRIPTION:"
    yield from _wrapped(doc.said or doc.of or "<empty>", "    ")
    if doc.said and doc.of not in ("", doc.said):
        yield from _wrapped(doc.of, "    ")
    below = doc.fields()
    if below:
        yield "\nFIELDS:"
        yield from _listed(below, "  ", recursive=recursive)


def _listed(below: dict[str, Doc], indent: str, *, recursive: bool, above: frozenset[str] = _NONE) -> Iterator[str]:
    """A message that contains itself is told once."""
    for name, doc in below.items():
        yield f"{indent}{name}\t<{doc.type}>{_required(doc)}"
        if not recursive:
            yield from _values(doc, indent + "  ")
            yield from _wrapped(doc.said or doc.of or "<no description>", indent + "  ")
            yield ""
        elif doc.message is None or doc.message.full_name not in above:
            inside = above | ({doc.message.full_name} if doc.message is not None else _NONE)
            yield from _listed(doc.fields(), indent + "  ", recursive=True, above=inside)


def _values(doc: Doc, indent: str) -> Iterator[str]:
    if doc.values:
        yield f"{indent}ENUM: {', '.join(value or repr(value) for value in doc.values)}"
    if doc.default:
        yield f"{indent}DEFAULT: {doc.default}"


def _required(doc: Doc) -> str:
    return " -required-" if doc.required else ""


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False)
