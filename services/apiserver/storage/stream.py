"""The store's batching stream: whatever calls wait travel as one message, and each is answered by itself.

One stream at a time, opened when there is something to ask, on whichever endpoint the channel picks. A stream that
ends, or says nothing for SILENCE_S while answers are owed, is opened anew, and what was not answered is sent again in
the same session under the same number, so that it happens once. A call that was never sent fails at once while no store
can be reached. A store that owes answers and has given none for QUIET_S (it hangs, or has no majority) is quiet:
whoever waits hears of it, and from then on one call at a time is let through for FINDING_OUT_S, all others fail at
once, until it answers. Bounds: each call CALL_TIMEOUT_S; CALLS_MAX calls; WINDOW numbers of writes that are not all
answered. A store without the stream (etcd) is noticed once, see `Unsupported`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Any

import grpc
import grpc.aio
from raftsman.kv import v1 as kv
from raftsman.kv.v1 import batch_pb2_grpc

CALL_TIMEOUT_S = 8.0
SILENCE_S = 2.5
QUIET_S = 5.0
FINDING_OUT_S = 1.0
RETRY_S = 0.1
CALLS_MAX = 20_000
WINDOW = 4_000
MESSAGE_OPERATIONS = 128
MESSAGE_BYTES = 256 << 10
"""Small enough that the store works on one message while the next one is made."""
FIRST_READ = 1 << 62
"""Reads are numbered apart: a session has no use for them."""

_QUIET = f"it has answered nothing for {QUIET_S:.0f} s: it hangs, or has no majority"
_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
# Not in grpc's type stubs.
_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]


class Unsupported(Exception):
    """The store has no batching stream: this channel never asks for it again."""


class Refused(Exception):
    """The store's answer is an error, or there is none; as grpc's own, with `code()` and `details()`."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self._code, self._text = code, text

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._text


class _Call:
    """One operation and who waits for it."""

    __slots__ = ("deadline", "future", "kind", "number", "queued", "request", "sent", "session")

    def __init__(self, number: int, kind: int, request: bytes, future: asyncio.Future[kv.Answer]) -> None:
        self.number, self.kind, self.request, self.future = number, kind, request, future
        self.deadline = 0.0
        self.sent, self.session, self.queued = 0, 0, True


class Stream:
    """The stream of one channel."""

    def __init__(self, channel: Any) -> None:
        self._stub = batch_pb2_grpc.BatchStub(channel)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writes: dict[int, _Call] = {}
        self._reads: dict[int, _Call] = {}
        self._next_write, self._next_read = 1, FIRST_READ
        self._queue: deque[_Call] = deque()
        self._deadlines: deque[_Call] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._session = 0
        self._heard, self._heard_at = False, 0.0
        self._held_back = False
        self._quiet, self._answered_at = False, 0.0
        self._quiet_timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self.usable = True
        """False once the store turned out to have no stream."""

    async def call(self, kind: int, request: bytes) -> kv.Answer:
        """Ask, and wait for the answer. Raises Refused, and Unsupported. Cancelled, the outcome is not known."""
        if not self.usable:
            raise Unsupported
        if len(self._writes) + len(self._reads) >= CALLS_MAX:
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{CALLS_MAX} calls are under way")
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        self._expect_answers(loop)
        call = _Call(0, kind, request, loop.create_future())
        call.deadline = loop.time() + CALL_TIMEOUT_S
        calls = self._number(call)
        self._queue.append(call)
        while self._deadlines and self._deadlines[0].future.done():
            self._deadlines.popleft()
        self._deadlines.append(call)
        if self._timer is None:
            self._timer = loop.call_at(call.deadline, self._expire)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run(), name="store stream")
        self._wake.set()
        try:
            return await call.future
        finally:
            calls.pop(call.number, None)
            if self._held_back:
                self._held_back = False
                self._wake.set()

    def _expect_answers(self, loop: asyncio.AbstractEventLoop) -> None:
        """Before a call: Refused while the store is quiet and somebody is finding out already."""
        if self._writes or self._reads:
            if self._quiet:
                raise Refused(grpc.StatusCode.UNAVAILABLE, _QUIET)
            return
        self._answered_at = loop.time()
        if self._quiet_timer is None:
            self._quiet_timer = loop.call_later(self._patience_s, self._check_quiet)

    @property
    def _patience_s(self) -> float:
        return FINDING_OUT_S if self._quiet else QUIET_S

    def _check_quiet(self) -> None:
        self._quiet_timer = None
        calls = [*self._writes.values(), *self._reads.values()]
        if not calls:
            return
        assert self._loop is not None
        left = self._answered_at + self._patience_s - self._loop.time()
        if left <= 0:
            self._quiet = True
            for call in calls:
                _fail(call, Refused(grpc.StatusCode.DEADLINE_EXCEEDED, _QUIET))
        else:
            self._quiet_timer = self._loop.call_later(left, self._check_quiet)

    async def close(self) -> None:
        """Whoever waits hears that the outcome is not known."""
        for call in [*self._writes.values(), *self._reads.values()]:
            _fail(call, Refused(grpc.StatusCode.UNAVAILABLE, "the connection to the store was closed"))
        for timer in filter(None, (self._timer, self._quiet_timer)):
            timer.cancel()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _number(self, call: _Call) -> dict[int, _Call]:
        """Give it the next number; where it waits by it."""
        if call.kind == kv.OPERATION_KIND_RANGE:
            call.number, self._next_read = self._next_read, self._next_read + 1
            self._reads[call.number] = call
            return self._reads
        call.number, self._next_write = self._next_write, self._next_write + 1
        self._writes[call.number] = call
        return self._writes

    @property
    def _received(self) -> int:
        """All writes up to this number are answered, or nobody wants their answers."""
        return next(iter(self._writes), self._next_write) - 1

    def _expire(self) -> None:
        self._timer = None
        assert self._loop is not None
        now, deadlines = self._loop.time(), self._deadlines
        while deadlines and (deadlines[0].future.done() or deadlines[0].deadline <= now):
            late = deadlines.popleft()
            _fail(late, Refused(grpc.StatusCode.DEADLINE_EXCEEDED, f"no answer within {CALL_TIMEOUT_S:.0f} s"))
        if deadlines:
            self._timer = self._loop.call_at(deadlines[0].deadline, self._expire)

    # -- one stream after the other

    async def _run(self) -> None:
        """Until closed, or the store has no stream."""
        while self.usable:
            await self._wake.wait()
            error = await self._stream()
            if not self._heard:
                if error is not None:
                    self._failed(error)
                await asyncio.sleep(RETRY_S)

    async def _stream(self) -> grpc.aio.AioRpcError | None:
        """One stream, until it ends; with what."""
        assert self._loop is not None
        self._heard, self._heard_at = False, self._loop.time()
        stream = self._stub.Operate()
        reader = self._loop.create_task(self._read(stream))
        tasks = (reader, self._loop.create_task(self._write(stream)), self._loop.create_task(self._watch_for_silence()))
        try:
            done, _ = await asyncio.wait((reader, tasks[2]), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await task
        except grpc.aio.AioRpcError as error:
            return error
        finally:
            stream.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._again()
        return None

    def _again(self) -> None:
        """The stream is gone: all that is unanswered is sent on the next one, in the order of their numbers."""
        self._queue = deque(call for calls in (self._writes, self._reads) for call in calls.values())
        for call in self._queue:
            call.queued = True
        if self._queue:
            self._wake.set()
        else:
            self._wake.clear()

    def _failed(self, error: grpc.aio.AioRpcError) -> None:
        """No store, or none with a stream, could be reached: whoever has not asked anybody yet need not wait."""
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            self.usable = False
        for call in [*self._writes.values(), *self._reads.values()]:
            if not self.usable:
                _fail(call, Unsupported())
            elif not call.sent or error.code() is not grpc.StatusCode.UNAVAILABLE:
                _fail(call, Refused(error.code(), error.details() or ""))

    async def _watch_for_silence(self) -> None:
        """Return when answers are owed for too long: another endpoint may know them."""
        assert self._loop is not None
        while True:
            await asyncio.sleep(SILENCE_S / 4)
            now = self._loop.time()
            oldest = next((call for call in (*self._writes.values(), *self._reads.values()) if call.sent), None)
            asked_at = oldest.deadline - CALL_TIMEOUT_S if oldest is not None else now
            if now - max(asked_at, self._heard_at) > SILENCE_S:
                return

    # -- out

    async def _write(self, stream: Any) -> None:
        """Send what waits; how the stream ended is the reader's to say."""
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            asked = False
            while True:
                await self._wake.wait()
                self._wake.clear()
                if not self._heard:
                    continue
                if not self._session and not asked:
                    await stream.write(kv.OperateRequest(open_session=True))
                asked = not self._session
                while (request := self._message()) is not None:
                    await stream.write(request)

    def _message(self) -> kv.OperateRequest | None:
        """What waits, as far as one message holds it and the window allows."""
        queue, received = self._queue, self._received
        request = kv.OperateRequest(session=self._session, received=received)
        operations, size, again = request.operations, 0, False
        while queue and size < MESSAGE_BYTES and len(operations) < MESSAGE_OPERATIONS:
            call = queue[0]
            if call.future.done() or self._of_another_session(call):
                queue.popleft()
                continue
            if call.number < FIRST_READ and (not self._session or call.number - received > WINDOW):
                self._held_back = True
                break
            if operations and (call.sent > 0) != again:
                break
            again = call.sent > 0
            queue.popleft()
            call.sent, call.session, call.queued = call.sent + 1, self._session, False
            operations.add(number=call.number, kind=call.kind, request=call.request)
            size += len(call.request)
        request.again = again
        return request if operations else None

    def _of_another_session(self, call: _Call) -> bool:
        """Whether it was sent in a session that is gone: then nobody can say what became of it."""
        if not call.sent or call.number >= FIRST_READ or call.session == self._session or not self._session:
            return False
        _fail(call, Refused(grpc.StatusCode.UNAVAILABLE, "the store forgot the session; the outcome is not known"))
        return True

    # -- in

    async def _read(self, stream: Any) -> None:
        assert self._loop is not None
        while (response := await stream.read()) is not _EOF:
            self._heard_at = self._loop.time()
            if response.session:
                self._session = response.session
            if response.session or not self._heard:
                self._heard = True
                self._wake.set()
            for answer in response.answers:
                self._answered(answer)

    def _answered(self, answer: kv.Answer) -> None:
        if answer.code != grpc.StatusCode.UNAVAILABLE.value[0]:
            assert self._loop is not None
            self._quiet, self._answered_at = False, self._loop.time()
        number = answer.number
        call = self._reads.get(number) if number >= FIRST_READ else self._writes.get(number)
        if call is None or call.future.done():
            return
        if not answer.code:
            call.future.set_result(answer)
            return
        code = _CODES.get(answer.code, grpc.StatusCode.UNKNOWN)
        if code is grpc.StatusCode.UNAVAILABLE:
            self._later(call)
        elif code is grpc.StatusCode.ABORTED:
            self._out_of_session(call, answer.text)
        else:
            call.future.set_exception(Refused(code, answer.text))

    def _later(self, call: _Call) -> None:
        """The member could not say: ask again, until the call's time is over."""
        assert self._loop is not None
        self._loop.call_later(RETRY_S, self._enqueue, call)

    def _enqueue(self, call: _Call) -> None:
        if not call.future.done() and not call.queued:
            call.queued = True
            self._queue.append(call)
            self._wake.set()

    def _out_of_session(self, call: _Call, text: str) -> None:
        """The store has forgotten the session. What was sent once did not happen; of the rest nobody knows."""
        if call.sent > 1:
            call.future.set_exception(Refused(grpc.StatusCode.UNAVAILABLE, f"the outcome is not known: {text}"))
            return
        if call.session == self._session:
            self._session = 0
        del self._writes[call.number]
        call.sent = 0
        self._number(call)
        self._enqueue(call)


def _fail(call: _Call, error: Exception) -> None:
    if not call.future.done():
        call.future.set_exception(error)
