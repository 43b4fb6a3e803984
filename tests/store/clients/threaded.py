"""`etcd3` and clients forked from it, used as documented. Run by test_clients: MODULE PORT CA [USER PASSWORD]."""

from __future__ import annotations

import importlib
import io
import sys
import threading
from typing import Any


def keys(client: Any) -> None:
    assert client.get("threaded/none")[0] is None
    client.put("threaded/a", "1")
    client.put("threaded/b", "2")
    value, metadata = client.get("threaded/a")
    assert (value, metadata.key, metadata.version) == (b"1", b"threaded/a", 1)
    assert [found for found, _ in client.get_prefix("threaded/", sort_order="descend")] == [b"2", b"1"]
    assert [found for found, _ in client.get_range("threaded/a", "threaded/b")] == [b"1"]
    assert client.replace("threaded/a", "1", "3")
    assert not client.replace("threaded/a", "1", "4")
    assert client.put_if_not_exists("threaded/c", "5")
    assert client.delete("threaded/c")
    assert client.delete_prefix("threaded/").deleted == 2
    assert client.get_prefix_response("threaded/").count == 0


def transactions(client: Any) -> None:
    client.put("txn", "old")
    operations = client.transactions
    succeeded, answers = client.transaction(
        compare=[operations.value("txn") == "old", operations.version("txn") > 0],
        success=[operations.put("txn", "new"), operations.get("txn")],
        failure=[operations.delete("txn")],
    )
    assert succeeded
    assert answers[1][0][0] == b"new"
    succeeded, _ = client.transaction(
        compare=[operations.create("txn") == 0],
        success=[],
        failure=[operations.txn([], [operations.put("t", "1")], [])],
    )
    assert not succeeded
    assert client.get("t")[0] == b"1"


def leases(client: Any) -> None:
    lease = client.lease(30)
    client.put("leased", "x", lease)
    assert lease.keys == [b"leased"]
    assert 0 < lease.remaining_ttl <= lease.granted_ttl == 30
    assert [answer.TTL for answer in lease.refresh()] == [30]
    lease.revoke()
    assert client.get("leased")[0] is None


def watches(client: Any) -> None:
    revision = client.put("watch/a", "1").header.revision
    events, cancel = client.watch_prefix("watch/", start_revision=revision)
    assert next(events).value == b"1"
    threading.Timer(0.1, client.delete, ["watch/a"]).start()
    deleted = next(events)
    assert type(deleted).__name__ == "DeleteEvent"
    assert (deleted.key, deleted.prev_value) == (b"watch/a", b"")
    cancel()
    seen: list[Any] = []
    told = threading.Event()

    def take(answer: Any) -> None:
        seen.extend(answer.events)
        told.set()

    watch = client.add_watch_callback("watch/b", take, prev_kv=True)
    client.put("watch/b", "2")
    assert told.wait(10)
    assert seen[0].value == b"2"
    client.cancel_watch(watch)


def locks(client: Any) -> None:
    with client.lock("mutex", ttl=20) as lock:
        assert lock.is_acquired()
        assert not client.lock("mutex", ttl=20).acquire(timeout=0.3)
    with client.lock("mutex", ttl=20) as lock:
        assert lock.is_acquired()


def members(client: Any) -> None:
    status = client.status()
    assert status.version.startswith("3.")
    assert status.leader.id in [member.id for member in client.members]
    assert list(client.list_alarms()) == []
    if client.call_credentials is None:  # the client forgets them for this one call
        assert client.hash()
    client.defragment()
    client.compact(client.get_response("threaded/a").header.revision)
    copy = io.BytesIO()
    client.snapshot(copy)
    assert len(copy.getvalue()) > 4096


def main(module: str, port: str, ca: str, *login: str) -> None:
    named = {"user": login[0], "password": login[1]} if login else {}
    client = importlib.import_module(module).client(host="127.0.0.1", port=int(port), ca_cert=ca, timeout=10, **named)
    for part in (keys, transactions, leases, watches, locks, members):
        part(client)
        print(part.__name__, flush=True)
    client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
