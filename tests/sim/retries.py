"""Clients that send again until they are told: on the batching stream, in a session, each operation happens once.

What a plain client would have to call unknown has an outcome here. A put sends its own value, so one that happened
twice shows.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from raftsman.etcd import rpc_pb2
from raftsman.kv import v1 as kv

from .clients import Caller
from .rpc import CallFailed

ANSWER_S = 2.5
_UNKNOWN = {code.value[0] for code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)}
_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]


class Persistent(Caller):
    """One session, one operation after another."""

    async def run(self) -> None:
        work = self.work
        session, sequence = await self._open(), 0
        while work.world.now < work.until:
            sequence += 1
            await self._put(session, sequence)
            await asyncio.sleep(self.random.expovariate(1 / work.pause_s))

    async def _open(self) -> int:
        while True:
            response = await self._first(kv.OperateRequest(open_session=True))
            if response is not None:
                return int(response.session)

    async def _put(self, session: int, sequence: int) -> None:
        work, call = self.work, self.work.world.now
        key = b"k%d" % self.random.randrange(work.keys)
        put = rpc_pb2.PutRequest(key=key, value=f"{self.name}-{sequence}".encode())
        operation = kv.Operation(number=sequence, kind=kv.OPERATION_KIND_PUT, request=put.SerializeToString())
        request = kv.OperateRequest(session=session, received=sequence - 1, operations=[operation])
        while True:
            response = await self._first(request)
            answer = response.answers[0] if response is not None else None
            if answer is not None and answer.code not in (*_UNKNOWN, _EXHAUSTED):
                break
            request.again = True
        if answer.code:
            work.world.violate(f"{self.name}: put {sequence} was refused: {answer.text}")
        told = rpc_pb2.PutResponse.FromString(answer.response)
        told.header.revision = answer.revision
        work.history.answered(self.name, put, told, call=call, end=work.world.now)
        work.told(answer.revision)
        work.world.note(self.name, f"put {sequence} -> {answer.revision}{' again' if request.again else ''}")

    async def _first(self, request: kv.OperateRequest) -> Any:
        """The first message with an answer; None when the stream broke or said nothing for too long."""
        try:
            async with asyncio.timeout(ANSWER_S):
                stream = self.channel().stream("Batch", "Operate", [request])
                async for response in stream:
                    if response.answers or response.session:
                        await stream.aclose()  # type: ignore[attr-defined]
                        return response
        except (CallFailed, TimeoutError):
            self.give_up_on_it()
        await asyncio.sleep(self.random.random() * 0.3)
        return None
