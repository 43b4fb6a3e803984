"""What the verbs that write have in common: validation, dry runs, and what only the reader of YAML can check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from raftsman import manifests
from raftsman.meta import v1 as meta

from .verb import Failure

_VALIDATION = {
    "strict": meta.FIELD_VALIDATION_STRICT,
    "true": meta.FIELD_VALIDATION_STRICT,
    "warn": meta.FIELD_VALIDATION_WARN,
    "ignore": meta.FIELD_VALIDATION_IGNORE,
    "false": meta.FIELD_VALIDATION_IGNORE,
}


def with_validation(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--validate", type=click.Choice(list(_VALIDATION)), default="strict",
        help="What becomes of unknown fields: refused, warned of, or ignored.",
    )(function)  # fmt: skip


def options_of(dry_run: str, validate: str = "strict") -> meta.WriteOptions:
    """The options of a write; `dry_run` is none, client or server."""
    options = meta.WriteOptions(field_validation=_VALIDATION[validate], field_manager="raftsman-cli")
    if dry_run == "server":
        options.dry_run = True
    return options


def suffix(dry_run: str) -> str:
    """What follows `created` when nothing was."""
    return {"client": " (dry run)", "server": " (server dry run)"}.get(dry_run, "")


def check_written(document: manifests.Document) -> None:
    """A Failure for doubled keys: they are gone once the document is sent."""
    if document.problems:
        listed = "; ".join(f"{cause.field}: {cause.message}" for cause in document.problems)
        raise Failure(f'error validating "{document.source}": {listed}')
