"""`wait`: until conditions, fields or deletions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import click
from raftsman import codec, errors

from . import failure, targets
from .session import Session
from .targets import Target
from .verb import Duration, Failure, flag, verb

Met = Callable[[Any | None], bool]
LONG_S = 7 * 86400.0


@verb()
@click.argument("words", nargs=-1, metavar="TYPE[/NAME] [NAME]…")
@targets.with_files
@targets.with_selection
@flag("--all", help="All objects of the kind in the namespace.")
@flag("-A", "--all-namespaces", help="In all namespaces.")
@click.option(
    "--for",
    "wanted",
    required=True,
    metavar="WHAT",
    help="create, delete, condition=NAME[=VALUE] or jsonpath=PATH[=VALUE].",
)
@click.option("--timeout", type=Duration(), default=30.0, help="How long; 0: look once; negative: a week.")
async def wait(
    session: Session, words: tuple[str, ...], filenames: tuple[str, ...], recursive: bool, selector: str,
    field_selector: str, all: bool, all_namespaces: bool, wanted: str, timeout: float,
) -> None:  # fmt: skip
    """Wait: `wait --for=condition=Available deploy/web`, `wait --for=delete pod/web-1 --timeout=60s`."""
    met = condition(wanted)
    deadline = time.monotonic() + (LONG_S if timeout < 0 else timeout)
    if wanted == "create":
        found = targets.parse(words, session.namespace)
        if any(not target.name for target in found):
            raise Failure("--for=create needs names")
    else:
        found = await _found(session, words, filenames, recursive, selector, field_selector, all, all_namespaces,
                             gone_is_fine=wanted == "delete")  # fmt: skip
    async with asyncio.TaskGroup() as group:
        for target in found:
            group.create_task(_one(session, target, met, deadline, may_lack=wanted in ("create", "delete")))


async def _found(
    session: Session, words: Sequence[str], filenames: Sequence[str], recursive: bool, selector: str, fields: str,
    every: bool, all_namespaces: bool, *, gone_is_fine: bool,
) -> list[Target]:  # fmt: skip
    if filenames:
        return targets.of_documents(await targets.documents_of(session, filenames, recursive=recursive), session)
    wanted = targets.parse(words, "" if all_namespaces else session.namespace)
    if all_targets_named := all_named(wanted):
        return all_targets_named
    if not (selector or fields or every):
        raise Failure("resource(s) were provided, but no name, label selector, or --all flag specified")
    found: list[Target] = []
    for target in wanted:
        objects = await targets.fetched(session, target, label_selector=selector, field_selector=fields)
        found += [Target(target.resource, o.metadata.name, o.metadata.namespace) for o in objects]
    if not found and not gone_is_fine:
        raise Failure("no matching resources found")
    return found


def all_named(wanted: list[Target]) -> list[Target]:
    return wanted if all(target.name for target in wanted) else []


async def _one(session: Session, target: Target, met: Met, deadline: float, *, may_lack: bool) -> None:
    """`may_lack`: whether an object that is not there is something to wait for."""
    client, message = session.client, target.resource.message
    remaining = deadline - time.monotonic()
    try:
        done = False
        if not may_lack:
            done = met(await client.get(message, target.name, namespace=target.namespace))
            if not done and remaining <= 0:
                raise errors.Timeout("")
        if not done:
            await client.wait(message, target.name, met, namespace=target.namespace, timeout_s=max(remaining, 0.1))
    except errors.Timeout:
        session.fail(f"error: timed out waiting for the condition on {target.resource.name}/{target.name}")
    except errors.ApiError as error:
        session.fail(failure.text(error))
    else:
        session.say(f"{target} condition met")


def condition(text: str) -> Met:
    """What --for says, as a test of an object (None while there is none)."""
    kind, _, rest = text.partition("=")
    match kind.lower():
        case "delete" if not rest:
            return lambda obj: obj is None
        case "create" if not rest:
            return lambda obj: obj is not None
        case "condition" if rest:
            name, _, value = rest.partition("=")
            return _condition(name, value or "true")
        case "jsonpath" if rest:
            return _path(rest)
    raise Failure(f'unrecognized condition: "{text}"; write create, delete, condition=NAME[=VALUE] or jsonpath=PATH')


def _condition(name: str, value: str) -> Met:
    def met(obj: Any | None) -> bool:
        status = getattr(obj, "status", None)
        for found in getattr(status, "conditions", ()):
            if found.type.lower() == name.lower():
                observed = getattr(found, "observed_generation", 0) or getattr(status, "observed_generation", 0)
                stale = bool(obj is not None and observed and observed < obj.metadata.generation)
                return not stale and found.status.lower() == value.lower()
        return False

    return met


def _path(text: str) -> Met:
    from raftsman.printers import paths

    end = text.find("}") + 1 if text.startswith("{") else text.find("=") if "=" in text else len(text)
    path, rest = paths.relaxed(text[:end]), text[end:]
    expected = rest[1:].strip("'\"") if rest.startswith("=") else None
    if rest and expected is None:
        raise Failure(f'"{text}" is not of the form jsonpath={{.path}}=VALUE')
    with failure.local():
        paths.find(path, {})

    def met(obj: Any | None) -> bool:
        if obj is None:
            return False
        found = paths.find(path, codec.to_json(obj))
        return bool(found) and (expected is None or any(paths.text(item) == expected for item in found))

    return met
