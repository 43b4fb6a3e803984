"""`diff`: what `apply` would change, shown by the program `diff` (or $KUBECTL_EXTERNAL_DIFF).

Exit code 0 without differences, 1 with some, more than 1 after a failure. Values of secrets are masked.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import tempfile
from pathlib import Path
from typing import Any

import click
from raftsman import errors, manifests
from raftsman.meta import v1 as meta

from . import apply, failure, targets
from .session import Session
from .verb import Failure, flag, verb
from .writing import options_of

MASK = "***"
FAILED = 2


@verb()
@targets.with_files
@flag("--server-side", help="Let the server merge.")
@flag("--force-conflicts", help="With --server-side: take over fields that others own.")
@click.option("--field-manager", default="", help="With --server-side: who owns what is applied.")
@click.option("-l", "--selector", default="", help="Only the manifests' objects with these labels.")
@flag("--show-managed-fields", help="Who owns which field, too.")
async def diff(
    session: Session, filenames: tuple[str, ...], recursive: bool, server_side: bool, force_conflicts: bool,
    field_manager: str, selector: str, show_managed_fields: bool,
) -> int | None:  # fmt: skip
    """Show what apply would change: `diff -f file.yaml`."""
    try:
        documents = apply.chosen(await targets.documents_of(session, filenames, recursive=recursive), selector)
        with (
            tempfile.TemporaryDirectory(prefix="LIVE-") as live,
            tempfile.TemporaryDirectory(prefix="MERGED-") as merged,
        ):
            for document in documents:
                options = options_of("server")
                options.field_manager = field_manager or ("raftsman" if server_side else "raftsman-cli")
                target = targets.of_documents([document], session)[0]
                before = await _current(session, target)
                after = await _merged(session, document, options, server_side, force_conflicts)
                _written(Path(live), Path(merged), target, before, after, managed=show_managed_fields)
            return await _compared(live, merged)
    except errors.ApiError as error:
        session.fail(failure.text(error))
    except Failure as error:
        session.fail(f"error: {error.message}")
    return FAILED


async def _current(session: Session, target: targets.Target) -> Any | None:
    try:
        return await session.client.get(target.resource.message, target.name, namespace=target.namespace)
    except errors.NotFound:
        return None


async def _merged(
    session: Session, document: manifests.Document, options: meta.WriteOptions, server_side: bool, force: bool
) -> Any:
    if server_side:
        return (await apply.by_server(session, document, options, "server", force=force))[1]
    return (await apply.applied(session, document, options, "server", force=False))[1]


def _written(
    live: Path, merged: Path, target: targets.Target, before: Any | None, after: Any, *, managed: bool
) -> None:
    """The two states as files of one name."""
    from raftsman import codec
    from raftsman.printers import documents

    trees = []
    for obj in (before, after):
        tree = codec.to_json(obj) if obj is not None else {}
        if not managed:
            tree.get("metadata", {}).pop("managedFields", None)
        trees.append(tree)
    if target.resource.qualified == "secrets":
        _mask(*trees)
    name = f"{target.resource.api_version.replace('/', '.')}.{target.resource.kind}.{target.namespace}.{target.name}"
    for folder, tree in zip((live, merged), trees, strict=True):
        text = documents.to_yaml(tree) if tree else ""
        (folder / name).write_text(text)


def _mask(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Hide values; whether they differ stays visible."""
    old, new = before.get("data") or {}, after.get("data") or {}
    for key in {*old, *new}:
        differ = key in old and key in new and old[key] != new[key]
        if key in old:
            old[key] = f"{MASK} (before)" if differ else MASK
        if key in new:
            new[key] = f"{MASK} (after)" if differ else MASK


async def _compared(live: str, merged: str) -> int:
    program = shlex.split(os.environ.get("KUBECTL_EXTERNAL_DIFF", "")) or ["diff", "-u", "-N"]
    try:
        process = await asyncio.create_subprocess_exec(*program, live, merged)
    except OSError as error:
        raise Failure(f"failed to run {program[0]!r}: {error.strerror}") from None
    return await process.wait()
