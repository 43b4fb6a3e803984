"""One server as a client sees it: calls by name, one watch stream, and what came back in a form to be compared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import grpc.aio
from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from raftsman.etcd import kv_pb2, rpc_pb2, rpc_pb2_grpc
from steps import NEAR, NOW, Step

CALL_S = 10.0
IDS = ("cluster_id", "member_id", "raft_term")


@dataclass(frozen=True)
class Outcome:
    """An answer without what may differ, or an error."""

    code: str = "OK"
    text: str = ""
    answer: Message | None = None

    def __str__(self) -> str:
        if self.answer is None:
            return f"{self.code}: {self.text}"
        return text_format.MessageToString(self.answer, as_one_line=True)


@dataclass
class Watched:
    """What one watch was told so far."""

    created: rpc_pb2.WatchResponse
    events: list[kv_pb2.Event] = field(default_factory=list)
    ended: rpc_pb2.WatchResponse | None = None
    asked_to_end: bool = False


class Side:
    """A server. `revision` is the newest that it mentioned."""

    def __init__(self, name: str, channel: grpc.aio.Channel) -> None:
        self.name = name
        self.revision = 1
        self._stubs = {
            service: getattr(rpc_pb2_grpc, f"{service}Stub")(channel)
            for service in ("KV", "Lease", "Auth", "Maintenance", "Watch")
        }
        self.stream: Stream | None = None

    async def make(self, step: Step, now: int) -> Outcome:
        """Make a step at a revision."""
        request = placed(step.request, now)
        service, _, method = step.name.partition(".")
        if service == "Watch":
            if self.stream is None:
                self.stream = Stream(self._stubs["Watch"].Watch())
            return await self.stream.ask(request)
        call = getattr(self._stubs[service], method)
        try:
            if method == "LeaseKeepAlive":
                answer = await _first(call, request)
            else:
                answer = await call(request, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            return Outcome(error.code().name, error.details() or "")
        self.revision = max(self.revision, answer.header.revision)
        return Outcome(answer=_without_ids(answer))

    async def close_stream(self) -> None:
        if self.stream is not None:
            await self.stream.close()
            self.stream = None


async def _first(call: grpc.aio.StreamStreamMultiCallable, request: Message) -> Message:
    stream = call(timeout=CALL_S)
    try:
        await stream.write(request)
        answer: Message = await stream.read()
        return answer
    finally:
        stream.cancel()


class Stream:
    """A watch stream; every watch by the id that the server gave it."""

    def __init__(self, call: grpc.aio.StreamStreamCall) -> None:
        self._call = call
        self.watches: dict[int, Watched] = {}
        self.refused: list[rpc_pb2.WatchResponse] = []
        self._changed = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())
        self._answers: asyncio.Queue[rpc_pb2.WatchResponse] = asyncio.Queue()

    async def ask(self, request: Message) -> Outcome:
        """Create (answered), or cancel (the answer is compared at the end)."""
        if isinstance(request, rpc_pb2.WatchCreateRequest):
            await self._call.write(rpc_pb2.WatchRequest(create_request=request))
            async with asyncio.timeout(CALL_S):
                return Outcome(answer=_without_ids(await self._answers.get()))
        assert isinstance(request, rpc_pb2.WatchCancelRequest)
        watched = self.watches.get(request.watch_id)
        runs = watched is not None and watched.ended is None
        if watched is not None and runs:
            watched.asked_to_end = True
        await self._call.write(rpc_pb2.WatchRequest(cancel_request=request))
        if watched is not None and runs:
            await self.until(lambda: watched.ended is not None)
        return Outcome()

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until a question about what came is answered with yes. Raises TimeoutError."""
        async with asyncio.timeout(CALL_S), self._changed:
            await self._changed.wait_for(true)

    async def _read(self) -> None:
        while (response := await self._call.read()) is not grpc.aio.EOF:
            async with self._changed:
                self._take(response)
                self._changed.notify_all()

    def _take(self, response: rpc_pb2.WatchResponse) -> None:
        if response.created:
            if not response.canceled:
                self.watches[response.watch_id] = Watched(response)
            self._answers.put_nowait(response)
            return
        watched = self.watches.get(response.watch_id)
        if watched is None:
            return
        watched.events += response.events
        if response.canceled and watched.ended is None:  # etcd says it again when one that ended is cancelled
            watched.ended = response

    async def close(self) -> None:
        self._call.cancel()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)


def placed(request: Message, now: int) -> Message:
    """A request with its relative revisions made absolute."""
    message = type(request)()
    message.CopyFrom(request)
    _place(message, now)
    return message


def _place(message: Message, now: int) -> None:
    for described, value in message.ListFields():
        if described.type == FieldDescriptor.TYPE_MESSAGE:
            for each in value if described.is_repeated else (value,):
                _place(each, now)
        elif described.type == FieldDescriptor.TYPE_INT64 and abs(value - NOW) < NEAR:
            setattr(message, described.name, max(1, now + value - NOW))


def _without_ids(answer: Message) -> Message:
    """What every server says in its own way is cleared; what has no order is put into one."""
    header = getattr(answer, "header", None)
    for each in IDS if header is not None else ():
        answer.header.ClearField(each)  # type: ignore[attr-defined]
    if isinstance(answer, rpc_pb2.LeaseTimeToLiveResponse):
        _sort(answer.keys)
        if answer.TTL > 0:
            answer.TTL = -(-answer.TTL // 100) * 100  # a second may pass between two servers
    elif isinstance(answer, rpc_pb2.LeaseLeasesResponse):
        ids = sorted(lease.ID for lease in answer.leases)
        del answer.leases[:]
        answer.leases.extend(rpc_pb2.LeaseStatus(ID=each) for each in ids)
    elif isinstance(answer, rpc_pb2.HashKVResponse):
        answer.hash = answer.hash_revision = 0  # each has its own digest; etcd 3.4 does not name the revision
    elif isinstance(answer, rpc_pb2.AlarmResponse):
        answer.header.revision = 0  # etcd's is empty
    return answer


def _sort(values: object) -> None:
    values[:] = sorted(values)  # type: ignore[index, call-overload]


def described(events: Iterable[kv_pb2.Event]) -> list[str]:
    return [text_format.MessageToString(event, as_one_line=True) for event in events]
