"""`etcd3aio`, used as its documentation says. Run by test_clients: PORT CA [USER PASSWORD]."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import etcd3aio
from etcd3aio.kv import prefix_range_end


async def keys(client: Any) -> None:
    await client.kv.put("aio/a", "1")
    answer = await client.kv.put("aio/a", "2", prev_kv=True)
    assert answer.prev_kv.value == b"1"
    assert (await client.kv.get("aio/a")).kvs[0].value == b"2"
    assert (await client.kv.get("aio/", range_end=prefix_range_end("aio/"))).count == 1
    assert (await client.kv.delete("aio/a")).deleted == 1


async def transactions(client: Any) -> None:
    kv = client.kv
    await kv.put("txn", "old")
    answer = await kv.txn(
        compare=[kv.txn_compare_value("txn", "old")],
        success=[kv.txn_op_put("txn", "new"), kv.txn_op_get("txn")],
        failure=[kv.txn_op_delete("txn")],
    )
    assert answer.succeeded
    assert answer.responses[1].response_range.kvs[0].value == b"new"


async def leases(client: Any) -> None:
    lease = (await client.lease.grant(30)).ID
    await client.kv.put("leased", "x", lease=lease)
    async for answer in client.lease.keep_alive(lease):
        assert answer.TTL == 30
        break
    assert list((await client.lease.time_to_live(lease, keys=True)).keys) == [b"leased"]
    assert lease in [each.ID for each in (await client.lease.leases()).leases]
    await client.lease.revoke(lease)


async def watches(client: Any) -> None:
    revision = (await client.kv.put("watch", "1")).header.revision
    async for answer in client.watch.watch("watch", start_revision=revision, prev_kv=True):
        if answer.events:
            assert answer.events[0].kv.value == b"1"
            break


async def locks(client: Any) -> None:
    async with client.lock("mutex", ttl=20):
        pass
    async with client.election("office", value=b"me", ttl=20) as election:
        assert (await election.leader()).kvs[0].value == b"me"


async def members(client: Any) -> None:
    status = await client.maintenance.status()
    assert status.leader in [member.ID for member in (await client.cluster.member_list()).members]
    assert not (await client.maintenance.alarms()).alarms
    assert (await client.maintenance.hash_kv()).hash
    await client.maintenance.defragment()
    assert sum([len(piece) async for piece in client.maintenance.snapshot()]) > 4096


async def users(client: Any) -> None:
    auth = client.auth
    await auth.user_add("somebody", "secret")
    await auth.role_add("readers")
    await auth.user_grant_role("somebody", "readers")
    assert list((await auth.user_get("somebody")).roles) == ["readers"]
    await auth.user_revoke_role("somebody", "readers")
    await auth.user_delete("somebody")
    await auth.role_delete("readers")


async def main(port: str, ca: bytes, *login: str) -> None:
    async with etcd3aio.Etcd3Client([f"127.0.0.1:{port}"], ca_cert=ca) as client:
        if login:
            client.set_token((await client.auth.authenticate(*login)).token)
        for part in (keys, transactions, leases, watches, locks, members, users):
            await part(client)
            print(part.__name__, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes(), *sys.argv[3:]))
