"""Members come, go, are promoted and hand over while the store serves; real processes, etcdctl where a user has it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import grpc
import grpc.aio
import members
import pytest
from members import Store, free_ports
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc

Put, Range = rpc_pb2.PutRequest, rpc_pb2.RangeRequest
READY_S = 20.0
_T = TypeVar("_T")


class Grown:
    """A cluster that begins with one member and gets more."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stores: dict[str, Store] = {}
        self.peers: dict[str, str] = {}

    def make(self, name: str, *flags: str) -> Store:
        client, metrics, peer = free_ports(3)
        self.peers[name] = f"http://127.0.0.1:{peer}"
        self.stores[name] = store = Store(
            self.folder / name, client, metrics,
            [f"--name={name}", f"--listen-peer-urls={self.peers[name]}", "--snapshot-count=100", *flags],
        )  # fmt: skip
        return store

    async def first(self) -> Store:
        store = self.make("a")
        store.start()
        await store.ready()
        return store

    async def join(self, name: str, *, learner: bool = False, through: str = "a") -> Store:
        """Add a member, start it, wait until it has what the others have."""
        store = self.make(name)
        await self.add(name, learner=learner, through=through)
        known = ",".join(f"{each}={url}" for each, url in self.peers.items())
        store.flags += ["--initial-cluster-state=existing", f"--initial-cluster={known}"]
        store.start()
        await named(self.stores[through], name)
        return store

    async def add(self, name: str, *, learner: bool = False, through: str = "a") -> None:
        async with cluster(self.stores[through]) as stub:
            request = rpc_pb2.MemberAddRequest(peerURLs=[self.peers[name]], isLearner=learner)
            for _ in range(100):  # refused while somebody who was just added is not heard yet
                try:
                    await stub.MemberAdd(request, timeout=10)
                    return
                except grpc.aio.AioRpcError as error:
                    if "unhealthy cluster" not in (error.details() or ""):
                        raise
                    await asyncio.sleep(0.1)
        raise AssertionError("the member could not be added")

    def end(self) -> None:
        members._end(list(self.stores.values()))


@pytest.fixture
async def grown(tmp_path: Path) -> AsyncIterator[Grown]:
    made = Grown(tmp_path)
    try:
        yield made
    finally:
        made.end()


@asynccontextmanager
async def cluster(store: Store) -> AsyncIterator[rpc_pb2_grpc.ClusterStub]:
    async with store.channel() as channel:
        yield rpc_pb2_grpc.ClusterStub(channel)


async def until(check: Callable[[], Awaitable[_T]]) -> _T:
    """What a check answers once that is true."""
    async with asyncio.timeout(READY_S):
        while True:
            if found := await check():
                return found
            await asyncio.sleep(0.05)


async def listed(store: Store, *, linearizable: bool = True) -> dict[str, rpc_pb2.Member]:
    async with cluster(store) as stub:
        answer = await stub.MemberList(rpc_pb2.MemberListRequest(linearizable=linearizable), timeout=10)
    return {member.name: member for member in answer.members}


async def named(store: Store, name: str) -> rpc_pb2.Member:
    """Wait until a member has published its name."""

    async def found() -> rpc_pb2.Member | None:
        return (await listed(store)).get(name)

    return await until(found)


async def put(store: Store, key: bytes, value: bytes = b"") -> int:
    async with store.channel() as channel:
        answer = await rpc_pb2_grpc.KVStub(channel).Put(Put(key=key, value=value), timeout=10)
    return int(answer.header.revision)


async def count(store: Store, *, serializable: bool = False) -> int:
    async with store.channel() as channel:
        request = Range(key=b"\0", range_end=b"\0", count_only=True, serializable=serializable)
        return int((await rpc_pb2_grpc.KVStub(channel).Range(request, timeout=10)).count)


async def refused(call: object) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    return caught.value.details() or ""


async def test_one_member_becomes_three_and_one_again_while_it_is_written_to(grown: Grown) -> None:
    first = await grown.first()
    written = 0
    stop = asyncio.Event()

    async def write() -> None:
        nonlocal written
        async with first.channel() as channel:
            kv = rpc_pb2_grpc.KVStub(channel)
            while not stop.is_set():
                try:
                    await kv.Put(Put(key=b"k%d" % written, value=b"x" * 100), timeout=10)
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:  # one of two is no majority before it is up
                        raise
                else:
                    written += 1

    writing = asyncio.create_task(write())
    for name in "bc":
        await grown.join(name)
    found = await listed(grown.stores["c"])
    assert sorted(found) == ["a", "b", "c"]
    assert all(member.clientURLs for member in found.values())
    for name in "cb":
        async with cluster(first) as stub:
            await stub.MemberRemove(rpc_pb2.MemberRemoveRequest(ID=found[name].ID), timeout=10)
        process = grown.stores[name].process
        assert process is not None
        assert await asyncio.to_thread(process.wait, 15) == 0
        assert "removed from the cluster" in grown.stores[name].log
    stop.set()
    await writing
    assert written > 0
    assert await count(first) == written
    assert list(await listed(first)) == ["a"]


async def test_a_learner_learns_serves_what_is_stale_and_is_promoted(grown: Grown) -> None:
    first = await grown.first()
    for number in range(300):
        await put(first, b"k%d" % number)
    learner = await grown.join("b", learner=True)
    found = await named(first, "b")
    assert found.isLearner

    async def caught_up() -> bool:
        return await count(learner, serializable=True) == 300

    await until(caught_up)
    assert "rpc not supported for learner" in await refused(count(learner))
    assert "rpc not supported for learner" in await refused(put(learner, b"x"))
    assert (await learner.status()).isLearner
    more = grown.make("c")
    assert "too many learner members" in await refused(grown.add("c", learner=True))
    assert more.process is None
    async with cluster(first) as stub:
        await stub.MemberPromote(rpc_pb2.MemberPromoteRequest(ID=found.ID), timeout=10)
        again = stub.MemberPromote(rpc_pb2.MemberPromoteRequest(ID=found.ID), timeout=10)
        assert "can only promote a learner member" in await refused(again)

    async def votes() -> bool:
        return not (await learner.status()).isLearner

    await until(votes)
    await put(learner, b"x")
    assert await count(learner) == 301


async def test_a_learner_that_is_not_there_is_not_promoted(grown: Grown) -> None:
    first = await grown.first()
    grown.make("b")
    await grown.add("b", learner=True)
    (added,) = [member for member in (await listed(first)).values() if member.isLearner]
    async with cluster(first) as stub:
        promote = stub.MemberPromote(rpc_pb2.MemberPromoteRequest(ID=added.ID), timeout=10)
        assert "in sync with leader" in await refused(promote)
    await put(first, b"still alone")


async def test_what_would_cost_the_majority_or_makes_no_sense_is_refused(grown: Grown) -> None:
    first = await grown.first()
    second = await grown.join("b")
    found = await listed(first)
    second.kill()
    async with cluster(first) as stub:
        urls = ["http://127.0.0.1:1"]
        assert await refused(stub.MemberRemove(rpc_pb2.MemberRemoveRequest(ID=7), timeout=10))
        for peer_urls in ([], ["nonsense"], ["http://127.0.0.1"], urls * 2):
            bad = stub.MemberAdd(rpc_pb2.MemberAddRequest(peerURLs=peer_urls), timeout=10)
            assert "given member URLs are invalid" in await refused(bad)
    second.start()
    await second.ready()
    async with cluster(first) as stub:
        assert "member not found" in await refused(stub.MemberRemove(rpc_pb2.MemberRemoveRequest(ID=7), timeout=10))
        twice = stub.MemberAdd(rpc_pb2.MemberAddRequest(peerURLs=[grown.peers["b"]]), timeout=10)
        assert "Peer URLs already exists" in await refused(twice)
    assert sorted(found) == ["a", "b"]


async def test_a_member_whose_disk_was_lost_is_refused_until_it_is_added_again(tmp_path: Path) -> None:
    with members.three(tmp_path, "--snapshot-count=50") as stores:
        for store in stores:
            await store.ready()
        for number in range(200):
            await put(stores[0], b"k%d" % number)
        lost = stores[2]
        lost.kill()
        shutil.rmtree(lost.folder / "data")
        lost.start()
        assert lost.process is not None
        assert await asyncio.to_thread(lost.process.wait, 15) == 1
        assert "another data directory" in lost.log
        before = await named(stores[0], "c")
        async with cluster(stores[0]) as stub:
            await stub.MemberRemove(rpc_pb2.MemberRemoveRequest(ID=before.ID), timeout=10)
            await stub.MemberAdd(rpc_pb2.MemberAddRequest(peerURLs=before.peerURLs), timeout=10)
        shutil.rmtree(lost.folder / "data", ignore_errors=True)
        lost.flags.append("--initial-cluster-state=existing")
        lost.start()
        await lost.ready()
        assert await count(lost) == 200
        stores[0].kill()
        await lost.ready()
        await put(lost, b"more")
        assert (await named(lost, "c")).ID != before.ID


async def test_a_restart_goes_by_the_disk_and_not_by_the_flags(grown: Grown) -> None:
    first = await grown.first()
    await grown.join("b")
    first.kill()
    first.flags.append("--initial-cluster=a=http://127.0.0.1:1")
    first.start()
    await first.ready()
    assert sorted(await listed(first)) == ["a", "b"]


async def test_leadership_moves_when_it_is_asked_to_and_before_a_leader_stops(tmp_path: Path) -> None:
    with members.three(tmp_path) as stores:
        for store in stores:
            await store.ready()
        leader = await members.leader_of(stores)
        others = [store for store in stores if store is not leader]
        target = (await others[0].status()).header.member_id
        async with others[1].channel() as channel:
            move = rpc_pb2_grpc.MaintenanceStub(channel).MoveLeader(rpc_pb2.MoveLeaderRequest(targetID=target))
            assert "not leader" in await refused(move)
        async with leader.channel() as channel:
            stub = rpc_pb2_grpc.MaintenanceStub(channel)
            assert "bad leader transferee" in await refused(stub.MoveLeader(rpc_pb2.MoveLeaderRequest(targetID=7)))
            await stub.MoveLeader(rpc_pb2.MoveLeaderRequest(targetID=target), timeout=10)
        assert await members.leader_of(stores) is others[0]
        await put(leader, b"a")
        assert await asyncio.to_thread(others[0].stop) == 0
        assert "raft role" in others[0].log
        remaining = [leader, others[1]]
        new = await members.leader_of(remaining)
        assert new in remaining
        await put(new, b"b")


async def test_a_leader_can_remove_itself(tmp_path: Path) -> None:
    with members.three(tmp_path) as stores:
        for store in stores:
            await store.ready()
        leader = await members.leader_of(stores)
        own = (await leader.status()).header.member_id
        async with cluster(leader) as stub:
            await stub.MemberRemove(rpc_pb2.MemberRemoveRequest(ID=own), timeout=10)
        assert leader.process is not None
        assert await asyncio.to_thread(leader.process.wait, 15) == 0
        remaining = [store for store in stores if store is not leader]
        new = await members.leader_of(remaining)
        await put(new, b"a")
        assert len(await listed(new)) == 2


async def test_writes_go_on_by_themselves_when_a_second_voter_is_up_that_was_added_long_before(grown: Grown) -> None:
    first = await grown.first()
    second = grown.make("b")
    await grown.add("b")

    async def steps_down() -> bool:
        return (await first.status()).leader == 0

    await until(steps_down)
    known = ",".join(f"{each}={url}" for each, url in grown.peers.items())
    second.flags += ["--initial-cluster-state=existing", f"--initial-cluster={known}"]
    second.start()
    await second.ready()
    await put(first, b"a")
    assert await count(second) == 1


async def test_the_leader_of_two_can_remove_itself(grown: Grown) -> None:
    """It alone knows that its removal is committed, and must not go before the other does."""
    first = await grown.first()
    second = await grown.join("b")
    leader = await members.leader_of([first, second])
    other = second if leader is first else first
    async with cluster(leader) as stub:
        own = (await leader.status()).header.member_id
        await stub.MemberRemove(rpc_pb2.MemberRemoveRequest(ID=own), timeout=10)
    assert leader.process is not None
    assert await asyncio.to_thread(leader.process.wait, 15) == 0
    await put(other, b"a")
    assert len(await listed(other)) == 1


@pytest.mark.etcdctl
async def test_etcdctl_adds_lists_updates_and_removes(grown: Grown) -> None:
    first = await grown.first()

    async def etcdctl(*words: str) -> str:
        done = await asyncio.to_thread(
            subprocess.run, ["etcdctl", "--endpoints", first.address, *words],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    grown.make("b")
    said = await etcdctl("member", "add", "b", f"--peer-urls={grown.peers['b']}", "--learner")
    assert 'ETCD_INITIAL_CLUSTER_STATE="existing"' in said
    assert f"b={grown.peers['b']}" in said
    added = next(member for member in (await listed(first)).values() if member.isLearner)
    await etcdctl("member", "update", f"{added.ID:x}", "--peer-urls=http://127.0.0.1:2")
    assert "http://127.0.0.1:2" in await etcdctl("member", "list")
    await etcdctl("member", "remove", f"{added.ID:x}")
    assert len((await etcdctl("member", "list")).splitlines()) == 1
    assert first.address in await etcdctl("endpoint", "status", "--cluster")
