"""`label` and `annotate`: set and remove labels and annotations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click
from raftsman import errors, selectors

from . import failure, output, targets
from .session import Session
from .targets import Target
from .verb import Failure, flag, verb
from .writing import options_of, suffix


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.argument("words", nargs=-1, metavar="TYPE/NAME KEY=VALUE… KEY-…"),
        targets.with_files,
        targets.with_selection,
        output.with_dry_run,
        flag("--all", help="All objects of the kind in the namespace."),
        flag("-A", "--all-namespaces", help="In all namespaces."),
        flag("--overwrite", help="Also change what has another value."),
        flag("--list", help="Print them instead."),
    ):
        function = option(function)
    return function


def changes(words: Sequence[str]) -> dict[str, str | None]:
    """What the words say: a value to set, or None to remove."""
    found: dict[str, str | None] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals and not word.endswith("-"):
            raise Failure(f'"{word}" is not of the form KEY=VALUE or KEY-')
        key = key if equals else word[:-1]
        if key in found:
            raise Failure(f'"{key}" is given more than once')
        problem = selectors.key_problem(key)
        if problem:
            raise Failure(f'"{key}" is not a valid key: {problem}')
        found[key] = value if equals else None
    return found


def _names(words: Sequence[str]) -> tuple[list[str], list[str]]:
    from .set import split

    return split(words)


async def _run(session: Session, field: str, done: str, given: dict[str, Any]) -> None:
    names, rest = _names(given["words"])
    wanted = changes(rest)
    if not wanted and not given["list"]:
        raise Failure(f"at least one {field.removesuffix('s')} update is required, as KEY=VALUE or KEY-")
    found = await targets.selected(
        session, names, given["filenames"], recursive=given["recursive"], selector=given["selector"],
        field_selector=given["field_selector"], every=given["all"], all_namespaces=given["all_namespaces"],
    )  # fmt: skip
    for target, obj in found:
        current = dict(getattr(obj.metadata, field))
        if given["list"]:
            _list(session, target, current, several=len(found) > 1)
            continue
        try:
            await _change(session, target, field, current, wanted, given, done)
        except errors.ApiError as error:
            session.fail(failure.text(error))


def _list(session: Session, target: Target, current: dict[str, str], *, several: bool) -> None:
    if several:
        session.say(f"Listing for {target}:")
    for key in sorted(current):
        session.say(f"{key}={current[key]}")


async def _change(
    session: Session, target: Target, field: str, current: dict[str, str], wanted: dict[str, str | None],
    given: dict[str, Any], done: str,
) -> None:  # fmt: skip
    for key, value in wanted.items():
        if value is None and key not in current:
            session.say(f'{field.removesuffix("s")} "{key}" not found.')
        elif value is not None and current.get(key, value) != value and not given["overwrite"]:
            session.fail(f"error: '{key}' already has a value ({current[key]}), and --overwrite is false")
            return
    change = {key: value for key, value in wanted.items() if current.get(key) != value}
    if not change:
        session.say(f"{target} not {done}")
        return
    if given["dry_run"] != "client":
        await session.client.patch(
            target.resource.message, target.name, {"metadata": {field: change}}, namespace=target.namespace,
            options=options_of(given["dry_run"]),
        )  # fmt: skip
    removed = all(value is None for value in change.values())
    verb_done = f"un{done}" if removed and done == "labeled" else done
    session.say(f"{target} {verb_done}{suffix(given['dry_run'])}")


@verb()
@_options
async def label(session: Session, **given: Any) -> None:
    """Set and remove labels: `label pod web-1 tier=front old-`."""
    await _run(session, "labels", "labeled", given)


@verb()
@_options
async def annotate(session: Session, **given: Any) -> None:
    """Set and remove annotations: `annotate deploy/web note="new image"`."""
    await _run(session, "annotations", "annotated", given)
