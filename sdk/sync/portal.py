"""An event loop in a thread of its own, through which blocking code calls asynchronous code.

It works whether or not the caller runs an event loop (which then waits with the caller). Calls may come from several
threads at once. A caller that is interrupted (Ctrl-C) cancels its call. `close` cancels what still runs, ends
the loop and its thread; so does the end of the program. At most one step of an iterator is under way at a time.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator, Iterable
from typing import Any, TypeVar

T = TypeVar("T")

_END: Any = object()
# How long an interrupted caller waits for its call to be over.
CANCEL_S = 5.0


class Portal:
    """One thread, one loop. RuntimeError for calls after `close`, and for calls from the loop itself."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_run, args=(self._loop,), name="raftsman.sync", daemon=True)
        self._thread.start()
        self._finalizer = weakref.finalize(self, _end, self._loop, self._thread)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, or what it raises."""
        if not self._finalizer.alive or threading.current_thread() is self._thread:
            work.close()
            why = "from a callback of it" if self._finalizer.alive else "after it was closed"
            raise RuntimeError(f"a blocking client cannot be called {why}")
        over = threading.Event()
        future = asyncio.run_coroutine_threadsafe(_told(work, over), self._loop)
        try:
            return future.result()
        except BaseException:
            if future.cancel():
                over.wait(CANCEL_S)
            raise

    def iterate(self, source: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        """What `source` yields. Closing the generator, or leaving it, closes `source`."""
        try:
            while (item := self.run(_next(source))) is not _END:
                yield item
        finally:
            if self._finalizer.alive:
                self.run(source.aclose())

    def close(self) -> None:
        self._finalizer()


async def _told(work: Coroutine[Any, Any, T], over: threading.Event) -> T:
    try:
        return await work
    finally:
        over.set()


async def _next(source: AsyncIterator[T]) -> T:
    return await anext(source, _END)


async def feed(items: Iterable[T]) -> AsyncGenerator[T, None]:
    """A blocking iterable for asynchronous code: each step runs in a worker thread."""
    source = iter(items)
    while (item := await asyncio.to_thread(next, source, _END)) is not _END:
        yield item


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(loop.stop)
    if thread is not threading.current_thread():
        thread.join()
