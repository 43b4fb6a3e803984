"""When automatic compaction is due, and at which revision: etcd's rhythm."""

from __future__ import annotations

import asyncio

import pytest
from raftsman.etcd import rpc_pb2
from raftsman.store import compactor, errors, mvcc
from raftsman.store.commands import Kind
from raftsman.store.raft import events


def due(window: compactor.Window, samples: int) -> dict[int, int]:
    """Sample number to the revision that it compacts at, when a sample's revision is its number times 100."""
    found = {}
    for number in range(samples):
        revision = window.sample(number * 100)
        if revision is not None:
            found[number] = revision
            window.done()
    return found


@pytest.mark.parametrize(
    ("period_s", "sample_s", "expected"),
    [
        (300, 30, {10: 0, 20: 1000, 30: 2000}),
        (7200, 360, {20: 0, 30: 1000}),
        (3600, 360, {10: 0, 20: 1000, 30: 2000}),
        (0.5, 0.1, {5: 0, 10: 500, 15: 1000, 20: 1500, 25: 2000, 30: 2500}),
    ],
)
def test_a_period_is_kept_and_compacted_every_period_or_every_hour(
    period_s: float, sample_s: float, expected: dict[int, int]
) -> None:
    window = compactor.Window(period_s)
    assert window.sample_s == pytest.approx(sample_s)
    assert due(window, 31) == expected


def test_what_failed_is_due_again_at_the_next_sample() -> None:
    window = compactor.Window(300)
    for number in range(10):
        assert window.sample(number) is None
    assert window.sample(10) == 0
    assert window.sample(11) == 1, "a period old, not the one that failed"
    window.done()
    assert window.sample(12) is None


class Proposals:
    """Stands in for a replica: applies what is proposed, or refuses."""

    def __init__(self) -> None:
        self.state = mvcc.State()
        self.role = events.Role("me", True, 1)
        self.refuse = False
        self.proposed: list[int] = []
        for number in range(20):
            self.state.put(rpc_pb2.PutRequest(key=b"k", value=b"%d" % number))

    async def propose(self, kind: Kind, payload: bytes, **_: object) -> None:
        assert kind is Kind.COMPACT
        revision = rpc_pb2.CompactionRequest.FromString(payload).revision
        self.proposed.append(revision)
        if self.refuse:
            raise errors.timed_out()
        self.state.compact(revision)


async def ran(replica: Proposals, *, seconds: float, mode: str, retention: float) -> None:
    task = asyncio.create_task(compactor.run(replica, mode=mode, retention=retention))  # type: ignore[arg-type]
    await asyncio.sleep(seconds)
    task.cancel()


async def test_only_the_newest_revisions_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compactor, "REVISION_PERIOD_S", 0.02)
    replica = Proposals()
    await ran(replica, seconds=0.2, mode="revision", retention=5)
    assert replica.proposed == [16], "once: nothing was written since"


async def test_only_the_leader_compacts_and_never_what_somebody_else_compacted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compactor, "SAMPLE_MIN_S", 0.01)
    follower, leader, beaten = Proposals(), Proposals(), Proposals()
    follower.role = events.Role("other", False, 1)
    beaten.state.compact(21)
    await asyncio.gather(
        *(ran(each, seconds=0.3, mode="periodic", retention=0.1) for each in (follower, leader, beaten))
    )
    assert (follower.proposed, leader.proposed, beaten.proposed) == ([], [21], [])


async def test_a_compaction_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compactor, "SAMPLE_MIN_S", 0.01)
    replica = Proposals()
    replica.refuse = True
    await ran(replica, seconds=0.3, mode="periodic", retention=0.1)
    assert len(replica.proposed) > 2
