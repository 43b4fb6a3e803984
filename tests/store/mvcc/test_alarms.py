"""Alarms: what they refuse, what still works, what survives a snapshot."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message
from raftsman.etcd import rpc_pb2
from raftsman.store import apply, errors, mvcc
from raftsman.store.commands import Kind

Put, Txn, Op = rpc_pb2.PutRequest, rpc_pb2.TxnRequest, rpc_pb2.RequestOp
PUT = Put(key=b"a", value=b"1")
DELETE = rpc_pb2.DeleteRangeRequest(key=b"a")
RANGE = rpc_pb2.RangeRequest(key=b"a")


@pytest.fixture
def state() -> mvcc.State:
    made = mvcc.State()
    made.put(PUT)
    return made


def do(state: mvcc.State, kind: Kind, request: Message) -> Message:
    return apply.execute(state, kind, request.SerializeToString())


def alarm(state: mvcc.State, action: str, kind: str, member: int = 7) -> list[tuple[int, int]]:
    request = rpc_pb2.AlarmRequest(
        action=rpc_pb2.AlarmRequest.AlarmAction.Value(action), memberID=member, alarm=rpc_pb2.AlarmType.Value(kind)
    )
    answer = do(state, Kind.ALARM, request)
    assert isinstance(answer, rpc_pb2.AlarmResponse)
    return [(each.alarm, each.memberID) for each in answer.alarms]


@pytest.mark.parametrize(
    ("kind", "request_"),
    [
        (Kind.PUT, PUT),
        (Kind.LEASE_GRANT, rpc_pb2.LeaseGrantRequest(ID=1, TTL=5)),
        (Kind.TXN, Txn(success=[Op(request_range=RANGE)], failure=[Op(request_put=PUT)])),
        (Kind.TXN, Txn(success=[Op(request_txn=Txn(success=[Op(request_put=PUT)]))])),
    ],
)
def test_without_space_nothing_grows_until_the_alarm_is_disarmed(
    state: mvcc.State, kind: Kind, request_: Message
) -> None:
    assert alarm(state, "ACTIVATE", "NOSPACE") == [(1, 7)]
    with pytest.raises(errors.StoreError, match="mvcc: database space exceeded"):
        do(state, kind, request_)
    assert state.revision == 2
    assert alarm(state, "DEACTIVATE", "NOSPACE") == [(1, 7)]
    do(state, kind, request_)


def test_without_space_reading_deleting_and_compacting_go_on(state: mvcc.State) -> None:
    state.grant(5, 60)
    alarm(state, "ACTIVATE", "NOSPACE")
    assert state.range(RANGE).count == 1
    do(state, Kind.TXN, Txn(success=[Op(request_range=RANGE), Op(request_delete_range=DELETE)]))
    do(state, Kind.DELETE_RANGE, DELETE)
    do(state, Kind.COMPACT, rpc_pb2.CompactionRequest(revision=3))
    do(state, Kind.LEASE_REVOKE, rpc_pb2.LeaseRevokeRequest(ID=5))
    assert state.range(RANGE).count == 0


def test_a_corrupt_cluster_neither_reads_nor_writes(state: mvcc.State) -> None:
    state.grant(5, 60)
    alarm(state, "ACTIVATE", "CORRUPT")
    for kind, request in (
        (Kind.PUT, PUT),
        (Kind.DELETE_RANGE, DELETE),
        (Kind.TXN, Txn()),
        (Kind.COMPACT, rpc_pb2.CompactionRequest(revision=2)),
        (Kind.LEASE_GRANT, rpc_pb2.LeaseGrantRequest(ID=1, TTL=5)),
        (Kind.LEASE_REVOKE, rpc_pb2.LeaseRevokeRequest(ID=5)),
    ):
        with pytest.raises(errors.StoreError, match="corrupt cluster"):
            do(state, kind, request)
    for read in (lambda: state.range(RANGE), lambda: state.txn(Txn(success=[Op(request_range=RANGE)]))):
        with pytest.raises(errors.StoreError, match="corrupt cluster"):
            read()
    alarm(state, "DEACTIVATE", "CORRUPT")
    assert state.range(RANGE).count == 1


def test_an_alarm_goes_when_the_last_member_of_its_kind_is_disarmed(state: mvcc.State) -> None:
    for kind, member in (("NOSPACE", 7), ("NOSPACE", 8), ("CORRUPT", 7)):
        assert alarm(state, "ACTIVATE", kind, member)
    assert state.alarms.raised() == [(1, 7), (1, 8), (2, 7)]
    assert state.alarms.raised(rpc_pb2.CORRUPT) == [(2, 7)]
    alarm(state, "DEACTIVATE", "NOSPACE", 7)
    alarm(state, "DEACTIVATE", "CORRUPT", 7)
    with pytest.raises(errors.StoreError, match="space exceeded"):
        do(state, Kind.PUT, PUT)
    assert alarm(state, "DEACTIVATE", "NOSPACE", 99) == [], "nobody raised that one"
    alarm(state, "DEACTIVATE", "NOSPACE", 8)
    do(state, Kind.PUT, PUT)


def test_alarms_are_in_snapshots(state: mvcc.State) -> None:
    alarm(state, "ACTIVATE", "CORRUPT")
    again = mvcc.State.restored(revision=2, compacted=0, parts=state.copy_of_parts(), records=[])
    assert (again.alarms.raised(), again.alarms.corrupt, again.alarms.no_space) == ([(2, 7)], True, False)


@pytest.mark.parametrize(
    ("kind", "request_", "bytes_"),
    [
        (Kind.DELETE_RANGE, DELETE, 0),
        (Kind.LEASE_GRANT, rpc_pb2.LeaseGrantRequest(TTL=1), 64),
        (Kind.TXN, Txn(success=[Op(request_put=PUT)], failure=[Op(request_put=PUT), Op(request_put=PUT)]), 2 * 258),
    ],
)
def test_growth_is_counted_as_etcd_does(kind: Kind, request_: Message, bytes_: int) -> None:
    assert apply.growth(kind, request_.SerializeToString()) == bytes_
