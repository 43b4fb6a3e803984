"""`cordon` and `uncordon`: whether a node takes new pods."""

from __future__ import annotations

from collections.abc import Sequence

import click
from raftsman import errors
from raftsman.core import v1 as core

from . import failure
from .output import with_dry_run
from .session import Session
from .verb import Failure, verb
from .writing import options_of, suffix


@verb()
@click.argument("nodes", nargs=-1, metavar="NODE…")
@click.option("-l", "--selector", default="", help="The nodes with these labels.")
@with_dry_run
async def cordon(session: Session, nodes: tuple[str, ...], selector: str, dry_run: str) -> None:
    """Mark nodes as taking no new pods."""
    await mark(session, await named(session, nodes, selector), dry_run, unschedulable=True)


@verb()
@click.argument("nodes", nargs=-1, metavar="NODE…")
@click.option("-l", "--selector", default="", help="The nodes with these labels.")
@with_dry_run
async def uncordon(session: Session, nodes: tuple[str, ...], selector: str, dry_run: str) -> None:
    """Mark nodes as taking new pods."""
    await mark(session, await named(session, nodes, selector), dry_run, unschedulable=False)


async def named(session: Session, nodes: Sequence[str], selector: str) -> list[str]:
    """The nodes that a command line means."""
    if bool(nodes) == bool(selector):
        raise Failure("name nodes, or select them with -l")
    if selector:
        listed = await session.client.list(core.Node, label_selector=selector)
        return [node.metadata.name for node in listed.items]
    return [name.removeprefix("node/") for name in nodes]


async def mark(session: Session, names: Sequence[str], dry_run: str, *, unschedulable: bool) -> None:
    """Say of each what was done, or what went wrong."""
    done = "cordoned" if unschedulable else "uncordoned"
    for name in names:
        try:
            node = await session.client.get(core.Node, name)
            if node.spec.unschedulable == unschedulable:
                session.say(f"node/{name} already {done}{suffix(dry_run)}")
                continue
            if dry_run != "client":
                change = {"spec": {"unschedulable": unschedulable or None}}
                await session.client.patch(core.Node, name, change, options=options_of(dry_run))
        except errors.ApiError as error:
            session.fail(failure.text(error))
        else:
            session.say(f"node/{name} {done}{suffix(dry_run)}")
