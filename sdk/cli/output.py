"""What -o says: a table, YAML, JSON, names, JSONPath or columns of one's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from raftsman.printers import Writer
from raftsman.resources import Resource

from . import failure
from .targets import named
from .verb import Completed, Failure

FORMATS = "wide, yaml, json, name, jsonpath=…, jsonpath-file=…, custom-columns=…, custom-columns-file=…"


def with_output(function: Callable[..., Any]) -> Callable[..., Any]:
    kind = Completed("formats")
    return click.option("-o", "--output", default="", type=kind, metavar="FORMAT", help=f"One of {FORMATS}.")(function)


def with_dry_run(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--dry-run", type=click.Choice(["none", "client", "server"]), default="none",
        help="Only say what would be done: without asking the server, or by asking it.",
    )(function)  # fmt: skip


def is_table(output: str) -> bool:
    return output in ("", "wide")


def check(output: str) -> None:
    """A Failure if the format is not known."""
    name = output.partition("=")[0]
    known = ("", "wide", "yaml", "json", "name", "jsonpath", "jsonpath-file", "custom-columns", "custom-columns-file")
    if name not in known or (("=" in output) != (name in known[5:])):
        raise Failure(f'unable to match a printer suitable for the output format "{output}", allowed are: {FORMATS}')


def objects(found: Sequence[tuple[Resource, Any]], output: str, *, single: bool, shown: Any = None) -> None:
    """Print objects in a format that is no table. `single`: an object asked for by its name, so no List around it."""
    from raftsman.printers import documents

    if output == "name":
        for resource, obj in found:
            click.echo(f"{named(resource)}/{obj.metadata.name}")
        return
    values = [(shown or documents.shown)(obj) for _, obj in found]
    value = values[0] if single and len(values) == 1 else documents.listed(values)
    name, _, argument = output.partition("=")
    if name.endswith("-file"):
        argument, name = _file(argument), name.removesuffix("-file")
    match name:
        case "yaml":
            sys.stdout.write(documents.to_yaml(value))
        case "json":
            sys.stdout.write(documents.to_json(value))
        case "jsonpath":
            from raftsman.printers import paths

            with failure.local():
                sys.stdout.write(paths.render(argument, value))
        case "custom-columns":
            _columns(argument, values)
    sys.stdout.flush()


def _file(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise Failure(f"error reading template {path}: {error.strerror}") from None


def _columns(spec: str, values: Sequence[Any]) -> None:
    from raftsman.printers import paths

    parts = [part.partition(":") for part in _split(spec)]
    if not all(head and path for head, _, path in parts):
        raise Failure(f"unexpected custom-columns spec: {spec}, expected <header>:<json-path-expr>")
    with failure.local():
        rows = [[_cell(paths.find(paths.relaxed(path), value)) for _, _, path in parts] for value in values]
    Writer(sys.stdout).write([[head for head, _, _ in parts], *rows])


def _split(spec: str) -> list[str]:
    """Divide at commas that are not inside brackets."""
    found, depth = [""], 0
    for char in spec:
        depth += (char == "[") - (char == "]")
        if char == "," and depth == 0:
            found.append("")
        else:
            found[-1] += char
    return found


def _cell(found: list[Any]) -> str:
    from raftsman.printers import paths

    return ",".join(paths.text(item) or "<none>" for item in found) or "<none>"
