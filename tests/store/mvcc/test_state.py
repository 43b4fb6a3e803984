"""Keys, revisions, transactions, compaction and leases, without any disk or network."""

from __future__ import annotations

import gc

import pytest
from raftsman.etcd import rpc_pb2
from raftsman.store import errors, mvcc
from raftsman.store.mvcc.state import HISTORY_BYTES_MAX, HISTORY_KEPT

Range = rpc_pb2.RangeRequest
Compare = rpc_pb2.Compare
EVERYTHING = {"key": b"\0", "range_end": b"\0"}


def put(state: mvcc.State, key: bytes, value: bytes = b"", **more: object) -> rpc_pb2.PutResponse:
    return state.put(rpc_pb2.PutRequest(key=key, value=value, **more))  # type: ignore[arg-type]


def delete(state: mvcc.State, key: bytes, range_end: bytes = b"") -> rpc_pb2.DeleteRangeResponse:
    return state.delete_range(rpc_pb2.DeleteRangeRequest(key=key, range_end=range_end, prev_kv=True))


def found(state: mvcc.State, **request: object) -> list[tuple[bytes, bytes]]:
    answer = state.range(Range(**request))  # type: ignore[arg-type]
    return [(kv.key, kv.value) for kv in answer.kvs]


def op(**request: object) -> rpc_pb2.RequestOp:
    return rpc_pb2.RequestOp(**request)  # type: ignore[arg-type]


def put_op(key: bytes, value: bytes = b"", **more: object) -> rpc_pb2.RequestOp:
    return op(request_put=rpc_pb2.PutRequest(key=key, value=value, **more))  # type: ignore[arg-type]


@pytest.fixture
def state() -> mvcc.State:
    return mvcc.State()


def test_a_put_counts_revisions_and_versions(state: mvcc.State) -> None:
    put(state, b"a", b"1")
    put(state, b"b", b"2")
    assert not put(state, b"a", b"3").HasField("prev_kv")
    kv = state.range(Range(key=b"a")).kvs[0]
    assert (kv.create_revision, kv.mod_revision, kv.version, kv.value) == (2, 4, 2, b"3")
    assert put(state, b"a", b"4", prev_kv=True).prev_kv.value == b"3"


def test_a_deleted_key_starts_again_at_version_one(state: mvcc.State) -> None:
    put(state, b"a")
    put(state, b"a")
    assert delete(state, b"a").deleted == 1
    assert found(state, key=b"a") == []
    put(state, b"a")
    kv = state.range(Range(key=b"a")).kvs[0]
    assert (kv.create_revision, kv.version) == (5, 1)


def test_deleting_nothing_makes_no_revision(state: mvcc.State) -> None:
    assert delete(state, b"a", b"z").deleted == 0
    assert state.revision == 1


def test_the_past_can_be_read(state: mvcc.State) -> None:
    put(state, b"a", b"1")
    put(state, b"b", b"2")
    put(state, b"a", b"3")
    delete(state, b"b")
    assert found(state, revision=3, **EVERYTHING) == [(b"a", b"1"), (b"b", b"2")]
    assert found(state, revision=4, **EVERYTHING) == [(b"a", b"3"), (b"b", b"2")]
    assert found(state, **EVERYTHING) == [(b"a", b"3")]
    with pytest.raises(errors.StoreError, match="required revision is a future revision"):
        state.range(Range(key=b"a", revision=6))


def test_a_range_is_sorted_limited_and_filtered(state: mvcc.State) -> None:
    for key, value in ((b"c", b"1"), (b"a", b"3"), (b"b", b"2"), (b"a", b"0")):
        put(state, key, value)
    answer = state.range(Range(limit=2, **EVERYTHING))  # type: ignore[arg-type]
    assert ([kv.key for kv in answer.kvs], answer.more, answer.count) == ([b"a", b"b"], True, 3)

    def order(target: int, direction: int) -> list[bytes]:
        return [key for key, _ in found(state, sort_target=target, sort_order=direction, **EVERYTHING)]

    assert order(Range.KEY, Range.DESCEND) == [b"c", b"b", b"a"]
    assert order(Range.VALUE, Range.ASCEND) == [b"a", b"c", b"b"]
    assert order(Range.MOD, Range.DESCEND) == [b"a", b"b", b"c"]
    assert order(Range.CREATE, Range.ASCEND) == [b"c", b"a", b"b"]
    assert order(Range.VERSION, Range.DESCEND)[0] == b"a"
    assert found(state, min_mod_revision=4, **EVERYTHING) == [(b"a", b"0"), (b"b", b"2")]
    assert found(state, max_create_revision=2, **EVERYTHING) == [(b"c", b"1")]
    assert found(state, min_create_revision=3, max_mod_revision=4, **EVERYTHING) == [(b"b", b"2")]
    assert found(state, keys_only=True, key=b"a") == [(b"a", b"")]
    counted = state.range(Range(count_only=True, **EVERYTHING))  # type: ignore[arg-type]
    assert (counted.count, len(counted.kvs)) == (3, 0)
    assert state.range(Range(count_only=True, key=b"\0", range_end=b"\0", revision=3)).count == 2


def test_the_operations_of_a_transaction_share_a_revision(state: mvcc.State) -> None:
    answer = state.txn(
        rpc_pb2.TxnRequest(
            success=[
                put_op(b"a", b"1"),
                put_op(b"b", b"2"),
                op(request_range=Range(**EVERYTHING)),  # type: ignore[arg-type]
                op(request_delete_range=rpc_pb2.DeleteRangeRequest(key=b"c")),
            ]
        )
    )
    assert state.revision == 2
    assert [kv.value for kv in answer.responses[2].response_range.kvs] == [b"1", b"2"]
    assert [change.record.sub for change in state.history.at(2)] == [0, 1]


@pytest.mark.parametrize(
    ("compare", "holds"),
    [
        (Compare(key=b"a", target=Compare.VERSION, result=Compare.EQUAL, version=2), True),
        (Compare(key=b"a", target=Compare.VALUE, result=Compare.GREATER, value=b"1"), True),
        (Compare(key=b"a", target=Compare.VALUE, result=Compare.LESS, value=b"2"), False),
        (Compare(key=b"a", target=Compare.MOD, result=Compare.NOT_EQUAL, mod_revision=3), False),
        (Compare(key=b"a", target=Compare.CREATE, result=Compare.LESS, create_revision=3), True),
        (Compare(key=b"a", target=Compare.LEASE, result=Compare.EQUAL, lease=0), True),
        (Compare(key=b"none", target=Compare.CREATE, result=Compare.EQUAL, create_revision=0), True),
        (Compare(key=b"none", target=Compare.VALUE, result=Compare.NOT_EQUAL, value=b"x"), False),
        (Compare(key=b"a", range_end=b"z", target=Compare.VERSION, result=Compare.GREATER, version=0), True),
        (Compare(key=b"a", range_end=b"z", target=Compare.VERSION, result=Compare.EQUAL, version=2), False),
    ],
)
def test_compares(state: mvcc.State, compare: Compare, holds: bool) -> None:
    put(state, b"a", b"1")
    put(state, b"a", b"2")
    put(state, b"b", b"3")
    answer = state.txn(rpc_pb2.TxnRequest(compare=[compare], failure=[put_op(b"failed")]))
    assert answer.succeeded is holds
    assert bool(found(state, key=b"failed")) is not holds


def test_what_is_refused_inside_a_transaction_writes_nothing(state: mvcc.State) -> None:
    put(state, b"a", b"1")
    for refused in (
        put_op(b"b", lease=7),
        put_op(b"none", ignore_value=True),
        op(request_range=Range(key=b"a", revision=9)),
    ):
        with pytest.raises(errors.StoreError):
            state.txn(rpc_pb2.TxnRequest(success=[put_op(b"a", b"2"), refused]))
    assert (state.revision, found(state, **EVERYTHING)) == (2, [(b"a", b"1")])


def test_nested_transactions_decide_before_anything_is_written(state: mvcc.State) -> None:
    absent = Compare(key=b"a", target=Compare.VERSION, result=Compare.EQUAL, version=0)
    inner = rpc_pb2.TxnRequest(compare=[absent], success=[put_op(b"inner")], failure=[put_op(b"wrong")])
    answer = state.txn(rpc_pb2.TxnRequest(success=[put_op(b"a"), op(request_txn=inner)]))
    assert answer.responses[1].response_txn.succeeded
    assert [key for key, _ in found(state, **EVERYTHING)] == [b"a", b"inner"]
    assert state.revision == 2


def test_ignoring_value_or_lease_keeps_them(state: mvcc.State) -> None:
    state.grant(5, 60)
    put(state, b"a", b"1", lease=5)
    put(state, b"a", ignore_value=True, lease=5)
    put(state, b"a", b"2", ignore_lease=True)
    kv = state.range(Range(key=b"a")).kvs[0]
    assert (kv.value, kv.lease, kv.version) == (b"2", 5, 3)


def test_compaction_keeps_what_its_revision_shows(state: mvcc.State) -> None:
    put(state, b"a", b"1")
    put(state, b"b", b"2")
    put(state, b"a", b"3")
    delete(state, b"b")
    put(state, b"c", b"4")
    state.compact(5)
    assert found(state, revision=5, **EVERYTHING) == [(b"a", b"3")]
    with pytest.raises(errors.StoreError, match="compacted"):
        state.range(Range(key=b"a", revision=4))
    with pytest.raises(errors.StoreError, match="compacted"):
        state.compact(5)
    with pytest.raises(errors.StoreError, match="future"):
        state.compact(99)
    state.compact(6)
    assert [record.key for record in state.records()] == [b"a", b"c"]


def test_a_revoked_lease_takes_its_keys_along_at_one_revision(state: mvcc.State) -> None:
    state.grant(5, 60)
    put(state, b"a", lease=5)
    put(state, b"b", lease=5)
    put(state, b"c", lease=5)
    put(state, b"b")
    assert state.leases.require(5).keys == {b"a", b"c"}
    state.revoke(5)
    assert state.revision == 6
    assert [key for key, _ in found(state, **EVERYTHING)] == [b"b"]
    with pytest.raises(errors.StoreError, match="requested lease not found"):
        state.revoke(5)


def test_leases_are_granted_once_and_within_bounds(state: mvcc.State) -> None:
    assert state.grant(1, 0).ttl_s == 2
    with pytest.raises(errors.StoreError, match="lease already exists"):
        state.grant(1, 5)
    with pytest.raises(errors.StoreError, match="too large lease TTL"):
        state.grant(2, 9_000_000_001)
    with pytest.raises(errors.StoreError, match="requested lease not found"):
        put(state, b"a", lease=3)


def test_compaction_leaves_watches_a_moment_but_not_at_any_price(state: mvcc.State) -> None:
    for number in range(2 * HISTORY_KEPT):
        put(state, b"a", b"%d" % number)
    state.compact(state.revision)
    assert state.history.first == state.revision - HISTORY_KEPT
    value = bytes(HISTORY_BYTES_MAX // 8)
    for _ in range(20):
        put(state, b"a", value)
    state.compact(state.revision)
    assert state.revision - 9 < state.history.first < state.revision - 6
    while state.sweep():
        pass
    assert [change.record.mod_revision for change in state.history.at(state.history.first)] == [state.history.first]


def test_sweeping_takes_slices_and_waits_for_views(state: mvcc.State) -> None:
    for _ in range(30):
        state.txn(rpc_pb2.TxnRequest(success=[put_op(b"%d" % number) for number in range(10)]))
    with state.view() as view:
        state.compact(state.revision)
        assert all(state.sweep() for _ in range(400))
        assert sum(len(batch) for batch in view.batches()) == 300
    slices = 1
    while state.sweep(7):
        slices += 1
    assert slices >= 300 // 7
    assert not state.sweep()


@pytest.mark.parametrize(
    ("sort", "keys"),
    [
        # etcd sorts what the limit fetched, and one more, when no order is asked for
        ({"sort_target": Range.VALUE}, [b"c", b"b"]),
        ({"sort_target": Range.VALUE, "sort_order": Range.ASCEND}, [b"d", b"c"]),
        ({"sort_target": Range.VERSION, "sort_order": Range.DESCEND}, [b"b", b"a"]),
        ({"sort_target": Range.VALUE, "min_mod_revision": 1}, [b"d", b"c"]),
        ({"sort_order": Range.DESCEND}, [b"d", b"c"]),
        ({"sort_order": Range.DESCEND, "revision": 5}, [b"c", b"b"]),
        ({"sort_order": Range.ASCEND, "min_create_revision": 4}, [b"c", b"d"]),
    ],
)
def test_what_a_limit_leaves(state: mvcc.State, sort: dict[str, int], keys: list[bytes]) -> None:
    for key, value in ((b"a", b"4"), (b"b", b""), (b"b", b""), (b"c", b"2"), (b"b", b"3"), (b"d", b"1")):
        put(state, key, value)
    answer = state.range(Range(limit=2, **EVERYTHING, **sort))  # type: ignore[arg-type]
    assert [kv.key for kv in answer.kvs] == keys
    created = sort.get("min_create_revision", 0)
    assert (answer.count, answer.more) == (3 if sort.get("revision") else 4, not created)


def test_what_is_not_understood_in_a_transaction_is_refused_before_it_writes(state: mvcc.State) -> None:
    for refused in (
        rpc_pb2.TxnRequest(compare=[Compare(key=b"a", result=9)], success=[put_op(b"a")]),  # type: ignore[arg-type]
        rpc_pb2.TxnRequest(compare=[Compare(key=b"a", target=9)], success=[put_op(b"a")]),  # type: ignore[arg-type]
        rpc_pb2.TxnRequest(success=[put_op(b"a"), op(request_range=Range(key=b"a", sort_order=9))]),  # type: ignore[arg-type]
        rpc_pb2.TxnRequest(success=[put_op(b"a"), op()]),
    ):
        with pytest.raises(errors.StoreError):
            state.txn(refused)
    assert state.revision == 1


def test_headers_in_a_transaction_tell_its_revision_once_it_wrote(state: mvcc.State) -> None:
    look = op(request_range=Range(key=b"a"))
    inner = op(request_txn=rpc_pb2.TxnRequest(success=[look]))
    answer = state.txn(rpc_pb2.TxnRequest(success=[look, put_op(b"a"), look, inner])).responses
    assert [answer[place].response_range.header.revision for place in (0, 2)] == [1, 2]
    assert answer[1].response_put.header.revision == 2
    assert answer[3].response_txn.HasField("header")
    assert answer[3].response_txn.header.revision == 0
    assert answer[3].response_txn.responses[0].response_range.header.revision == 2


def test_digests_tell_states_apart(state: mvcc.State) -> None:
    seen = {state.hash.value}
    for change in (
        lambda: put(state, b"a", b"1"),
        lambda: put(state, b"a", b"1"),
        lambda: state.grant(1, 60),
        lambda: put(state, b"a", b"1", lease=1),
        lambda: delete(state, b"a"),
        lambda: state.compact(3),
        lambda: state.revoke(1),
    ):
        change()
        seen.add(state.hash.value)
    assert len(seen) == 8


def test_the_garbage_collector_has_nothing_to_do_with_records(state: mvcc.State) -> None:
    """Its rounds stop everything: they must not take longer the more keys there are."""
    for number in range(300):
        put(state, b"%d" % (number % 100), b"value")
    gc.collect()
    records = list(state.records())
    changes = [change for _, of_revision in state.history.since(2) for change in of_revision]
    assert len(records) == len(changes) == 300
    assert not any(map(gc.is_tracked, (*records, *changes)))
    known = {id(record) for record in records} | {id(change) for change in changes}
    holders = [each for each in gc.get_objects() if type(each) in (tuple, list) and known & set(map(id, each))]
    assert not [each for each in holders if len(each) < 10]
