"""etcd's lock and election services: one holder, in the order of asking; places go with calls and with leases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import logins
import members
import pytest
import pytest_asyncio
from logins import Permission
from raftsman.etcd import election_pb2, election_pb2_grpc, lock_pb2, lock_pb2_grpc, rpc_pb2, rpc_pb2_grpc

Range = rpc_pb2.RangeRequest
Leader = election_pb2.LeaderRequest


class Client:
    """The stubs, and leases of their own for those who ask."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.kv = rpc_pb2_grpc.KVStub(channel)
        self.leases = rpc_pb2_grpc.LeaseStub(channel)
        self.locks = lock_pb2_grpc.LockStub(channel)
        self.elections = election_pb2_grpc.ElectionStub(channel)

    async def lease(self, seconds: int = 60) -> int:
        return (await self.leases.LeaseGrant(rpc_pb2.LeaseGrantRequest(TTL=seconds))).ID

    async def queue(self, name: bytes) -> list[bytes]:
        """The keys under a name, the front first."""
        request = Range(key=name + b"/", range_end=name + b"0", sort_target=Range.CREATE, sort_order=Range.ASCEND)
        return [each.key for each in (await self.kv.Range(request)).kvs]

    async def queued(self, name: bytes, count: int) -> None:
        async with asyncio.timeout(10):
            while len(await self.queue(name)) != count:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    def lock(self, name: bytes, lease: int = 0) -> asyncio.Task[lock_pb2.LockResponse]:
        return asyncio.ensure_future(_answer(self.locks.Lock(lock_pb2.LockRequest(name=name, lease=lease))))

    async def unlock(self, held: lock_pb2.LockResponse) -> None:
        await self.locks.Unlock(lock_pb2.UnlockRequest(key=held.key))

    def campaign(self, name: bytes, value: bytes) -> asyncio.Task[election_pb2.CampaignResponse]:
        request = election_pb2.CampaignRequest(name=name, value=value)
        return asyncio.ensure_future(_answer(self.elections.Campaign(request)))


async def _answer(call: grpc.aio.UnaryUnaryCall) -> object:  # type: ignore[type-arg]
    return await call


@pytest_asyncio.fixture
async def client(channel: grpc.aio.Channel) -> AsyncIterator[Client]:
    yield Client(channel)


async def test_a_lock_goes_round_in_the_order_of_asking(client: Client) -> None:
    tasks = []
    for place in range(5):
        tasks.append(client.lock(b"l/order"))
        await client.queued(b"l/order", place + 1)
    for task in tasks:
        held = await asyncio.wait_for(task, 10)
        assert (await client.queue(b"l/order"))[0] == held.key
        assert [each.done() for each in tasks].count(True) == tasks.index(task) + 1
        assert held.header.revision
        await client.unlock(held)
    assert await client.queue(b"l/order") == []


async def test_a_lease_has_one_place(client: Client) -> None:
    lease = await client.lease()
    first, second = await client.lock(b"l/one", lease), await client.lock(b"l/one", lease)
    assert first.key == second.key == b"l/one/%x" % lease
    await client.unlock(first)


async def test_a_lock_is_free_when_its_lease_ends(client: Client) -> None:
    held = await client.lock(b"l/lease", await client.lease(1))
    waiting = client.lock(b"l/lease")
    after = await asyncio.wait_for(waiting, 10)
    assert after.key != held.key
    await client.unlock(after)


async def test_a_call_that_is_given_up_leaves_the_queue(client: Client) -> None:
    held = await client.lock(b"l/gone")
    call = client.locks.Lock(lock_pb2.LockRequest(name=b"l/gone"))
    await client.queued(b"l/gone", 2)
    call.cancel()
    await client.queued(b"l/gone", 1)
    await client.unlock(held)


async def test_a_place_that_goes_while_it_waits_is_told(client: Client) -> None:
    held = await client.lock(b"l/lost")
    lease = await client.lease()
    waiting = client.lock(b"l/lost", lease)
    await client.queued(b"l/lost", 2)
    await client.leases.LeaseRevoke(rpc_pb2.LeaseRevokeRequest(ID=lease))
    await client.unlock(held)
    with pytest.raises(grpc.aio.AioRpcError, match="mutex: session is expired"):
        await waiting
    with pytest.raises(grpc.aio.AioRpcError, match="etcdserver: requested lease not found"):
        await client.lock(b"l/lost", lease)


async def test_an_election_has_one_leader_who_says_something(client: Client) -> None:
    first = await client.campaign(b"e/one", b"alice")
    second = client.campaign(b"e/one", b"bob")
    await client.queued(b"e/one", 2)
    assert (await client.elections.Leader(Leader(name=b"e/one"))).kv.value == b"alice"
    await client.elections.Proclaim(election_pb2.ProclaimRequest(leader=first.leader, value=b"alice speaks"))
    assert (await client.elections.Leader(Leader(name=b"e/one"))).kv.value == b"alice speaks"
    assert not second.done()
    await client.elections.Resign(election_pb2.ResignRequest(leader=first.leader))
    elected = await asyncio.wait_for(second, 10)
    found = (await client.elections.Leader(Leader(name=b"e/one"))).kv
    assert (found.value, found.key, found.create_revision) == (b"bob", elected.leader.key, elected.leader.rev)
    with pytest.raises(grpc.aio.AioRpcError, match="election: not leader"):
        await client.elections.Proclaim(election_pb2.ProclaimRequest(leader=first.leader, value=b"still here"))


async def test_an_election_is_watched(client: Client) -> None:
    observed = client.elections.Observe(Leader(name=b"e/watched"))
    first = await client.campaign(b"e/watched", b"1")
    assert (await observed.read()).kv.value == b"1"
    await client.elections.Proclaim(election_pb2.ProclaimRequest(leader=first.leader, value=b"2"))
    assert (await observed.read()).kv.value == b"2"
    second = client.campaign(b"e/watched", b"3")
    await client.queued(b"e/watched", 2)
    await client.elections.Resign(election_pb2.ResignRequest(leader=first.leader))
    assert (await observed.read()).kv.value == b"3"
    await second
    observed.cancel()


async def test_what_is_missing_is_told(client: Client) -> None:
    elections = client.elections
    for call, text in (
        (elections.Leader(Leader(name=b"e/none")), "election: no leader"),
        (elections.Proclaim(election_pb2.ProclaimRequest()), '"leader" field must be provided'),
        (elections.Resign(election_pb2.ResignRequest()), '"leader" field must be provided'),
        (client.locks.Unlock(lock_pb2.UnlockRequest()), "etcdserver: key is not provided"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.details() == text


async def test_a_lock_needs_permission_for_its_name(tmp_path: Path) -> None:
    """Of each service every method, so that none is an open door."""
    with members.lone(tmp_path, "--bcrypt-cost", "4") as store:
        async with logins.connected(store) as channel:
            await logins.prepare(channel, Permission(permType=Permission.READWRITE, key=b"mine/", range_end=b"mine0"))
            user = await logins.login(channel, "user", logins.USER_PASSWORD)
            client = Client(channel)
            held = await client.locks.Lock(lock_pb2.LockRequest(name=b"mine/x"), metadata=user)
            await client.locks.Unlock(lock_pb2.UnlockRequest(key=held.key), metadata=user)
            key = election_pb2.LeaderKey(name=b"theirs", key=b"theirs/1", rev=1)
            requests = {
                client.locks.Lock: lock_pb2.LockRequest(name=b"theirs"),
                client.locks.Unlock: lock_pb2.UnlockRequest(key=b"theirs/1"),
                client.elections.Campaign: election_pb2.CampaignRequest(name=b"theirs"),
                client.elections.Proclaim: election_pb2.ProclaimRequest(leader=key),
                client.elections.Leader: Leader(name=b"theirs"),
                client.elections.Resign: election_pb2.ResignRequest(leader=key),
            }
            for method, request in requests.items():
                for metadata, text in ((user, "permission denied"), ((), "user name is empty")):
                    with pytest.raises(grpc.aio.AioRpcError, match=text):
                        await method(request, metadata=metadata)
            with pytest.raises(grpc.aio.AioRpcError, match="permission denied"):
                await client.elections.Observe(Leader(name=b"theirs"), metadata=user).read()
