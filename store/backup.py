"""The state as etcd's backups hold it, in both directions, so that either store restores the other's.

A backup is a bbolt database (store/bolt) and the SHA-256 of its bytes behind it. Its buckets:

    key             revision (8 bytes main, "_", 8 bytes sub, "t" behind a tombstone) -> mvccpb.KeyValue
    lease           id (8 bytes) -> leasepb.Lease
    meta            consistent_index, term (8 bytes), confState (JSON), scheduledCompactRev and finishedCompactRev
    auth            authEnabled (1 byte), authRevision (8 bytes); authUsers, authRoles: name -> authpb message
    alarm           etcdserverpb.AlarmMember -> nothing
    members         id (hex) -> JSON; members_removed: id (hex) -> "removed"; cluster: etcd writes it when it starts

What only this store has (answers kept for retries, tokens) is not in a backup. Read back is what the revision compacted
at shows and everything newer; members are whoever restores.
Memory: `write` keeps a few dozen bytes a record and SPOOL_BYTES of values, `read` holds what it answers with.
"""

from __future__ import annotations

import hashlib
import json
import struct
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec
from google.protobuf.message import DecodeError
from raftsman.etcd import auth_pb2, kv_pb2, lease_pb2, rpc_pb2
from raftsman.store import bolt, errors, mvcc, snapshot
from raftsman.store.mvcc.auth import User
from raftsman.store.mvcc.hash import SEED
from raftsman.store.mvcc.members import Member, Members
from raftsman.store.mvcc.state import FIRST_REVISION

SPOOL_BYTES = 64 << 20
HASH_BYTES = 32
_SECTOR_BYTES = 512
_READ_BYTES = 1 << 20
_REVISION = struct.Struct(">QsQ")
_NUMBER = struct.Struct(">Q")
_SIGNED = struct.Struct(">q")
_TOMBSTONE = b"t"
_PARTS = frozenset({"leases", "alarms", "auth"})
_Item = tuple[bytes, bytes]


class BadBackup(Exception):
    """A file that is no backup, or not a whole one; the sentence names it."""


# -- out


def write(
    file: BinaryIO, head: snapshot.Head, parts: mvcc.State, records: Iterable[mvcc.Record], *, folder: Path
) -> int:
    """Write the database of a backup into an empty file; answers its size. `folder` takes what memory does not."""
    buckets: dict[bytes, Iterable[_Item]] = {
        b"key": _keys(records, folder),
        b"lease": [_lease(lease_id, parts.leases.require(lease_id).ttl_s) for lease_id in parts.leases.ids()],
        b"meta": _meta(head, parts.members),
        b"alarm": sorted(_alarm(kind, member) for kind, member in parts.alarms.raised()),
        b"auth": [
            (b"authEnabled", bytes([parts.auth.enabled])),
            (b"authRevision", _NUMBER.pack(parts.auth.revision)),
        ],
        b"authUsers": [_user(name, user) for name, user in sorted(parts.auth.users.items(), key=_encoded_name)],
        b"authRoles": [_role(name, granted) for name, granted in sorted(parts.auth.roles.items(), key=_encoded_name)],
        b"members": sorted(_member(member) for member in parts.members.all()),
        b"members_removed": sorted((b"%x" % number, b"removed") for number in parts.members.dump().removed),
        b"cluster": [],
    }
    return bolt.write(file, buckets.items())


def _keys(records: Iterable[mvcc.Record], folder: Path) -> Iterator[_Item]:
    """The key bucket: by revision, whatever the order in which the records come."""
    order: list[int] = []
    places = array("Q", [0])
    tombstones = bytearray()
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES, dir=str(folder)) as spool:
        for number, record in enumerate(records):
            value = record.message().SerializeToString() if record.version else _gone(record.key)
            spool.write(value)
            places.append(places[-1] + len(value))
            tombstones.append(record.version == 0)
            order.append(record.mod_revision << 96 | record.sub << 64 | number)
        order.sort()
        for packed in order:
            main, sub, number = packed >> 96, packed >> 64 & 0xFFFFFFFF, packed & 0xFFFFFFFFFFFFFFFF
            spool.seek(places[number])
            value = spool.read(places[number + 1] - places[number])
            yield _REVISION.pack(main, b"_", sub) + _TOMBSTONE * tombstones[number], value


def _gone(key: bytes) -> bytes:
    return kv_pb2.KeyValue(key=key).SerializeToString()


def _lease(lease_id: int, ttl_s: int) -> _Item:
    return _SIGNED.pack(lease_id), lease_pb2.Lease(ID=lease_id, TTL=ttl_s).SerializeToString()


def _meta(head: snapshot.Head, members: Members) -> list[_Item]:
    items = [(b"consistent_index", _NUMBER.pack(head.index)), (b"term", _NUMBER.pack(head.term))]
    if len(members):
        voters, learners = ([member.id for member in some] for some in (members.voters(), members.learners()))
        described = {"voters": voters, "learners": learners, "auto_leave": False}
        items.append((b"confState", json.dumps(described).encode()))
    if head.compacted:
        compacted = _REVISION.pack(head.compacted, b"_", 0)
        items += [(b"finishedCompactRev", compacted), (b"scheduledCompactRev", compacted)]
    return sorted(items)


def _alarm(kind: int, member: int) -> _Item:
    return rpc_pb2.AlarmMember(memberID=member, alarm=kind).SerializeToString(), b""  # type: ignore[arg-type]


def _encoded_name(named: tuple[str, object]) -> bytes:
    return named[0].encode()


def _user(name: str, user: User) -> _Item:
    options = auth_pb2.UserAddOptions(no_password=user.no_password)
    message = auth_pb2.User(name=name.encode(), password=user.password, roles=user.roles, options=options)
    return name.encode(), message.SerializeToString()


def _role(name: str, granted: Iterable[auth_pb2.Permission]) -> _Item:
    return name.encode(), auth_pb2.Role(name=name.encode(), keyPermission=granted).SerializeToString()


def _member(member: Member) -> _Item:
    described: dict[str, object] = {"id": member.id, "peerURLs": member.peer_urls, "name": member.name}
    if member.client_urls:
        described["clientURLs"] = member.client_urls
    if member.learner:
        described["isLearner"] = True
    return b"%x" % member.id, json.dumps(described).encode()


# -- in


def read(path: Path, *, check_hash: bool = True, bump_revisions: int = 0) -> mvcc.State:
    """The state that a backup holds, checked. Raises BadBackup, and OSError.

    `check_hash` off: a database out of a data directory. `bump_revisions`: as many revisions later, compacted there, so
    that no revision is seen twice by a client of the cluster that the backup is of, and every watch of it ends.
    """
    try:
        with bolt.Database(path, trailer=_trailer(path, check_hash=check_hash)) as database:
            return _state(database, bump_revisions)
    except bolt.BoltError as error:
        raise BadBackup(str(error)) from error
    except (DecodeError, UnicodeDecodeError, struct.error, errors.StoreError) as error:
        raise BadBackup(f"{path} is damaged: {error}") from error


class Summary(NamedTuple):
    """What a backup holds: its newest revision, the items of all its buckets, and the bytes of its database."""

    revision: int
    items: int
    size: int


def check(path: Path, *, check_hash: bool = True) -> Summary:
    """Read a backup through, as `read` would, and say what it holds. Raises BadBackup, and OSError."""
    state = read(path, check_hash=check_hash)
    with bolt.Database(path, trailer=_trailer(path, check_hash=False)) as database:
        items = sum(1 for bucket in database.buckets for _ in database.items(bucket))
        return Summary(state.revision, items, database.meta.end * database.meta.page_bytes)


def _trailer(path: Path, *, check_hash: bool) -> int:
    """How many bytes behind the database are its hash, which is compared."""
    size = path.stat().st_size
    hashed = size % _SECTOR_BYTES == HASH_BYTES
    if check_hash:
        if not hashed:
            raise BadBackup(
                f"{path} is no backup, or it is cut off: no hash is behind it "
                "(--skip-hash-check takes a database of a data directory as it is)"
            )
        digest = hashlib.sha256()
        with path.open("rb") as file:
            left = size - HASH_BYTES
            while left and (piece := file.read(min(left, _READ_BYTES))):
                digest.update(piece)
                left -= len(piece)
            if file.read() != digest.digest():
                raise BadBackup(f"{path} is damaged: it is not what its hash was made of")
    return HASH_BYTES if hashed else 0


def _state(database: bolt.Database, bump_revisions: int) -> mvcc.State:
    meta = dict(database.items(b"meta"))
    compacted = max(_revision(database, meta.get(name)) for name in (b"scheduledCompactRev", b"finishedCompactRev"))
    floor = max(compacted, FIRST_REVISION)
    newest, above, by_key = _by_key(database, floor)
    revision = max(newest, floor)
    if revision - floor != above:
        raise BadBackup(
            f"{database.path} lacks {revision - floor - above} of the revisions between {floor} and {revision}"
        )
    if bump_revisions:
        revision = compacted = revision + bump_revisions
    parts = _parts(database)
    records: list[mvcc.Record] = []
    for _, history in sorted(by_key.items()):
        *older, newest_one = history
        records += _kept([*older, _leased(newest_one, parts)], compacted)
    dumped = {name: part.dump() for name, part in parts.parts.items() if name in _PARTS}
    state = mvcc.State.restored(revision=revision, compacted=compacted, parts=dumped, records=records)
    state.hash.load(SEED)
    for record in records:
        state.hash.add(record)
    return state


def _revision(database: bolt.Database, value: bytes | None) -> int:
    if value is None:
        return 0
    if len(value) != _REVISION.size:
        raise BadBackup(f"{database.path} is damaged: {value.hex()} is no revision")
    main: int = _REVISION.unpack(value)[0]
    return main


def _by_key(database: bolt.Database, floor: int) -> tuple[int, int, dict[bytes, list[mvcc.Record]]]:
    """The newest revision, how many there are above `floor`, and every key's records."""
    by_key: dict[bytes, list[mvcc.Record]] = {}
    newest = above = 0
    for key, value in database.items(b"key"):
        record = _record(database, key, value)
        above += record.mod_revision > max(newest, floor)
        newest = record.mod_revision
        if record.key:  # what etcdutl leaves to push the revision has none
            by_key.setdefault(record.key, []).append(record)
    return newest, above, by_key


def _record(database: bolt.Database, key: bytes, value: bytes) -> mvcc.Record:
    gone = key[_REVISION.size :] == _TOMBSTONE
    if len(key) != _REVISION.size + gone:
        raise BadBackup(f"{database.path} is damaged: {key.hex()} is no revision")
    main, _, sub = _REVISION.unpack_from(key)
    kv = kv_pb2.KeyValue.FromString(value)
    if gone or not kv.key:
        return mvcc.Record(kv.key, b"", 0, main, sub, 0, 0)
    if kv.mod_revision != main or not 0 < kv.create_revision <= main or kv.version < 1:
        raise BadBackup(f"{database.path} is damaged: at revision {main} stands a key of revision {kv.mod_revision}")
    return mvcc.Record(kv.key, kv.value, kv.create_revision, main, sub, kv.version, kv.lease)


def _kept(history: list[mvcc.Record], compacted: int) -> list[mvcc.Record]:
    """What compaction leaves of a key; etcd may have stopped before it was through."""
    old = sum(record.mod_revision <= compacted for record in history)
    if old and (history[old - 1].version or history[old - 1].mod_revision == compacted):
        old -= 1
    return history[old:]


def _leased(record: mvcc.Record, parts: mvcc.State) -> mvcc.Record:
    """A key whose lease is gone stays for ever, as in etcd."""
    if not record.lease or parts.leases.get(record.lease):
        return record
    return msgspec.structs.replace(record, lease=0)


def _parts(database: bolt.Database) -> mvcc.State:
    state = mvcc.State()
    for _, value in database.items(b"lease"):
        lease = lease_pb2.Lease.FromString(value)
        state.leases.grant(lease.ID, lease.TTL)
    for key, _ in database.items(b"alarm"):
        alarm = rpc_pb2.AlarmMember.FromString(key)
        if alarm.alarm not in (rpc_pb2.NOSPACE, rpc_pb2.CORRUPT):
            raise BadBackup(f"{database.path} holds an alarm of kind {alarm.alarm}, which this program does not know")
        state.alarms.activate(alarm.alarm, alarm.memberID)
    _load_auth(database, state)
    return state


def _load_auth(database: bolt.Database, state: mvcc.State) -> None:
    settings = dict(database.items(b"auth"))
    auth = state.auth
    for _, value in database.items(b"authUsers"):
        user = auth_pb2.User.FromString(value)
        auth.users[user.name.decode()] = User(user.password, user.options.no_password, sorted(user.roles))
    for _, value in database.items(b"authRoles"):
        role = auth_pb2.Role.FromString(value)
        auth.roles[role.name.decode()] = list(role.keyPermission)
    auth.enabled = settings.get(b"authEnabled") == b"\1"
    auth.revision = max(1, _NUMBER.unpack(settings.get(b"authRevision", bytes(8)))[0])
