"""`aetcd`, used as its documentation says. Run by test_clients: PORT [USER PASSWORD]."""

from __future__ import annotations

import asyncio
import io
import sys
from typing import Any

import aetcd


async def keys(client: Any) -> None:
    assert await client.get(b"aetcd/none") is None
    await client.put(b"aetcd/a", b"1")
    await client.put(b"aetcd/b", b"2")
    found = await client.get(b"aetcd/a")
    assert (found.value, found.version) == (b"1", 1)
    assert [each.value for each in await client.get_prefix(b"aetcd/", sort_order="descend")] == [b"2", b"1"]
    assert await client.replace(b"aetcd/a", b"1", b"3")
    assert not await client.replace(b"aetcd/a", b"1", b"4")
    assert (await client.delete(b"aetcd/a", prev_kv=True)).prev_kv.value == b"3"
    assert (await client.delete_prefix(b"aetcd/")).deleted == 1


async def transactions(client: Any) -> None:
    await client.put(b"txn", b"old")
    operations = client.transactions
    succeeded, answers = await client.transaction(
        compare=[operations.value(b"txn") == b"old"],
        success=[operations.put(b"txn", b"new"), operations.get(b"txn")],
        failure=[operations.delete(b"txn")],
    )
    assert succeeded
    assert answers[1][0][0] == b"new"


async def leases(client: Any) -> None:
    lease = await client.lease(30)
    await client.put(b"leased", b"x", lease=lease)
    assert await lease.keys() == [b"leased"]
    assert 0 < await lease.remaining_ttl() <= 30
    assert (await lease.refresh()).TTL == 30
    await lease.revoke()
    assert await client.get(b"leased") is None


async def watches(client: Any) -> None:
    revision = (await client.put(b"watch/a", b"1")).header.revision
    watch = await client.watch_prefix(b"watch/", start_revision=revision)
    events = aiter(watch)
    assert (await anext(events)).kv.value == b"1"
    await client.delete(b"watch/a")
    assert (await anext(events)).kind == aetcd.EventKind.DELETE
    await watch.cancel()


async def locks(client: Any) -> None:
    async with client.lock(b"mutex", ttl=20) as lock:
        assert await lock.is_acquired()
        assert not await client.lock(b"mutex", ttl=20).acquire(timeout=0.3)


async def members(client: Any) -> None:
    status = await client.status()
    assert status.leader.id in [member.id for member in [each async for each in client.members()]]
    assert [each async for each in client.list_alarms()] == []
    await client.defragment()
    await client.compact((await client.put(b"c", b"")).header.revision)
    copy = io.BytesIO()
    await client.snapshot(copy)
    assert len(copy.getvalue()) > 4096


async def main(port: str, *login: str) -> None:
    named = {"username": login[0], "password": login[1]} if login else {}
    async with aetcd.Client(host="127.0.0.1", port=int(port), timeout=10, **named) as client:
        for part in (keys, transactions, leases, watches, locks, members):
            await part(client)
            print(part.__name__, flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
