"""One member on its loop, without others."""

from __future__ import annotations

from pathlib import Path
from random import Random

from clusters import CLUSTER, member
from kernels import Unsynced
from raftsman.store import mvcc, snapshot
from raftsman.store.mvcc.members import Dumped
from raftsman.store.raft import events
from raftsman.store.raft.driver import Start, open_journal
from raftsman.store.raft.journal import Beginning
from raftsman.store.raft.member import Member, Settings


async def test_a_snapshot_from_before_a_member_joined_takes_it_out_of_nothing(tmp_path: Path) -> None:
    """The leader's newest snapshot may be older than the entry that added whom it is sent to."""
    told: list[events.Event] = []
    joined = Dumped(CLUSTER, (member(1), member(2), member(3, started=False)))
    settings = Settings(
        3, f"{CLUSTER:x}", "disk of 3", [], None, tmp_path / "snap", Beginning(changed=50, members=joined),
        disk=Unsynced(), random=Random(1),
    )  # fmt: skip
    journal = open_journal(settings, Start(0, 0, Dumped(), tmp_path / "wal"))
    made = Member(settings, journal, tell=told.append, fatal=lambda error: None)
    await made.start(0, 0, Dumped())
    state = mvcc.State()
    state.members.load(Dumped(CLUSTER, (member(1),)))
    head = snapshot.Head.of(state, index=40, term=1, cluster=f"{CLUSTER:x}")
    path = snapshot.write(tmp_path / "snap", snapshot.Capture(head, state.copy_of_parts(), []), disk=Unsynced())
    made._snapshot_arrived(path, 40, 1)
    assert journal.members.dump() == joined
    assert journal.changed == 50
    assert {node.id for node in made._kernel.voters} == {"1", "2"}
    assert made._kernel.votes
    assert events.Installed(path, 40) in told
    made.stop()
