"""`python -m raftsman.store snapshot save|status FILE`: a backup of a running store, and what a backup holds.

`save` writes aside, checks that nothing is missing, syncs and renames: FILE is a whole backup or not there. It asks one
endpoint, ours or etcd's. `status` reads the whole file; `-w json` for programs. Exit code 1 and a sentence when the
store, the backup or the disk is at fault, 2 when the flags are.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from raftsman.store import backup
from raftsman.store.snapshot import place
from raftsman.store.wal.disk import REAL

CALL_S = 10.0
IDLE_S = 600.0
"""How long a backup may take altogether."""


def main(arguments: Sequence[str]) -> int:
    given = _parser().parse_args(arguments)
    try:
        return int(given.run(given))
    except grpc.RpcError as error:
        sys.stderr.write(f"error: {given.endpoints}: {error.details()}\n")
    except (backup.BadBackup, OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="raftsman store snapshot", description=__doc__, allow_abbrev=False)
    kinds = parser.add_subparsers(required=True, metavar="save|status")
    save = kinds.add_parser("save", allow_abbrev=False, help="write a backup of a running store")
    save.set_defaults(run=_save)
    add = save.add_argument
    add("file", type=Path, metavar="FILE", help="made anew")
    add("--endpoints", default="127.0.0.1:2379", help="one: a backup is of one member's state")
    add("--cacert", type=Path, help="who signed the store's certificate; with it the connection is TLS")
    add("--cert", type=Path, help="this client's certificate")
    add("--key", type=Path, help="and its key")
    add("--user", default="", help="whose password --password-file holds")
    add("--password-file", type=Path)
    status = kinds.add_parser("status", allow_abbrev=False, help="say what a backup holds")
    status.set_defaults(run=_status, endpoints="")
    status.add_argument("file", type=Path, metavar="FILE")
    status.add_argument("-w", "--write-out", choices=("simple", "json"), default="simple")
    status.add_argument("--skip-hash-check", action="store_true", help="for a database out of a data directory")
    return parser


def _save(given: argparse.Namespace) -> int:
    if given.file.exists():
        raise ValueError(f"{given.file} exists")
    with _channel(given) as channel:
        stub, metadata = rpc_pb2_grpc.MaintenanceStub(channel), _token(given, channel)

        def fill(file: Any) -> None:
            size = 0
            for piece in stub.Snapshot(rpc_pb2.SnapshotRequest(), metadata=metadata, timeout=IDLE_S):
                file.write(piece.blob)
                size += len(piece.blob)
                left = piece.remaining_bytes
            if not size or left:
                raise ValueError(f"{given.endpoints} sent {size} bytes of a backup and no more")

        aside = given.file.absolute().with_name(f".{given.file.name}.part")
        try:
            place(aside, fill)
            held = backup.check(aside)
            REAL.rename(aside, given.file.absolute())
        except BaseException:
            for leftover in (aside, aside.with_suffix(".tmp")):
                REAL.unlink(leftover)
            raise
    REAL.sync_folder(given.file.absolute().parent)
    sys.stdout.write(f"Saved revision {held.revision} to {given.file}\n")
    return 0


def _channel(given: argparse.Namespace) -> grpc.Channel:
    if "," in given.endpoints:
        raise ValueError("--endpoints must be one: a backup is of one member's state")
    url = urlsplit(given.endpoints if "//" in given.endpoints else f"//{given.endpoints}")
    if bool(given.cert) != bool(given.key) or (given.cert and not given.cacert):
        raise ValueError("--cert and --key go together, and with --cacert")
    if not given.cacert:
        if url.scheme == "https":
            raise ValueError(f"{given.endpoints} needs --cacert")
        return grpc.insecure_channel(url.netloc)
    files = (path.read_bytes() if path else None for path in (given.cacert, given.key, given.cert))
    return grpc.secure_channel(url.netloc, grpc.ssl_channel_credentials(*files))


def _token(given: argparse.Namespace, channel: grpc.Channel) -> tuple[tuple[str, str], ...]:
    if bool(given.user) != bool(given.password_file):
        raise ValueError("--user and --password-file go together")
    if not given.user:
        return ()
    request = rpc_pb2.AuthenticateRequest(name=given.user, password=given.password_file.read_text().rstrip("\n"))
    return (("token", rpc_pb2_grpc.AuthStub(channel).Authenticate(request, timeout=CALL_S).token),)


def _status(given: argparse.Namespace) -> int:
    held = backup.check(given.file, check_hash=not given.skip_hash_check)
    if given.write_out == "json":
        told = {"revision": held.revision, "totalKey": held.items, "totalSize": held.size}
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stdout.write(f"revision {held.revision}, {held.items} items, {held.size} bytes\n")
    return 0
