"""Deadlines of leases on a clock that the test moves, with a replica that notes what is revoked."""

from __future__ import annotations

import asyncio

import pytest
from raftsman.etcd import rpc_pb2
from raftsman.store import errors, lessor, mvcc
from raftsman.store.commands import Kind
from raftsman.store.raft import clock, events

LEADING = events.Role("me", True, 1)


class Granted:
    """Stands in for a replica: `revoked` are the leases in the order in which they went."""

    def __init__(self) -> None:
        self.state = mvcc.State()
        self.observers: list[lessor.Lessor] = []
        self.revoked: list[int] = []
        self.refuse = False
        self.under_way = self.most_under_way = 0

    async def propose(self, kind: Kind, payload: bytes, **_: object) -> None:
        assert kind is Kind.LEASE_REVOKE
        lease_id = rpc_pb2.LeaseRevokeRequest.FromString(payload).ID
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        if self.refuse:
            raise errors.timed_out()
        self.state.revoke(lease_id)
        self.revoked.append(lease_id)
        self.tell(lease_id)

    def grant(self, lease_id: int, ttl_s: int) -> None:
        self.state.grant(lease_id, ttl_s)
        self.tell(lease_id)

    def tell(self, lease_id: int) -> None:
        for observer in self.observers:
            observer.lease_changed(lease_id)


class Clock:
    """Time that passes when it is told to; the lessor's timer is rung by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(clock, "now", lambda: self.now)

    async def pass_(self, seconds: float, for_: lessor.Lessor) -> None:
        self.now += seconds
        for_._expire()
        for _ in range(1000):
            await asyncio.sleep(0)
            if not for_._revoking:
                return


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def replica() -> Granted:
    return Granted()


@pytest.fixture
async def leader(replica: Granted, time: Clock) -> lessor.Lessor:
    made = lessor.Lessor(replica)  # type: ignore[arg-type]
    made.led(LEADING)
    return made


async def test_leases_go_in_the_order_in_which_their_time_is_up(
    leader: lessor.Lessor, replica: Granted, time: Clock
) -> None:
    for lease_id, ttl_s in ((1, 30), (2, 10), (3, 20)):
        replica.grant(lease_id, ttl_s)
    await time.pass_(9, leader)
    assert replica.revoked == []
    await time.pass_(12, leader)
    assert replica.revoked == [2, 3]
    await time.pass_(10, leader)
    assert replica.revoked == [2, 3, 1]


async def test_a_lease_that_is_kept_stays_and_one_that_was_not_goes(
    leader: lessor.Lessor, replica: Granted, time: Clock
) -> None:
    replica.grant(1, 10)
    replica.grant(2, 10)
    for _ in range(5):
        await time.pass_(6, leader)
        if 2 in replica.revoked:
            with pytest.raises(errors.StoreError, match="lease not found"):
                leader.keep_alive(2)
        assert leader.keep_alive(1) == 10
    assert replica.revoked == [2]
    await time.pass_(11, leader)
    assert replica.revoked == [2, 1]


async def test_keep_alives_pile_nothing_up(leader: lessor.Lessor, replica: Granted, time: Clock) -> None:
    for lease_id in range(1, 1001):
        replica.grant(lease_id, 10)
    for _ in range(20):
        time.now += 5
        for lease_id in range(1, 1001):
            leader.keep_alive(lease_id)
    await time.pass_(0, leader)
    assert replica.revoked == []
    assert len(leader._queue) == 1000


async def test_leases_that_were_revoked_leave_nothing_behind(leader: lessor.Lessor, replica: Granted) -> None:
    for lease_id in range(1, 5001):
        replica.grant(lease_id, 3600)
        replica.state.revoke(lease_id)
        replica.tell(lease_id)
    assert len(leader._queue) <= 2 * lessor.QUEUE_SLACK


async def test_a_lease_granted_again_with_less_time_does_not_get_the_old_time(
    leader: lessor.Lessor, replica: Granted, time: Clock
) -> None:
    replica.grant(1, 1000)
    replica.state.revoke(1)
    replica.tell(1)
    replica.grant(1, 5)
    await time.pass_(6, leader)
    assert replica.revoked == [1]


async def test_a_new_leader_gives_every_lease_its_whole_time(replica: Granted, time: Clock) -> None:
    replica.grant(1, 10)
    made = lessor.Lessor(replica)  # type: ignore[arg-type]
    made.led(LEADING)
    await time.pass_(9, made)
    made.led(events.Role("other", False, 2))
    await time.pass_(9, made)
    made.led(events.Role("me", True, 3))
    await time.pass_(9, made)
    assert replica.revoked == []
    assert made.remaining_s(1) == 1
    await time.pass_(2, made)
    assert replica.revoked == [1]


async def test_revocations_are_bounded_and_tried_again(leader: lessor.Lessor, replica: Granted, time: Clock) -> None:
    for lease_id in range(1, 301):
        replica.grant(lease_id, 10)
    replica.refuse = True
    await time.pass_(11, leader)
    assert replica.most_under_way == lessor.REVOKES_MAX
    assert replica.revoked == []
    replica.refuse = False
    for _ in range(10):
        await time.pass_(2, leader)
    assert len(replica.revoked) == 300
    leader.close()
