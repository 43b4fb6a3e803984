"""Authentication over the wire: what every RPC asks for, tokens and certificates, and that logins disturb nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import jwt
import logins
import members
import pytest
import pytest_asyncio
from certificates import Authority
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from google.protobuf.message import Message
from logins import Permission
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from raftsman.kv import v1 as batched
from raftsman.kv.v1 import batch_pb2_grpc

Code = grpc.StatusCode
Put, Range, Delete, Txn = rpc_pb2.PutRequest, rpc_pb2.RangeRequest, rpc_pb2.DeleteRangeRequest, rpc_pb2.TxnRequest
OP = rpc_pb2.RequestOp
ALLOWED = (
    Permission(permType=Permission.READWRITE, key=b"mine"),
    Permission(permType=Permission.WRITE, key=b"letterbox"),
)
FAST = ("--bcrypt-cost", "4")
HELD = 77


@dataclass
class Setup:
    store: members.Store
    channel: grpc.aio.Channel
    root: logins.Metadata
    user: logins.Metadata


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[members.Store]:
    with members.lone(tmp_path_factory.mktemp("guarded"), *FAST) as store:
        yield store


@pytest_asyncio.fixture
async def setup(guarded: members.Store) -> AsyncIterator[Setup]:
    """A store with users; root's lease HELD holds a key that is not the user's."""
    async with logins.connected_any(guarded) as channel:
        status = await rpc_pb2_grpc.AuthStub(channel).AuthStatus(rpc_pb2.AuthStatusRequest())
        if not status.enabled:
            await rpc_pb2_grpc.LeaseStub(channel).LeaseGrant(rpc_pb2.LeaseGrantRequest(ID=HELD, TTL=600))
            await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"theirs", lease=HELD))
            await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"letterbox", value=b"letter"))
            await logins.prepare(channel, *ALLOWED)
        root = await logins.login(channel, "root", logins.ROOT_PASSWORD)
        user = await logins.login(channel, "user", logins.USER_PASSWORD)
        yield Setup(guarded, channel, root, user)


# What a call needs: nothing, a user, a permission for its keys, the role root.
PUBLIC, USER, KEYS, ADMIN = range(4)
AllPermissions = Permission(permType=Permission.READWRITE, key=b"\0", range_end=b"\0")
CALLS: list[tuple[str, Message, int]] = [
    ("KV.Range", Range(key=b"theirs"), KEYS),
    ("KV.Range", Range(key=b"theirs", serializable=True), KEYS),
    ("KV.Range", Range(key=b"mine", range_end=b"\0"), KEYS),
    ("KV.Range", Range(key=b"letterbox"), KEYS),
    ("KV.Put", Put(key=b"theirs"), KEYS),
    ("KV.Put", Put(key=b"letterbox", prev_kv=True), KEYS),
    ("KV.Put", Put(key=b"mine", lease=HELD), KEYS),
    ("KV.DeleteRange", Delete(key=b"theirs"), KEYS),
    ("KV.DeleteRange", Delete(key=b"mine", range_end=b"\0"), KEYS),
    ("KV.Txn", Txn(compare=[rpc_pb2.Compare(key=b"theirs")]), KEYS),
    ("KV.Txn", Txn(success=[OP(request_put=Put(key=b"theirs"))]), KEYS),
    ("KV.Txn", Txn(failure=[OP(request_range=Range(key=b"theirs"))]), KEYS),
    ("KV.Txn", Txn(success=[OP(request_txn=Txn(success=[OP(request_range=Range(key=b"theirs"))]))]), KEYS),
    ("KV.Txn", Txn(success=[OP(request_put=Put(key=b"letterbox", prev_kv=True))]), KEYS),
    ("KV.Txn", Txn(), USER),
    ("KV.Compact", rpc_pb2.CompactionRequest(revision=1), ADMIN),
    ("Watch.Watch", rpc_pb2.WatchRequest(create_request=rpc_pb2.WatchCreateRequest(key=b"theirs")), KEYS),
    (
        "Watch.Watch",
        rpc_pb2.WatchRequest(create_request=rpc_pb2.WatchCreateRequest(key=b"mine", range_end=b"\0")),
        KEYS,
    ),
    ("Lease.LeaseGrant", rpc_pb2.LeaseGrantRequest(TTL=60), USER),
    ("Lease.LeaseRevoke", rpc_pb2.LeaseRevokeRequest(ID=1), USER),
    ("Lease.LeaseRevoke", rpc_pb2.LeaseRevokeRequest(ID=HELD), KEYS),
    ("Lease.LeaseKeepAlive", rpc_pb2.LeaseKeepAliveRequest(ID=HELD), KEYS),
    ("Lease.LeaseKeepAlive", rpc_pb2.LeaseKeepAliveRequest(ID=1), USER),
    ("Lease.LeaseTimeToLive", rpc_pb2.LeaseTimeToLiveRequest(ID=HELD), USER),
    ("Lease.LeaseTimeToLive", rpc_pb2.LeaseTimeToLiveRequest(ID=HELD, keys=True), KEYS),
    ("Lease.LeaseLeases", rpc_pb2.LeaseLeasesRequest(), KEYS),
    ("Cluster.MemberAdd", rpc_pb2.MemberAddRequest(peerURLs=["http://127.0.0.1:1"]), ADMIN),
    ("Cluster.MemberRemove", rpc_pb2.MemberRemoveRequest(ID=1), ADMIN),
    ("Cluster.MemberUpdate", rpc_pb2.MemberUpdateRequest(ID=1), ADMIN),
    ("Cluster.MemberPromote", rpc_pb2.MemberPromoteRequest(ID=1), ADMIN),
    ("Cluster.MemberList", rpc_pb2.MemberListRequest(), USER),
    ("Maintenance.Alarm", rpc_pb2.AlarmRequest(), USER),
    (
        "Maintenance.Alarm",
        rpc_pb2.AlarmRequest(action=rpc_pb2.AlarmRequest.DEACTIVATE, alarm=rpc_pb2.NOSPACE),
        ADMIN,
    ),
    ("Maintenance.Status", rpc_pb2.StatusRequest(), USER),
    ("Maintenance.Defragment", rpc_pb2.DefragmentRequest(), ADMIN),
    ("Maintenance.Hash", rpc_pb2.HashRequest(), ADMIN),
    ("Maintenance.HashKV", rpc_pb2.HashKVRequest(), ADMIN),
    ("Maintenance.Snapshot", rpc_pb2.SnapshotRequest(), ADMIN),
    ("Maintenance.MoveLeader", rpc_pb2.MoveLeaderRequest(targetID=1), ADMIN),
    ("Maintenance.Downgrade", rpc_pb2.DowngradeRequest(), ADMIN),
    ("Auth.AuthEnable", rpc_pb2.AuthEnableRequest(), ADMIN),
    ("Auth.AuthDisable", rpc_pb2.AuthDisableRequest(), ADMIN),
    ("Auth.AuthStatus", rpc_pb2.AuthStatusRequest(), PUBLIC),
    ("Auth.Authenticate", rpc_pb2.AuthenticateRequest(name="user", password=logins.USER_PASSWORD), PUBLIC),
    ("Auth.UserAdd", rpc_pb2.AuthUserAddRequest(name="intruder", password="x"), ADMIN),
    ("Auth.UserGet", rpc_pb2.AuthUserGetRequest(name="root"), ADMIN),
    ("Auth.UserGet", rpc_pb2.AuthUserGetRequest(name="user"), USER),
    ("Auth.UserList", rpc_pb2.AuthUserListRequest(), ADMIN),
    ("Auth.UserDelete", rpc_pb2.AuthUserDeleteRequest(name="user"), ADMIN),
    ("Auth.UserChangePassword", rpc_pb2.AuthUserChangePasswordRequest(name="root", password="owned"), ADMIN),
    ("Auth.UserGrantRole", rpc_pb2.AuthUserGrantRoleRequest(user="user", role="root"), ADMIN),
    ("Auth.UserRevokeRole", rpc_pb2.AuthUserRevokeRoleRequest(name="user", role="role"), ADMIN),
    ("Auth.RoleAdd", rpc_pb2.AuthRoleAddRequest(name="intruders"), ADMIN),
    ("Auth.RoleGet", rpc_pb2.AuthRoleGetRequest(role="root"), ADMIN),
    ("Auth.RoleGet", rpc_pb2.AuthRoleGetRequest(role="role"), USER),
    ("Auth.RoleList", rpc_pb2.AuthRoleListRequest(), ADMIN),
    ("Auth.RoleDelete", rpc_pb2.AuthRoleDeleteRequest(role="role"), ADMIN),
    ("Auth.RoleGrantPermission", rpc_pb2.AuthRoleGrantPermissionRequest(name="role", perm=AllPermissions), ADMIN),
    ("Auth.RoleRevokePermission", rpc_pb2.AuthRoleRevokePermissionRequest(role="role", key=b"mine"), ADMIN),
]
REFUSALS = ("permission denied", "user name is empty", "invalid auth token")


def test_every_rpc_says_what_it_needs() -> None:
    services = rpc_pb2.DESCRIPTOR.services_by_name.values()
    every = {f"{service.name}.{method.name}" for service in services for method in service.methods}
    assert every == {name for name, _, _ in CALLS}


async def answer(channel: grpc.aio.Channel, name: str, request: Message, metadata: logins.Metadata) -> str:
    """What was answered: the status' text, or why a watch was cancelled; "" when the call was let in."""
    service, method = name.split(".")
    described = rpc_pb2.DESCRIPTOR.services_by_name[service].methods_by_name[method]
    call = getattr(getattr(rpc_pb2_grpc, f"{service}Stub")(channel), method)
    try:
        if described.client_streaming:
            stream = call(metadata=metadata, timeout=10)
            await stream.write(request)
            return str(getattr(await stream.read(), "cancel_reason", ""))
        if described.server_streaming:
            async for _ in call(request, metadata=metadata, timeout=10):
                break
        else:
            await call(request, metadata=metadata, timeout=10)
    except grpc.aio.AioRpcError as error:
        return error.details() or ""
    return ""


@pytest.mark.parametrize(("name", "request_", "level"), CALLS, ids=lambda each: each if isinstance(each, str) else "")
async def test_nobody_gets_in_without_what_a_call_needs(setup: Setup, name: str, request_: Message, level: int) -> None:
    for metadata, reaches in (((), PUBLIC), ((("token", "made-up.1"),), PUBLIC), (setup.user, USER)):
        told = await answer(setup.channel, name, request_, metadata)
        refused = any(text in told for text in REFUSALS)
        assert refused == (level > reaches), (metadata, told)


async def test_a_user_does_what_his_roles_allow(setup: Setup) -> None:
    kv = rpc_pb2_grpc.KVStub(setup.channel)
    await kv.Put(Put(key=b"mine", value=b"1"), metadata=setup.user)
    assert (await kv.Range(Range(key=b"mine"), metadata=setup.user)).kvs[0].value == b"1"
    assert (await kv.Range(Range(key=b"mine"), metadata=(("authorization", setup.user[0][1]),))).count == 1
    assert (await kv.Range(Range(key=b"\0", range_end=b"\0"), metadata=setup.root)).count == 3
    watch = rpc_pb2_grpc.WatchStub(setup.channel).Watch(metadata=setup.user)
    await watch.write(rpc_pb2.WatchRequest(create_request=rpc_pb2.WatchCreateRequest(key=b"mine")))
    assert not (await watch.read()).canceled
    await kv.Put(Put(key=b"mine", value=b"2"), metadata=setup.user)
    assert (await watch.read()).events[0].kv.value == b"2"
    watch.cancel()


async def test_a_refused_watch_leaves_the_others_of_its_stream(setup: Setup) -> None:
    watch = rpc_pb2_grpc.WatchStub(setup.channel).Watch(metadata=setup.user)
    for key in (b"theirs", b"mine"):
        await watch.write(rpc_pb2.WatchRequest(create_request=rpc_pb2.WatchCreateRequest(key=key)))
    refused, created = await watch.read(), await watch.read()
    assert (refused.watch_id, refused.created, refused.canceled) == (-1, True, True)
    assert refused.cancel_reason == "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
    assert created.created
    assert not created.canceled
    watch.cancel()


async def test_a_changed_password_ends_the_tokens_of_the_old_one(setup: Setup) -> None:
    auth, kv = rpc_pb2_grpc.AuthStub(setup.channel), rpc_pb2_grpc.KVStub(setup.channel)
    change = rpc_pb2.AuthUserChangePasswordRequest(name="user", password=logins.USER_PASSWORD)
    await auth.UserChangePassword(change, metadata=setup.root)
    with pytest.raises(grpc.aio.AioRpcError, match="invalid auth token") as caught:
        await kv.Range(Range(key=b"mine"), metadata=setup.user)
    assert caught.value.code() is Code.UNAUTHENTICATED


async def test_a_flood_of_logins_is_refused_and_nobody_else_notices(setup: Setup) -> None:
    auth, kv = rpc_pb2_grpc.AuthStub(setup.channel), rpc_pb2_grpc.KVStub(setup.channel)

    async def attempt() -> str:
        try:
            await auth.Authenticate(rpc_pb2.AuthenticateRequest(name="user", password="wrong"), timeout=20)
        except grpc.aio.AioRpcError as error:
            return error.details() or ""
        return ""

    flood = asyncio.gather(*(attempt() for _ in range(300)))
    for number in range(20):
        await kv.Put(Put(key=b"mine", value=b"%d" % number), metadata=setup.user, timeout=5)
    told = set(await flood)
    assert "etcdserver: authentication failed, invalid user ID or password" in told
    assert "" not in told


async def test_no_password_and_no_token_is_in_a_log_or_on_disk(setup: Setup) -> None:
    prefix = setup.root[0][1].partition(".")[0].encode()
    secrets = (logins.ROOT_PASSWORD.encode(), logins.USER_PASSWORD.encode(), prefix)
    for path in setup.store.folder.rglob("*"):
        held = path.read_bytes() if path.is_file() else b""
        assert not any(secret in held for secret in secrets), path


# -- restarts


async def test_users_tokens_and_permissions_outlive_the_process(tmp_path: Path) -> None:
    with members.lone(tmp_path, *FAST, "--snapshot-count", "5") as store:
        async with logins.connected(store) as channel:
            await logins.prepare(channel, *ALLOWED)
            user = await logins.login(channel, "user", logins.USER_PASSWORD)
            for _ in range(10):
                await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"mine"), metadata=user)
        store.kill()
        store.start()
        async with store.channel() as channel:
            kv = rpc_pb2_grpc.KVStub(channel)
            found = await kv.Range(Range(key=b"mine"), metadata=user, wait_for_ready=True, timeout=10)
            assert found.kvs[0].version == 10
            with pytest.raises(grpc.aio.AioRpcError, match="permission denied"):
                await kv.Range(Range(key=b"theirs"), metadata=user)


async def test_a_lease_of_a_user_still_runs_out(tmp_path: Path) -> None:
    """What the store does by itself needs nobody's permission."""
    with members.lone(tmp_path, *FAST) as store:
        async with logins.connected(store) as channel:
            await logins.prepare(channel, *ALLOWED)
            user = await logins.login(channel, "user", logins.USER_PASSWORD)
            lease = await rpc_pb2_grpc.LeaseStub(channel).LeaseGrant(rpc_pb2.LeaseGrantRequest(TTL=1), metadata=user)
            kv = rpc_pb2_grpc.KVStub(channel)
            await kv.Put(Put(key=b"mine", lease=lease.ID), metadata=user)
            async with asyncio.timeout(10):
                while (await kv.Range(Range(key=b"mine"), metadata=user)).count:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)


async def test_an_unused_token_runs_out(tmp_path: Path) -> None:
    with members.lone(tmp_path, *FAST, "--auth-token-ttl", "1") as store:
        async with logins.connected(store) as channel:
            await logins.prepare(channel, *ALLOWED)
            user = await logins.login(channel, "user", logins.USER_PASSWORD)
            kv = rpc_pb2_grpc.KVStub(channel)
            for _ in range(5):
                await kv.Range(Range(key=b"mine"), metadata=user)
                await asyncio.sleep(0.4)
            await asyncio.sleep(1.2)
            with pytest.raises(grpc.aio.AioRpcError, match="invalid auth token"):
                await kv.Range(Range(key=b"mine"), metadata=user)


# -- signed tokens


def keys_for(method: str, folder: Path) -> list[str]:
    """Key files for a method; the flag's options that name them."""
    if method.startswith("HS"):
        (folder / "key").write_bytes(b"0123456789abcdef" * 4)
        return [f"priv-key={folder / 'key'}"]
    made: Any = {
        "RS256": lambda: rsa.generate_private_key(65537, 2048),
        "PS384": lambda: rsa.generate_private_key(65537, 2048),
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
    }[method]()
    pem = serialization.Encoding.PEM
    (folder / "key").write_bytes(
        made.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "pub").write_bytes(made.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return [f"priv-key={folder / 'key'}", f"pub-key={folder / 'pub'}"]


@pytest.mark.parametrize("method", ["HS256", "RS256", "PS384", "ES256", "EdDSA"])
async def test_a_signed_token_says_who_comes(tmp_path: Path, method: str) -> None:
    spec = ",".join(["jwt", f"sign-method={method}", "ttl=1m", *keys_for(method, tmp_path)])
    with members.lone(tmp_path / "store", *FAST, "--auth-token", spec) as store:
        async with logins.connected(store) as channel:
            kv = rpc_pb2_grpc.KVStub(channel)
            await logins.prepare(channel, *ALLOWED)
            user = await logins.login(channel, "user", logins.USER_PASSWORD)
            await kv.Put(Put(key=b"mine"), metadata=user)
            claims = jwt.decode(user[0][1], options={"verify_signature": False})
            assert claims["username"] == "user"
            key = (tmp_path / "key").read_text()
            forged = {
                "late": jwt.encode({**claims, "exp": int(time.time()) - 5}, key, method),
                "unsigned": jwt.encode(claims, None, "none"),
                "otherwise signed": jwt.encode(claims, "another key" * 8, "HS256"),
                "nameless": jwt.encode({"revision": claims["revision"]}, key, method),
                "garbage": "a.b.c",
            }
            for why, token in forged.items():
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await kv.Range(Range(key=b"mine"), metadata=(("token", token),))
                assert caught.value.code() is Code.UNAUTHENTICATED, why
            root = await logins.login(channel, "root", logins.ROOT_PASSWORD)
            await rpc_pb2_grpc.AuthStub(channel).RoleAdd(rpc_pb2.AuthRoleAddRequest(name="more"), metadata=root)
            for call in (kv.Put(Put(key=b"mine"), metadata=user), kv.Range(Range(key=b"mine"), metadata=user)):
                with pytest.raises(grpc.aio.AioRpcError, match="revision of auth store is old"):
                    await call


# -- certificates


async def test_the_name_in_a_certificate_is_a_user(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    cert, key = authority.issue("server", ip="127.0.0.1")
    port, peer, metrics = members.free_ports(3)
    flags = ["--listen-client-urls", f"https://127.0.0.1:{port}", "--listen-peer-urls", f"http://127.0.0.1:{peer}"]
    flags += ["--cert-file", str(cert), "--key-file", str(key), "--trusted-ca-file", str(authority.path)]
    store = members.Store(tmp_path / "store", port, metrics, [*flags, "--client-cert-auth", *FAST])
    store.start()

    def channel(name: str) -> grpc.aio.Channel:
        files = authority.issue(name, ip="127.0.0.1")
        credentials = grpc.ssl_channel_credentials(
            authority.path.read_bytes(), private_key=files[1].read_bytes(), certificate_chain=files[0].read_bytes()
        )
        return grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials)

    try:
        async with channel("root") as roots, channel("user") as users, channel("stranger") as strangers:
            kv = rpc_pb2_grpc.KVStub(users)
            await kv.Put(Put(key=b"mine"), wait_for_ready=True, timeout=20)
            await logins.prepare(roots, *ALLOWED)
            await kv.Put(Put(key=b"mine"))
            await rpc_pb2_grpc.KVStub(roots).Put(Put(key=b"theirs"))
            told = {
                "permission denied": kv.Put(Put(key=b"theirs")),
                "user name is empty": kv.Put(Put(key=b"mine"), metadata=(("grpcgateway-accept", "x"),)),
                "invalid auth token": kv.Put(Put(key=b"mine"), metadata=(("token", "made-up.1"),)),
            }
            for text, call in told.items():
                with pytest.raises(grpc.aio.AioRpcError, match=text):
                    await call
            with pytest.raises(grpc.aio.AioRpcError, match="permission denied"):
                await rpc_pb2_grpc.KVStub(strangers).Put(Put(key=b"mine"))
            token = await logins.login(users, "root", logins.ROOT_PASSWORD)
            assert (await kv.Range(Range(key=b"theirs"), metadata=token)).count == 1
    finally:
        store.kill()


# -- the batching stream


async def operate(
    setup: Setup, metadata: logins.Metadata, *operations: tuple[batched.OperationKind, Message]
) -> dict[int, tuple[int, str]]:
    """Code and text of each operation by its number, which begins at 1."""
    call = batch_pb2_grpc.BatchStub(setup.channel).Operate(metadata=metadata)
    numbered = [
        batched.Operation(number=number, kind=kind, request=request.SerializeToString())
        for number, (kind, request) in enumerate(operations, 1)
    ]
    await call.write(batched.OperateRequest(operations=numbered))
    told: dict[int, tuple[int, str]] = {}
    async with asyncio.timeout(10):
        while len(told) < len(operations):
            told.update({answer.number: (answer.code, answer.text) for answer in (await call.read()).answers})
    call.cancel()
    return told


async def test_the_batching_stream_asks_for_every_operation(setup: Setup) -> None:
    put, get = batched.OPERATION_KIND_PUT, batched.OPERATION_KIND_RANGE
    operations = (
        (put, Put(key=b"mine")),
        (put, Put(key=b"theirs")),
        (get, Range(key=b"mine")),
        (get, Range(key=b"theirs", serializable=True)),
        (batched.OPERATION_KIND_TXN, Txn(compare=[rpc_pb2.Compare(key=b"theirs")])),
        (batched.OPERATION_KIND_TXN, Txn(success=[OP(request_put=Put(key=b"theirs"))])),
        (batched.OPERATION_KIND_COMPACT, rpc_pb2.CompactionRequest(revision=2)),
    )
    told = await operate(setup, setup.user, *operations)
    denied = (Code.PERMISSION_DENIED.value[0], "etcdserver: permission denied")
    assert [told[number] for number in range(1, 8)] == [(0, ""), denied, (0, ""), denied, denied, denied, denied]
    for metadata, text in (((), "user name is empty"), ((("token", "made-up.1"),), "invalid auth token")):
        told = await operate(setup, metadata, *operations)
        assert {text for _, text in told.values()} == {f"etcdserver: {text}"}
    told = await operate(setup, setup.root, *operations[:6])
    assert {code for code, _ in told.values()} == {0}


async def test_nobody_opens_a_session(setup: Setup) -> None:
    call = batch_pb2_grpc.BatchStub(setup.channel).Operate()
    await call.write(batched.OperateRequest(open_session=True))
    with pytest.raises(grpc.aio.AioRpcError, match="user name is empty"):
        async for _ in call:
            pass
