"""Requests that etcd takes and that were refused, answered wrongly or deadly here: found by the differential tests."""

from __future__ import annotations

import pytest
from raftsman.etcd import rpc_pb2
from raftsman.store import errors, mvcc
from raftsman.store.server import checks

Put, Delete, Range, Op = rpc_pb2.PutRequest, rpc_pb2.DeleteRangeRequest, rpc_pb2.RangeRequest, rpc_pb2.RequestOp
NUMBER_MAX = (1 << 63) - 1


def put(key: bytes) -> Op:
    return Op(request_put=Put(key=key))


def delete(key: bytes, range_end: bytes = b"") -> Op:
    return Op(request_delete_range=Delete(key=key, range_end=range_end))


def txn(*success: Op, failure: tuple[Op, ...] = ()) -> Op:
    return Op(request_txn=rpc_pb2.TxnRequest(success=success, failure=failure))


@pytest.mark.parametrize("target", range(5))
def test_the_largest_limit_is_no_limit(target: int) -> None:
    """It ended every member: one more than it is no number of things to take, and a log entry asks it of all."""
    state = mvcc.State()
    state.put(Put(key=b"a"))
    request = Range(key=b"a", range_end=b"z", limit=NUMBER_MAX, sort_target=target)  # type: ignore[arg-type]
    assert state.range(request).count == 1
    answer = state.txn(rpc_pb2.TxnRequest(success=[Op(request_range=request)]))
    assert not answer.responses[0].response_range.more


def test_one_key_is_found_in_descending_order() -> None:
    state = mvcc.State()
    state.put(Put(key=b"a"))
    assert len(state.range(Range(key=b"a", sort_order=Range.DESCEND)).kvs) == 1


def test_a_put_names_an_unknown_lease_before_a_missing_key() -> None:
    state = mvcc.State()
    request = Put(key=b"a", lease=5, ignore_value=True)
    with pytest.raises(errors.StoreError, match="requested lease not found"):
        state.put(request)
    with pytest.raises(errors.StoreError, match="key not found"):
        state.txn(rpc_pb2.TxnRequest(success=[Op(request_put=request)]))


@pytest.mark.parametrize(
    ("operations", "refused"),
    [
        ([put(b"a"), put(b"a")], True),
        ([put(b"b"), delete(b"a", b"c")], True),
        ([delete(b"a"), put(b"a")], True),
        ([delete(b"a"), put(b"a\0")], False),
        ([put(b"b"), delete(b"a", b"\0")], False),
        ([put(b"b"), delete(b"c", b"a")], False),
        ([delete(b"a", b"c"), delete(b"b", b"d"), put(b"d")], False),
        ([delete(b"a", b"c"), delete(b"d", b"f"), delete(b"b", b"e"), put(b"e")], True),
        ([delete(b"a", b"f"), delete(b"b", b"c"), put(b"e")], True),
        ([txn(put(b"a")), txn(delete(b"a"))], False),
        ([txn(delete(b"a")), txn(put(b"a"))], True),
        ([txn(delete(b"a")), put(b"a")], True),
        ([txn(put(b"a"), failure=(put(b"a"),))], False),
        ([txn(put(b"a"), failure=(delete(b"a"),))], False),
        ([txn(put(b"a")), txn(failure=(put(b"a"),))], True),
        ([txn(txn(put(b"a"))), put(b"a")], True),
    ],
)
def test_what_writes_a_key_twice(operations: list[Op], refused: bool) -> None:
    request = rpc_pb2.TxnRequest(success=operations)
    if refused:
        with pytest.raises(errors.StoreError, match="duplicate key"):
            checks.check_txn(request)
    else:
        checks.check_txn(request)
        mvcc.State().txn(request)


def test_many_deletes_are_compared_with_many_puts_in_no_time() -> None:
    branches = [
        txn(*(delete(b"d%05d" % (number * 100 + each)) for each in range(100)), failure=(put(b"p%05d" % number),))
        for number in range(100)
    ]
    checks.check_txn(rpc_pb2.TxnRequest(success=branches))


def test_a_lease_lives_at_least_as_long_as_etcds() -> None:
    state = mvcc.State()
    assert [state.grant(lease, ttl).ttl_s for lease, ttl in ((1, -1), (2, 0), (3, 1), (4, 3))] == [2, 2, 2, 3]
    with pytest.raises(errors.StoreError, match="too large lease TTL"):
        state.grant(1, NUMBER_MAX)


def test_a_negative_revision_in_a_transaction_is_compacted_once_anything_is() -> None:
    state = mvcc.State()
    state.put(Put(key=b"a"))
    request = rpc_pb2.TxnRequest(success=[Op(request_range=Range(key=b"a", revision=-1))])
    assert state.txn(request).responses[0].response_range.count == 1
    state.compact(2)
    assert state.range(Range(key=b"a", revision=-1)).count == 1
    with pytest.raises(errors.StoreError, match="has been compacted"):
        state.txn(request)
