"""`delete`: ask for objects' end and wait for it."""

from __future__ import annotations

import asyncio
from typing import Any

import click
from raftsman import errors

from . import failure, output, targets
from .session import Session
from .targets import Target
from .verb import Duration, Failure, flag, verb
from .writing import suffix

_CASCADES = {"background": "Background", "foreground": "Foreground", "orphan": "Orphan", "true": "Background",
             "false": "Orphan"}  # fmt: skip
WAIT_S = 7 * 86400.0


@verb()
@click.argument("words", nargs=-1, metavar="TYPE[/NAME] [NAME]…")
@targets.with_files
@targets.with_selection
@output.with_dry_run
@flag("--all", help="All objects of the kind in the namespace.")
@flag("-A", "--all-namespaces", help="In all namespaces.")
@flag("--ignore-not-found", help="An object that does not exist is no error.")
@flag("--now", help="Let objects end after one second.")
@flag("--force", help="Do not wait for objects to end well.")
@flag("--wait", default=True, help="Wait until the objects are gone.")
@click.option("--grace-period", type=int, default=-1, help="Seconds for an object to end well; -1: its own.")
@click.option("--cascade", type=click.Choice(list(_CASCADES)), default="background", help="What becomes of dependents.")
@click.option("--timeout", type=Duration(), default=0.0, help="How long to wait; 0: as long as it takes.")
@click.option("-o", "--output", type=click.Choice(["", "name"]), default="", help="name: print names only.")
async def delete(
    session: Session, words: tuple[str, ...], filenames: tuple[str, ...], recursive: bool, selector: str,
    field_selector: str, dry_run: str, all: bool, all_namespaces: bool, ignore_not_found: bool, now: bool,
    force: bool, wait: bool, grace_period: int, cascade: str, timeout: float, output: str,
) -> None:  # fmt: skip
    """Delete objects: `delete -f folder`, `delete pod web-1`, `delete deploy -l app=web`, `delete pods --all`."""
    grace = _grace(session, grace_period, now=now, force=force)
    wanted = await _wanted(
        session, words, filenames, recursive=recursive, selector=selector, fields=field_selector, every=all,
        all_namespaces=all_namespaces, ignore_not_found=ignore_not_found,
    )  # fmt: skip
    gone: list[tuple[Target, str]] = []
    for target, uid in wanted:
        try:
            if dry_run != "client":
                uid = await _delete(session, target, uid, grace, _CASCADES[cascade], dry_run=dry_run == "server")
        except errors.NotFound as error:
            if not (ignore_not_found or all):
                session.fail(failure.text(error))
            continue
        except errors.Unavailable:
            raise
        except errors.ApiError as error:
            session.fail(failure.text(error))
            continue
        gone.append((target, uid))
        session.say(_said(target, output, forced=force and grace == 0, tail=suffix(dry_run)))
    if not wanted and not session.failed and not ignore_not_found:
        session.say("No resources found")
    if wait and dry_run == "none" and not force:
        await _wait(session, gone, timeout or WAIT_S)


def _said(target: Target, output: str, *, forced: bool, tail: str) -> str:
    if output == "name":
        return str(target)
    return f'{targets.named(target.resource)} "{target.name}" {"force deleted" if forced else "deleted"}{tail}'


def _grace(session: Session, grace_period: int, *, now: bool, force: bool) -> int | None:
    if now and grace_period != -1:
        raise Failure("--now and --grace-period cannot be specified together")
    if force and grace_period > 0:
        raise Failure("--force and --grace-period greater than 0 cannot be specified together")
    if grace_period == 0 and not force:
        # A pod that may still run somewhere must not vanish by accident: one second is the shortest good ending.
        return 1
    if force:
        session.warn("Immediate deletion does not wait for confirmation that the running resource has been terminated.")
        return 0
    return 1 if now else grace_period if grace_period >= 0 else None


async def _wanted(
    session: Session, words: tuple[str, ...], filenames: tuple[str, ...], *, recursive: bool, selector: str,
    fields: str, every: bool, all_namespaces: bool, ignore_not_found: bool,
) -> list[tuple[Target, str]]:  # fmt: skip
    """The objects to delete, with the uid of those that were looked up."""
    if filenames:
        found = targets.of_documents(await targets.documents_of(session, filenames, recursive=recursive), session)
        # What was made last is removed first: a namespace after what lives in it.
        return [(target, "") for target in sorted(found, key=lambda t: t.resource.kind == "Namespace")]
    wanted = targets.parse(words, "" if all_namespaces else session.namespace)
    named = [target for target in wanted if target.name]
    if named and (selector or fields or every):
        raise Failure("name cannot be provided when a selector or --all is specified")
    if len(named) == len(wanted):
        return [(target, "") for target in wanted]
    if not (selector or fields or every):
        raise Failure("resource(s) were provided, but no name was specified")
    looked_up: list[tuple[Target, str]] = []
    for target in wanted:
        objects = await targets.fetched(session, target, label_selector=selector, field_selector=fields)
        looked_up += [(Target(target.resource, o.metadata.name, o.metadata.namespace), o.metadata.uid) for o in objects]
    return looked_up


async def _delete(session: Session, target: Target, uid: str, grace: int | None, cascade: str, *, dry_run: bool) -> str:
    answer: Any = await session.client.delete(
        target.resource.message, target.name, namespace=target.namespace, grace_period_s=grace, propagation=cascade,
        uid=uid or None, dry_run=dry_run,
    )  # fmt: skip
    return str(answer.metadata.uid) or uid


async def _wait(session: Session, gone: list[tuple[Target, str]], timeout_s: float) -> None:
    async def until_gone(target: Target, uid: str) -> None:
        await session.client.wait(
            target.resource.message, target.name, lambda obj: obj is None or (uid != "" and obj.metadata.uid != uid),
            namespace=target.namespace, timeout_s=timeout_s,
        )  # fmt: skip

    try:
        async with asyncio.TaskGroup() as group:
            for target, uid in gone:
                group.create_task(until_gone(target, uid))
    except* errors.Timeout:
        session.fail("error: timed out waiting for the condition")
