"""`exec`: run a command in a container, with this terminal if asked for; its exit code is ours."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import sys
import termios
import tty as terminal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import click
from raftsman.core import v1 as core

from . import pods, targets
from .session import Session
from .verb import Failure, Globals, Verb, after_dashes, flag, run_async

CHUNK_BYTES = 32 * 1024


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
    if tty and not (stdin and sys.stdin.isatty()):
        if not quiet:
            session.note("Unable to use a TTY - input is not a terminal or the right kind of file")
        tty = False
    with _raw() if tty else contextlib.nullcontext():
        return await _run(session, pod, name, command, stdin=stdin, tty=tty)


async def _run(session: Session, pod: core.Pod, container: str, command: list[str], *, stdin: bool, tty: bool) -> int:
    stream = session.client.exec(
        pod.metadata.name, command, namespace=pod.metadata.namespace, container=container, tty=tty,
        stdin=_input() if stdin else None, sizes=_sizes() if tty else None,
    )  # fmt: skip
    async with contextlib.aclosing(stream) as responses:
        async for response in responses:
            match response.WhichOneof("message"):
                case "stdout":
                    sys.stdout.buffer.write(response.stdout)
                    sys.stdout.buffer.flush()
                case "stderr":
                    sys.stderr.buffer.write(response.stderr)
                    sys.stderr.buffer.flush()
                case "exit":
                    return _ended(response.exit, tty=tty)
    raise Failure("the connection ended before the command did")


def _ended(ending: core.ExecExit, *, tty: bool) -> int:
    line = "\r\n" if tty else "\n"
    if ending.message:
        sys.stderr.write(f"error: {ending.message}{line}")
    elif ending.code:
        sys.stderr.write(f"command terminated with exit code {ending.code}{line}")
    return ending.code or (1 if ending.message else 0)


async def _input() -> AsyncIterator[bytes]:
    """Our standard input as it comes, until its end."""
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()
    try:
        with _unblocked(descriptor) as unblocked:
            async for data in _readable(loop, unblocked):
                yield data
    except PermissionError:
        # A regular file is always readable and epoll refuses it.
        while data := await asyncio.to_thread(os.read, descriptor, CHUNK_BYTES):
            yield data


@contextlib.contextmanager
def _unblocked(descriptor: int) -> Iterator[int]:
    """A terminal opened once more, so that a read never waits: what was typed before `_raw` may be announced and gone.

    O_NONBLOCK on the descriptor itself would be seen by everybody who shares it, our caller's shell included.
    """
    try:
        again = os.open(os.ttyname(descriptor), os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:  # no terminal, or one that has no name here
        yield descriptor
        return
    try:
        yield again
    finally:
        os.close(again)


async def _readable(loop: asyncio.AbstractEventLoop, descriptor: int) -> AsyncIterator[bytes]:
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        while True:
            await ready.wait()
            ready.clear()
            if not select.select([descriptor], [], [], 0)[0]:
                continue  # announced twice: what was there is read already, and a pipe's read would wait
            try:
                data = os.read(descriptor, CHUNK_BYTES)
            except BlockingIOError:
                continue
            if not data:
                return
            yield data
    finally:
        loop.remove_reader(descriptor)


async def _sizes() -> AsyncIterator[core.TerminalSize]:
    """The terminal's size now and whenever it changes."""
    changed = asyncio.Event()
    changed.set()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGWINCH, changed.set)
    try:
        while True:
            await changed.wait()
            changed.clear()
            # Not shutil's: that believes $COLUMNS, which does not follow the terminal.
            size = os.get_terminal_size(sys.stdin.fileno())
            if size.columns and size.lines:
                yield core.TerminalSize(columns=size.columns, rows=size.lines)
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Our terminal passes every key on and prints what it is sent; restored at the end."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    # At once: what was typed ahead is the command's.
    terminal.setraw(descriptor, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
