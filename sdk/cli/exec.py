"""`exec`: run a command in a container, with this terminal if asked for; its exit code is ours."""

from __future__ import annotations

import sys
from typing import Any

import click
from raftsman.core import v1 as core

from . import pods, targets, terminal
from .session import Session
from .verb import Failure, Globals, Verb, after_dashes, flag, run_async


@click.command("exec", cls=Verb)
@click.argument("words", nargs=-1, metavar="POD | TYPE/NAME -- COMMAND [ARGUMENT]…")
@flag("-i", "--stdin", help="Pass our standard input on.")
@flag("-t", "--tty", help="Give the command a terminal.")
@flag("-q", "--quiet", help="Say nothing of our own.")
@click.option("-c", "--container", default="", help="In this container.")
@click.pass_context
def exec(ctx: click.Context, /, **given: Any) -> int | None:
    """Run a command in a container: `exec -it web-1 -- sh`, `exec deploy/web -- ls /`."""
    return run_async(_exec, ctx.ensure_object(Globals), (after_dashes(ctx),), given)


async def _exec(
    session: Session, command: list[str], *, words: tuple[str, ...], stdin: bool, tty: bool, quiet: bool,
    container: str,
) -> int:  # fmt: skip
    if not command:
        raise Failure("you must specify at least one command for the container, after --")
    if not words:
        raise Failure("pod, type/name or --filename must be specified")
    pod, _ = await pods.of_target(session, targets.one(words, session.namespace, default="pod"))
    if pod.status.phase in ("Succeeded", "Failed"):
        raise Failure(f"cannot exec into a container in a completed pod; current phase is {pod.status.phase}")
    name = pods.container_of(session, pod, container)
    tty = terminal.usable(session, stdin=stdin, tty=tty, quiet=quiet)
    with terminal.raw_if(tty):
        stream = session.client.exec(
            pod.metadata.name, command, namespace=pod.metadata.namespace, container=name, tty=tty,
            stdin=terminal.input_of() if stdin else None, sizes=terminal.sizes() if tty else None,
        )  # fmt: skip
        ending = await terminal.shown(stream)
    return _ended(ending)


def _ended(ending: core.ExecExit) -> int:
    if ending.message:
        sys.stderr.write(f"error: {ending.message}\n")
    elif ending.code:
        sys.stderr.write(f"command terminated with exit code {ending.code}\n")
    return ending.code or (1 if ending.message else 0)
