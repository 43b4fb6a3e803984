"""NOSPACE over the wire and through etcdctl: raised at the quota, disarmed when there is room again."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import grpc.aio
import members
import pytest
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc

Put, Delete, Range = rpc_pb2.PutRequest, rpc_pb2.DeleteRangeRequest, rpc_pb2.RangeRequest
Code = grpc.StatusCode
QUOTA = 400_000


async def refused(call: grpc.aio.UnaryUnaryCall[object, object], code: grpc.StatusCode, text: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert (caught.value.code(), caught.value.details()) == (code, text)


async def page(store: members.Store, path: str) -> tuple[int, str]:
    def get() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{store.metrics}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(get)


async def test_at_the_quota_nothing_grows_until_room_was_made_and_the_alarm_disarmed(tmp_path: Path) -> None:
    full = (Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded")
    with members.three(tmp_path, "--quota-backend-bytes", str(QUOTA)) as stores:
        for store in stores:
            await store.ready()
        async with stores[0].channel() as channel, stores[1].channel() as other:
            kv, leases = rpc_pb2_grpc.KVStub(channel), rpc_pb2_grpc.LeaseStub(channel)
            for number in range(3):
                await kv.Put(Put(key=b"k%d" % number, value=bytes(120_000)))
            await refused(kv.Put(Put(key=b"k3", value=bytes(120_000))), *full)
            await raised(stores, 1)
            txn = rpc_pb2.TxnRequest(success=[rpc_pb2.RequestOp(request_put=Put(key=b"small"))])
            for call in (
                kv.Put(Put(key=b"small")),
                rpc_pb2_grpc.KVStub(other).Put(Put(key=b"small")),
                kv.Txn(txn),
                leases.LeaseGrant(rpc_pb2.LeaseGrantRequest(TTL=60)),
            ):
                await refused(call, *full)
            assert (await kv.Range(Range(key=b"k", range_end=b"l", count_only=True))).count == 3
            status = await stores[2].status()
            assert [error.split()[1] for error in status.errors] == ["alarm:NOSPACE"]
            assert status.dbSize > 360_000
            assert (await page(stores[1], "/health")) == (503, '{"health":"false","reason":"ALARM NOSPACE"}\n')
            assert (await page(stores[1], "/health?exclude=NOSPACE"))[0] == 200
            deleted = await kv.DeleteRange(Delete(key=b"k", range_end=b"l"))
            await kv.Compact(rpc_pb2.CompactionRequest(revision=deleted.header.revision))
            await rpc_pb2_grpc.MaintenanceStub(channel).Defragment(rpc_pb2.DefragmentRequest())
            await refused(kv.Put(Put(key=b"small")), *full)
            await disarm(channel)
            await kv.Put(Put(key=b"k3", value=bytes(120_000)))
        await raised(stores, 0)
        assert json.loads((await page(stores[1], "/health"))[1]) == {"health": "true", "reason": ""}


async def raised(stores: list[members.Store], count: int) -> None:
    """Every member lists so many alarms."""
    for store in stores:
        async with store.channel() as channel, asyncio.timeout(10):
            alarm = rpc_pb2_grpc.MaintenanceStub(channel).Alarm
            while len((await alarm(rpc_pb2.AlarmRequest())).alarms) != count:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def disarm(channel: grpc.aio.Channel) -> None:
    alarm = rpc_pb2_grpc.MaintenanceStub(channel).Alarm
    for each in (await alarm(rpc_pb2.AlarmRequest())).alarms:
        request = rpc_pb2.AlarmRequest(action=rpc_pb2.AlarmRequest.DEACTIVATE, memberID=each.memberID, alarm=each.alarm)
        assert list((await alarm(request)).alarms) == [each]
        assert list((await alarm(request)).alarms) == []


async def test_a_corrupt_cluster_says_so_and_serves_nothing_until_disarmed(tmp_path: Path) -> None:
    corrupt = (Code.DATA_LOSS, "etcdserver: corrupt cluster")
    with members.lone(tmp_path) as store:
        await store.ready()
        async with store.channel() as channel:
            kv, alarm = rpc_pb2_grpc.KVStub(channel), rpc_pb2_grpc.MaintenanceStub(channel).Alarm
            await kv.Put(Put(key=b"a"))
            await alarm(rpc_pb2.AlarmRequest(action=rpc_pb2.AlarmRequest.ACTIVATE, memberID=9, alarm=rpc_pb2.CORRUPT))
            reading = rpc_pb2.TxnRequest(success=[rpc_pb2.RequestOp(request_range=Range(key=b"a"))])
            for call in (
                kv.Put(Put(key=b"a")),
                kv.DeleteRange(Delete(key=b"a")),
                kv.Range(Range(key=b"a")),
                kv.Range(Range(key=b"a", serializable=True)),
                kv.Txn(reading),
                kv.Compact(rpc_pb2.CompactionRequest(revision=2)),
            ):
                await refused(call, *corrupt)
            assert (await page(store, "/health"))[1] == '{"health":"false","reason":"ALARM CORRUPT"}\n'
            await disarm(channel)
            assert (await kv.Range(Range(key=b"a"))).count == 1


async def test_alarms_survive_a_restart(tmp_path: Path) -> None:
    with members.lone(tmp_path) as store:
        await store.ready()
        for action in ("raise", "restart", "list"):
            if action == "restart":
                store.kill()
                store.start()
                await store.ready()
                continue
            async with store.channel() as channel:
                request = rpc_pb2.AlarmRequest(alarm=rpc_pb2.NOSPACE, memberID=5)
                if action == "raise":
                    request.action = rpc_pb2.AlarmRequest.ACTIVATE
                answer = await rpc_pb2_grpc.MaintenanceStub(channel).Alarm(request)
                assert [(each.memberID, each.alarm) for each in answer.alarms] == [(5, rpc_pb2.NOSPACE)]


async def test_only_alarms_that_mean_something_can_be_raised(channel: grpc.aio.Channel) -> None:
    alarm = rpc_pb2_grpc.MaintenanceStub(channel).Alarm
    for action, kind in ((rpc_pb2.AlarmRequest.ACTIVATE, rpc_pb2.NONE), (9, rpc_pb2.NOSPACE)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await alarm(rpc_pb2.AlarmRequest(action=action, alarm=kind))  # type: ignore[arg-type]
        assert caught.value.code() is Code.INVALID_ARGUMENT


@pytest.mark.etcdctl
async def test_etcdctl_lists_and_disarms(tmp_path: Path) -> None:
    with members.lone(tmp_path, "--quota-backend-bytes", "1000") as store:
        await store.ready()

        async def ctl(*arguments: str) -> tuple[int, str]:
            process = await asyncio.create_subprocess_exec(
                *("etcdctl", "--endpoints", store.address, *arguments),
                env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            output, _ = await process.communicate()
            return await process.wait(), output.decode()

        status, text = await ctl("put", "k", "v" * 2000)
        assert status == 1
        assert "database space exceeded" in text
        member = (await store.status()).header.member_id
        for words in (("alarm", "list"), ("alarm", "disarm")):
            assert await ctl(*words) == (0, f"memberID:{member} alarm:NOSPACE \n")
        assert await ctl("alarm", "list") == (0, "")
        assert (await ctl("put", "k", "v"))[0] == 0


async def test_version_is_said_as_etcd_says_it(store: members.Store, channel: grpc.aio.Channel) -> None:
    assert await page(store, "/version") == (200, '{"etcdserver":"3.5.16","etcdcluster":"3.5.0"}')
    assert await page(store, "/health?serializable=true") == (200, '{"health":"true","reason":""}')
    assert (await page(store, "/nothing"))[0] == 404


async def test_metrics_have_etcds_names_and_types(store: members.Store, channel: grpc.aio.Channel) -> None:
    kv, leases = rpc_pb2_grpc.KVStub(channel), rpc_pb2_grpc.LeaseStub(channel)
    await kv.Put(Put(key=b"measured"))
    lease = (await leases.LeaseGrant(rpc_pb2.LeaseGrantRequest(TTL=60))).ID
    await leases.LeaseRevoke(rpc_pb2.LeaseRevokeRequest(ID=lease))
    with pytest.raises(grpc.aio.AioRpcError):
        await kv.Put(Put())
    async with asyncio.timeout(20):
        while "etcd_server_has_leader" not in (text := (await page(store, "/metrics"))[1]):  # noqa: ASYNC110
            await asyncio.sleep(0.5)
    types = dict(line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE"))
    values = {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in text.splitlines() if "#" not in line)
    }
    for name, kind in (
        ("etcd_server_is_leader", "gauge"),
        ("etcd_server_leader_changes_seen_total", "counter"),
        ("etcd_server_proposals_applied_total", "gauge"),
        ("etcd_server_proposals_committed_total", "gauge"),
        ("etcd_server_proposals_failed_total", "counter"),
        ("etcd_server_slow_apply_total", "counter"),
        ("etcd_disk_wal_fsync_duration_seconds", "histogram"),
        ("etcd_debugging_snap_save_total_duration_seconds", "histogram"),
        ("etcd_network_peer_sent_bytes_total", "counter"),
        ("etcd_network_peer_received_bytes_total", "counter"),
        ("etcd_mvcc_db_total_size_in_bytes", "gauge"),
        ("grpc_server_handled_total", "counter"),
        ("process_resident_memory_bytes", "gauge"),
    ):
        assert types.get(name) == kind, name
    for name, least in (
        ("etcd_server_has_leader", 1),
        ("etcd_server_leader_changes_seen_total", 1),
        ("etcd_server_quota_backend_bytes", 2 << 30),
        ('etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"}', 3),
        ("etcd_disk_wal_fsync_duration_seconds_count", 3),
        ("etcd_debugging_lease_granted_total", 1),
        ("etcd_debugging_lease_revoked_total", 1),
        ('etcd_server_version{server_version="3.5.16"}', 1),
        (handled("OK"), 1),
        (handled("InvalidArgument"), 1),
    ):
        assert values[name] >= least, name


def handled(code: str) -> str:
    labels = f'grpc_code="{code}",grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"'
    return f"grpc_server_handled_total{{{labels}}}"


async def test_without_a_leader_a_member_is_not_healthy_but_alive(tmp_path: Path) -> None:
    with members.three(tmp_path) as stores:
        for store in stores:
            await store.ready()
        leader = await members.leader_of(stores)
        left = next(store for store in stores if store is not leader)
        for store in stores:
            if store is not left:
                store.kill()
        async with asyncio.timeout(15):
            while (await page(left, "/health"))[1] != '{"health":"false","reason":"RAFT NO LEADER"}\n':  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        assert await page(left, "/health?serializable=true") == (200, '{"health":"true","reason":""}')
        assert (await page(left, "/livez"))[0] == 200
        assert "etcdserver: no leader" in (await left.status()).errors
