"""`get`: print objects, once or as they change."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click
from raftsman import errors
from raftsman.printers import Layout, Writer

from . import failure, output, targets
from .session import Session
from .targets import Target
from .verb import Failure, flag, verb


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    output: str
    selector: str
    field_selector: str
    show_labels: bool
    label_columns: tuple[str, ...]
    headers: bool
    sort_by: str
    all_namespaces: bool
    ignore_not_found: bool
    show_kind: bool
    chunk: int


@verb()
@click.argument("words", nargs=-1, metavar="TYPE[/NAME] [NAME]…")
@targets.with_files
@targets.with_selection
@output.with_output
@flag("-A", "--all-namespaces", help="In all namespaces.")
@flag("-w", "--watch", help="Then print what changes.")
@flag("--watch-only", help="Print only what changes.")
@flag("--show-labels", help="A last column with all labels.")
@flag("--show-kind", help="Print names with their kind.")
@flag("--no-headers", help="Without the line of headers.")
@flag("--ignore-not-found", help="An object that does not exist is no error.")
@click.option("-L", "--label-columns", multiple=True, help="Labels to print as columns.")
@click.option("--sort-by", default="", metavar="PATH", help="Order by a field, as in .metadata.creationTimestamp.")
@click.option("--chunk-size", default=500, help="How many objects to ask for at once; 0: all.")
async def get(
    session: Session, words: tuple[str, ...], filenames: tuple[str, ...], recursive: bool, selector: str,
    field_selector: str, output: str, all_namespaces: bool, watch: bool, watch_only: bool, show_labels: bool,
    show_kind: bool, no_headers: bool, ignore_not_found: bool, label_columns: tuple[str, ...], sort_by: str,
    chunk_size: int,
) -> None:  # fmt: skip
    """Print objects: `get pods`, `get deploy/web -o yaml`, `get all -A`, `get pods -w`."""
    from . import output as formats

    formats.check(output)
    columns = tuple(key for part in label_columns for key in part.split(","))
    request = Request(
        output, selector, field_selector, show_labels, columns, not no_headers, sort_by, all_namespaces,
        ignore_not_found, show_kind, chunk_size,
    )  # fmt: skip
    if filenames:
        wanted = targets.of_documents(await targets.documents_of(session, filenames, recursive=recursive), session)
    else:
        wanted = targets.parse(words, "" if all_namespaces else session.namespace)
    if any(target.name for target in wanted) and (selector or field_selector or all_namespaces):
        raise Failure("a resource cannot be retrieved by name across all namespaces or with a selector")
    if watch or watch_only:
        await _watch(session, wanted, request, only=watch_only)
    else:
        await _once(session, wanted, request)


async def _once(session: Session, wanted: Sequence[Target], request: Request) -> None:
    found: list[tuple[Target, list[Any]]] = []
    for target in wanted:
        try:
            found.append((target, await _objects(session, target, request)))
        except errors.NotFound as error:
            if not request.ignore_not_found:
                session.fail(failure.text(error))
        except errors.Forbidden as error:
            session.fail(failure.text(error))
    if not output.is_table(request.output):
        flat = [(target.resource, obj) for target, objects in found for obj in objects]
        if flat or not any(target.name for target in wanted):
            output.objects(flat, request.output, single=len(wanted) == 1 and bool(wanted[0].name))
        return
    _tables(session, wanted, found, request)


async def _objects(session: Session, target: Target, request: Request) -> list[Any]:
    if target.name:
        return await targets.fetched(session, target)
    found: list[Any] = []
    token = ""
    while True:
        page = await session.client.list(
            target.resource.message, namespace=target.namespace, label_selector=request.selector,
            field_selector=request.field_selector, limit=request.chunk, continue_token=token,
        )  # fmt: skip
        found += page.items
        token = page.metadata.continue_token
        if not token:
            return _sorted(found, request.sort_by)


def _sorted(objects: list[Any], path: str) -> list[Any]:
    if not path:
        return objects
    from raftsman import codec
    from raftsman.printers import paths

    def key(obj: Any) -> list[Any]:
        with failure.local():
            found = paths.find(paths.relaxed(path), codec.to_json(obj))
        value = found[0] if found else None
        if isinstance(value, bool | int | float):
            return [1, value, ""]
        parts = re.split(r"(\d+)", str(value)) if value is not None else []
        return [2 if parts else 0, 0, [(int(p), "") if p.isdigit() else (-1, p) for p in parts]]

    return sorted(objects, key=key)


def _layout(request: Request, target: Target, *, kind_prefix: bool) -> Layout:
    return Layout(
        wide=request.output == "wide",
        namespace=request.all_namespaces and target.resource.namespaced,
        labels=request.show_labels,
        kind_prefix=kind_prefix or request.show_kind,
        label_columns=request.label_columns,
    )


def _tables(
    session: Session, wanted: Sequence[Target], found: Sequence[tuple[Target, list[Any]]], request: Request
) -> None:
    """One table for each kind, with a blank line between."""
    grouped: dict[Any, tuple[Target, list[Any]]] = {}
    for target, objects in found:
        grouped.setdefault(target.resource, (target, []))[1].extend(objects)
    several = len({target.resource for target in wanted}) > 1
    printed = False
    for target, objects in grouped.values():
        if not objects:
            continue
        layout = _layout(request, target, kind_prefix=several)
        rows = [layout.row(target.resource, obj) for obj in objects]
        if printed:
            sys.stdout.write("\n")
        Writer(sys.stdout).write([*([layout.headers(target.resource)] if request.headers else []), *rows])
        printed = True
    if not printed and not session.failed and not request.ignore_not_found:
        scoped = any(target.resource.namespaced for target in wanted) and not request.all_namespaces
        session.note(f"No resources found{f' in {session.namespace} namespace' if scoped else ''}".rstrip() + (
            "." if scoped else ""))  # fmt: skip


async def _watch(session: Session, wanted: Sequence[Target], request: Request, *, only: bool) -> None:
    if len({target.resource for target in wanted}) != 1:
        raise Failure("you may only specify a single resource type")
    if len(wanted) != 1:
        raise Failure("watch is only supported on one object or one kind")
    target = wanted[0]
    fields = request.field_selector or (f"metadata.name={target.name}" if target.name else "")
    if target.name:
        await targets.fetched(session, target)
    page = await session.client.list(
        target.resource.message, namespace=target.namespace, label_selector=request.selector, field_selector=fields
    )
    show = _Rows(request, target)
    if not only:
        show.rows(_sorted(list(page.items), request.sort_by))
    events = session.client.watch(
        target.resource.message, namespace=target.namespace, label_selector=request.selector, field_selector=fields,
        resource_version=page.metadata.resource_version,
    )  # fmt: skip
    try:
        async for event in events:
            show.rows([event.object])
    except asyncio.CancelledError:
        await events.aclose()
        raise


class _Rows:
    """What a watch prints: the headers once, then rows in line with them."""

    def __init__(self, request: Request, target: Target) -> None:
        self.request, self.target = request, target
        self.writer = Writer(sys.stdout)
        self.layout = _layout(request, target, kind_prefix=False)
        self.headers = request.headers

    def rows(self, objects: list[Any]) -> None:
        if not objects:
            return
        resource = self.target.resource
        if not output.is_table(self.request.output):
            for obj in objects:
                if self.request.output == "yaml":
                    sys.stdout.write("---\n")
                output.objects([(resource, obj)], self.request.output, single=True)
            return
        head = [self.layout.headers(resource)] if self.headers else []
        self.headers = False
        self.writer.write([*head, *(self.layout.row(resource, obj) for obj in objects)])
