"""The batching stream as a client sees it that makes mistakes, or means harm: refused, and the member lives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import members
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from raftsman.kv import v1 as batched
from raftsman.kv.v1 import batch_pb2_grpc

PUT = batched.OPERATION_KIND_PUT
NUMBERS_MAX = 2**64 - 1


@pytest.fixture
async def channel(tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    with members.lone(tmp_path) as store:
        await store.ready()
        async with store.channel() as channel:
            yield channel


async def told(
    channel: grpc.aio.Channel, *requests: batched.OperateRequest
) -> tuple[list[batched.OperateResponse], grpc.StatusCode]:
    """What the store says to some messages and to the end behind them, and how it ends the stream."""
    call = batch_pb2_grpc.BatchStub(channel).Operate()
    responses: list[batched.OperateResponse] = []
    async with asyncio.timeout(30):
        # A refusal may come before everything is sent.
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            for request in requests:
                await call.write(request)
            await call.done_writing()
        with contextlib.suppress(grpc.aio.AioRpcError):
            while (response := await call.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]
                responses.append(response)
        return responses, await call.code()


async def lives(channel: grpc.aio.Channel) -> bool:
    answer = await rpc_pb2_grpc.KVStub(channel).Range(rpc_pb2.RangeRequest(key=b"k"), timeout=5)
    return bool(answer.header.member_id)


def put(number: int) -> batched.Operation:
    return batched.Operation(number=number, kind=PUT, request=rpc_pb2.PutRequest(key=b"k").SerializeToString())


async def test_a_session_is_opened_once_at_a_time(tmp_path: Path) -> None:
    opens = batched.OperateRequest(open_session=True)
    with members.three(tmp_path, start=False) as (store, *_):
        store.start()
        # Alone among three it has no leader, so the first session stays on its way.
        await store.listening()
        async with store.channel() as channel:
            _, code = await told(channel, opens, opens)
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            _, code = await told(channel, opens)
            assert code is grpc.StatusCode.UNAVAILABLE, "nobody was there to open the first"
            assert (await rpc_pb2_grpc.MaintenanceStub(channel).Status(rpc_pb2.StatusRequest(), timeout=5)).version


async def test_a_session_can_be_opened_behind_another(channel: grpc.aio.Channel) -> None:
    call = batch_pb2_grpc.BatchStub(channel).Operate()
    opened = set()
    for _ in range(2):
        await call.write(batched.OperateRequest(open_session=True))
        while not (session := (await call.read()).session):
            pass
        opened.add(session)
    assert len(opened) == 2


async def test_a_number_names_one_operation(channel: grpc.aio.Channel) -> None:
    for numbers in ((1, 1), (0,)):
        _, code = await told(channel, batched.OperateRequest(operations=map(put, numbers)))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert await lives(channel)


async def test_an_operation_of_a_session_that_nobody_opened_is_refused(channel: grpc.aio.Channel) -> None:
    responses, code = await told(channel, batched.OperateRequest(session=7, operations=[put(1)]))
    answers = [answer for response in responses for answer in response.answers]
    assert code is grpc.StatusCode.OK
    assert [(answer.number, answer.code) for answer in answers] == [(1, grpc.StatusCode.ABORTED.value[0])]


async def test_an_operation_that_is_sent_again_happens_once(channel: grpc.aio.Channel) -> None:
    responses, _ = await told(channel, batched.OperateRequest(open_session=True))
    session = next(response.session for response in responses if response.session)
    for _ in range(2):
        responses, _ = await told(channel, batched.OperateRequest(session=session, operations=[put(1)], again=True))
        assert [answer.revision for response in responses for answer in response.answers] == [2]


_REQUESTS = st.builds(
    batched.OperateRequest,
    operations=st.lists(
        st.builds(
            batched.Operation,
            number=st.integers(0, 3) | st.just(NUMBERS_MAX),
            kind=st.sampled_from([0, 1, 2, 3, 4, 5, 6, 99, 100]),
            request=st.binary(max_size=12) | st.just(rpc_pb2.PutRequest(key=b"k").SerializeToString()),
        ),
        max_size=4,
    ),
    open_session=st.booleans(),
    session=st.sampled_from([0, 1, NUMBERS_MAX]),
    received=st.sampled_from([0, 1, NUMBERS_MAX]),
    again=st.booleans(),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=st.lists(_REQUESTS, max_size=4))
async def test_no_message_ends_the_member(channel: grpc.aio.Channel, requests: list[batched.OperateRequest]) -> None:
    await told(channel, *requests)
    assert await lives(channel)
