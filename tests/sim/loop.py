"""An asyncio event loop on simulated time, and the process that it belongs to.

Tasks, futures and time-outs are asyncio's own. Callbacks of one loop run one after another in the order of asyncio;
loops interleave as the seed says. A process that died runs nothing any more; one that is paused runs it later.
`run_in_executor` gives a function a thread of its own that runs only in its turn: each call of the disk is a turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Any

from .world import World

TURN_S = 40e-6
POST_S = 120e-6
RARELY = 0.01
RARE_S = 8e-3


class Died(SystemExit):
    """Unwinds what runs in a process that just died."""


class Process:
    """A process: its loops, and whether it lives. `rate` is how fast its monotonic clock runs."""

    def __init__(self, world: World, name: str, *, rate: float = 1.0) -> None:
        self.world = world
        self.name = name
        self.rate = rate
        self.alive = True
        self.died_at = math.inf
        self.paused = False
        self.loops: list[Loop] = []
        self.workers: list[_Worker] = []
        self.exceptions: list[str] = []
        self.after_turn: Callable[[], None] = lambda: None
        self._random = world.random(f"process {name} {world.now}")

    def clock(self, true_time: float) -> float:
        return true_time * self.rate

    def true_time(self, clock: float) -> float:
        return clock / self.rate

    def loop(self, name: str) -> Loop:
        made = Loop(self, name)
        self.loops.append(made)
        return made

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        for loop in self.loops:
            loop.wake()
        for worker in self.workers:
            worker.wake()

    def end(self) -> None:
        """Dead: nothing of it runs again."""
        self.alive = False
        self.died_at = self.world.now
        for worker in self.workers:
            worker.unwind()
        for loop in self.loops:
            for task in loop.tasks:
                task._log_destroy_pending = False  # type: ignore[attr-defined]

    def jitter(self, usual: float) -> float:
        draw = self._random.random()
        return RARE_S * self._random.random() if draw < RARELY else usual * draw


class Loop(asyncio.AbstractEventLoop):
    """One thread's event loop."""

    def __init__(self, process: Process, name: str) -> None:
        self.process = process
        self.name = name
        self.tasks: list[asyncio.Task[Any]] = []
        self.network: Any = None
        self._world = process.world
        self._ready: deque[asyncio.Handle] = deque()
        self._scheduled = False
        self._busy_until = 0.0
        self._last_post = 0.0

    # -- what asyncio asks

    def time(self) -> float:
        return self.process.clock(self.now)

    @property
    def now(self) -> float:
        """True time where the callback that runs is by now."""
        return max(self._world.now, self._busy_until)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return not self.process.alive

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        self.wake()
        return handle

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._last_post = max(self._last_post, now_here(self._world) + self.process.jitter(POST_S))
        self._world.at(self._last_post, lambda: self._arrived(handle))
        return handle

    def call_later(
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._world.at(self.process.true_time(when), lambda: self._arrived(timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """The handle knows; its event finds out."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self.tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self.process.alive:
            error = context.get("exception")
            what = f"{context.get('message')}: {type(error).__name__}: {error}"
            self._world.note(self.process.name, f"unhandled: {what}")
            self.process.exceptions.append(what)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future = self.create_future()
        worker = _Worker(self, future, lambda: func(*args))
        self.process.workers.append(worker)
        worker.wake()
        return future

    async def create_connection(self, factory: Any, host: str, port: int, **_: Any) -> Any:  # type: ignore[override]
        return await self.network.connect(self, factory, (host, port))

    async def create_server(self, factory: Any, host: str, port: int, **_: Any) -> Any:  # type: ignore[override]
        return self.network.listen(self, factory, (host, port))

    # -- running

    def busy(self, seconds: float) -> None:
        """The callback that runs takes this long: what follows it waits."""
        self._busy_until = self.now + seconds

    def wake(self) -> None:
        if self._ready and not self._scheduled and self.process.alive and not self.process.paused:
            self._scheduled = True
            self._world.at(max(self._world.now + self.process.jitter(TURN_S), self._busy_until), self._turn)

    def _arrived(self, handle: asyncio.Handle) -> None:
        if self.process.alive and not handle.cancelled():
            self._ready.append(handle)
            self.wake()

    def _turn(self) -> None:
        self._scheduled = False
        if self.process.paused or not self.process.alive:
            return
        with running(self):
            for _ in range(len(self._ready)):
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()
                if not self.process.alive or self._world.violation is not None:
                    return
                if self._busy_until > self._world.now:
                    break
        if self.process.alive:
            self._world.at(self.now, self._turned)
            self.wake()

    def _turned(self) -> None:
        if self.process.alive:
            self.process.after_turn()


@contextlib.contextmanager
def running(loop: Loop) -> Iterator[None]:
    """Inside, `loop` is the running one. What a dying process raises ends here."""
    before = asyncio._get_running_loop()
    asyncio._set_running_loop(loop)
    try:
        yield
    except Died:
        assert not loop.process.alive
    finally:
        asyncio._set_running_loop(before)


class _Worker:
    """A function in a thread that runs only while the simulation waits for it."""

    current: _Worker | None = None

    def __init__(self, loop: Loop, future: asyncio.Future[Any], call: Callable[[], Any]) -> None:
        self._loop = loop
        self._future = future
        self._call = call
        self._go = threading.Semaphore(0)
        self._back = threading.Semaphore(0)
        self._finished = False
        self._scheduled = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wake(self, delay: float = 0.0) -> None:
        """Give it its next turn soon."""
        if self._finished or self._scheduled or self._loop.process.paused:
            return
        self._scheduled = True
        self._loop.process.world.after(delay + self._loop.process.jitter(POST_S), self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if not self._finished and self._loop.process.alive and not self._loop.process.paused:
            self._step()

    def _step(self) -> None:
        before, _Worker.current = _Worker.current, self
        self._go.release()
        self._back.acquire()
        _Worker.current = before

    def pause(self, seconds: float) -> None:
        """Called in the thread: let the others run."""
        if self._loop.process.alive:
            self.wake(seconds)
            self._back.release()
            self._go.acquire()
        if not self._loop.process.alive:
            raise Died(1)

    def unwind(self) -> None:
        """The process is dead: leave the thread."""
        if _Worker.current is not self and not self._finished:
            self._step()

    def _run(self) -> None:
        self._go.acquire()
        result: Any = None
        error: BaseException | None = None
        try:
            if self._loop.process.alive:
                result = self._call()
        except BaseException as raised:
            error = raised
        self._finished = True
        if self._loop.process.alive:
            self._loop.call_soon_threadsafe(self._settle, result, error)
        self._back.release()

    def _settle(self, result: Any, error: BaseException | None) -> None:
        if self._future.done():
            return
        if error is not None:
            self._future.set_exception(error)
        else:
            self._future.set_result(result)


def take_time(seconds: float) -> None:
    """Whoever runs now, a loop or a worker, is busy for this long."""
    worker = _Worker.current
    if worker is not None:
        worker.pause(seconds)
        return
    loop = asyncio._get_running_loop()
    if isinstance(loop, Loop):
        loop.busy(seconds)


def now_here(world: World) -> float:
    """True time for whoever runs now: later than the world's for a callback that was held up."""
    loop = asyncio._get_running_loop()
    return loop.now if isinstance(loop, Loop) and _Worker.current is None else world.now
