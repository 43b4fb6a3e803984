"""This terminal on one side and a container's streams on the other: for `exec`, `attach`, `run` and `debug`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import sys
import termios
import tty as tty_modes
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

from raftsman.core import v1 as core

from .session import Session
from .verb import Failure

CHUNK_BYTES = 32 * 1024


def usable(session: Session, *, stdin: bool, tty: bool, quiet: bool = False) -> bool:
    """Whether there can be a terminal; if one was asked for and cannot be, that is said."""
    if tty and not (stdin and sys.stdin.isatty()):
        if not quiet:
            session.note("Unable to use a TTY - input is not a terminal or the right kind of file")
        return False
    return tty


async def shown(stream: AsyncGenerator[core.ExecResponse, None]) -> core.ExecExit:
    """Print what comes; how it ended."""
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
                    return response.exit
    raise Failure("the connection ended before the command did")


def raw_if(tty: bool) -> contextlib.AbstractContextManager[None]:
    return _raw() if tty else contextlib.nullcontext()


async def input_of() -> AsyncIterator[bytes]:
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


async def sizes() -> AsyncIterator[core.TerminalSize]:
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
    tty_modes.setraw(descriptor, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
