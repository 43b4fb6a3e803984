"""The store beside Debian's etcd: the same requests, the same answers. `scripts/contract` looks for longer.

Sequences are drawn from seeds that stay the same; what a difference is between may be seen with
`scripts/contract --only FAMILY:SEED`. One pair of servers serves all of a test.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from differences import SINGLE
from pair import Different, Pair, sequence_of, started
from raftsman.etcd import rpc_pb2
from sides import Outcome
from steps import Step

pytestmark = pytest.mark.etcd

COUNTS = {"kv": 70, "leases": 50, "watches": 18, "admin": 24, "rest": 16}


@pytest.mark.parametrize("family", COUNTS)
async def test_random_sequences_are_answered_alike(family: str, tmp_path: Path) -> None:
    async with started(tmp_path / family) as pair:
        for seed in range(COUNTS[family]):
            try:
                await pair.run(sequence_of(family, seed))
            except Different as difference:
                pytest.fail(f"{family}:{seed}: {difference}")


@pytest.mark.parametrize("family", ["leases", "watches"])
async def test_a_follower_answers_alike(family: str, tmp_path: Path) -> None:
    async with started(tmp_path / family, follower=True) as pair:
        for seed in range(5000, 5006):
            try:
                await pair.run(sequence_of(family, seed))
            except Different as difference:
                pytest.fail(f"{family}:{seed}: {difference}")


async def test_leases_run_out_alike(tmp_path: Path) -> None:
    """Each at a revision of its own, its keys in order, whatever was asked of it before; kept alive, it stays."""
    range_request = rpc_pb2.RangeRequest(key=b"a", range_end=b"z", count_only=True)
    steps = [
        Step("Watch.create", rpc_pb2.WatchCreateRequest(key=b"a", range_end=b"z", prev_kv=True)),
        Step("Lease.LeaseGrant", rpc_pb2.LeaseGrantRequest(ID=1, TTL=2)),
        Step("Lease.LeaseGrant", rpc_pb2.LeaseGrantRequest(ID=2, TTL=3600)),
        *(Step("KV.Put", rpc_pb2.PutRequest(key=key, lease=1)) for key in (b"d", b"b", b"moved", b"freed", b"c")),
        Step("KV.Put", rpc_pb2.PutRequest(key=b"moved", lease=2)),
        Step("KV.Put", rpc_pb2.PutRequest(key=b"freed")),
        Step("KV.Put", rpc_pb2.PutRequest(key=b"d", value=b"2", ignore_lease=True)),
    ]
    after = [
        Step("Lease.LeaseTimeToLive", rpc_pb2.LeaseTimeToLiveRequest(ID=1, keys=True)),
        Step("Lease.LeaseTimeToLive", rpc_pb2.LeaseTimeToLiveRequest(ID=2, keys=True)),
        Step("Lease.LeaseKeepAlive", rpc_pb2.LeaseKeepAliveRequest(ID=1)),
        Step("KV.Put", rpc_pb2.PutRequest(key=b"b", lease=1)),
        Step("KV.Range", range_request),
        Step("Lease.LeaseRevoke", rpc_pb2.LeaseRevokeRequest(ID=2)),
    ]
    async with started(tmp_path / "pair") as pair:
        for place, step in enumerate(steps):
            await pair.step(place, step)
        for side in pair.sides:
            assert side.stream is not None
            watched = side.stream.watches[0]
            await side.stream.until(lambda watched=watched: len(watched.events) == 8 + 3)
            side.revision = watched.events[-1].kv.mod_revision
        await pair.run(after)


async def test_what_is_meant_to_differ_does(tmp_path: Path) -> None:
    """The table is true: each answer is what stands in it, of etcd too."""
    async with started(tmp_path / "pair") as pair:
        for role in ("single", "root"):
            for side in pair.sides:
                await side.make(Step("Auth.RoleAdd", rpc_pb2.AuthRoleAddRequest(name=role)), 1)
        for single in SINGLE:
            for side, (code, part) in zip(pair.sides, (single.etcd, single.ours), strict=True):
                outcome = await side.make(Step(single.name, single.request), 1)
                assert outcome.code == code, f"{single.reason}: {side.name} said {outcome}"
                assert part in str(outcome), f"{single.reason}: {side.name} said {outcome}"
        for side in pair.sides:
            await side.close_stream()


async def test_a_difference_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: a key that only one of them has, an event that only one of them tells."""
    monkeypatch.setattr("pair.CATCH_UP_S", 0.1)
    async with started(tmp_path / "pair") as pair:
        put = Step("KV.Put", rpc_pb2.PutRequest(key=b"a"))
        await pair.ours.make(put, 1)
        pair.ours.revision = 1
        with pytest.raises(Different, match="step 0"):
            await pair.run([Step("KV.Range", rpc_pb2.RangeRequest(key=b"a"))])
    async with started(tmp_path / "other") as pair:
        watch = Step("Watch.create", rpc_pb2.WatchCreateRequest(key=b"a"))
        quiet = rpc_pb2.WatchCreateRequest(key=b"a", filters=[rpc_pb2.WatchCreateRequest.NOPUT])
        with pytest.raises(Different, match="watch 0 was told"):
            await _run_with(pair, watch, Step("Watch.create", quiet), put)


async def _run_with(pair: Pair, of_etcd: Step, of_ours: Step, then: Step) -> None:
    """Sequences that differ in their first step."""
    make = pair.ours.make

    async def other(step: Step, now: int) -> Outcome:
        return await make(of_ours if step is of_etcd else step, now)

    pair.ours.make = other  # type: ignore[method-assign]
    await pair.run([of_etcd, then])
