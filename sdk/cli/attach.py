"""`attach`: this terminal on a running container's own streams."""

from __future__ import annotations

from typing import Any

import click
from raftsman.core import v1 as core

from . import pods, targets, terminal
from .session import Session
from .verb import Failure, flag, verb


@verb()
@click.argument("words", nargs=-1, metavar="POD | TYPE/NAME")
@flag("-i", "--stdin", help="Pass our standard input on.")
@flag("-t", "--tty", help="The container has a terminal: use it.")
@flag("-q", "--quiet", help="Say nothing of our own.")
@click.option("-c", "--container", default="", help="To this container.")
async def attach(
    session: Session, words: tuple[str, ...], stdin: bool, tty: bool, quiet: bool, container: str
) -> int | None:
    """Attach to a running container: `attach web-1`, `attach -it deploy/shell`. Ends when the container does."""
    if not words:
        raise Failure("at least 1 argument is required for attach")
    pod, _ = await pods.of_target(session, targets.one(words, session.namespace, default="pod"))
    if pod.status.phase in ("Succeeded", "Failed"):
        raise Failure(f"cannot attach a container in a completed pod; current phase is {pod.status.phase}")
    return await to_container(
        session, pod, pods.container_of(session, pod, container), stdin=stdin, tty=tty, quiet=quiet
    )


async def to_container(
    session: Session, pod: core.Pod, container: str, *, stdin: bool, tty: bool, quiet: bool = False
) -> int | None:
    """Until the container ends; the exit code, or None for 0."""
    if tty and not _specification(pod, container).tty:
        if not quiet:
            session.note(f"error: Unable to use a TTY - container {container} did not allocate one")
        tty = False
    tty = terminal.usable(session, stdin=stdin, tty=tty, quiet=quiet)
    if stdin and tty and not quiet:
        session.note("If you don't see a command prompt, try pressing enter.")
    with terminal.raw_if(tty):
        ending = await terminal.shown(
            session.client.attach(
                pod.metadata.name, namespace=pod.metadata.namespace, container=container, tty=tty,
                stdin=terminal.input_of() if stdin else None, sizes=terminal.sizes() if tty else None,
            )
        )  # fmt: skip
    if ending.message:
        raise Failure(ending.message)
    return ending.code or None


def _specification(pod: core.Pod, name: str) -> Any:
    ephemeral = [one.ephemeral_container_common for one in pod.spec.ephemeral_containers]
    every: list[Any] = [*pod.spec.containers, *pod.spec.init_containers, *ephemeral]
    return next(one for one in every if one.name == name)
