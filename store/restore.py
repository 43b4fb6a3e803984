"""`python -m raftsman.store restore SNAPSHOT`: a data directory of a new cluster from a backup, with etcdctl's flags.

Every member of the new cluster is restored from the same file with the same --initial-cluster, each under its own
--name; all begin with the same state, at the same place of a log that begins there. Nothing is left of a directory that
could not be finished: it is made aside and renamed. Exit code 1 and a sentence when the backup or the disk is at fault,
2 when the flags are.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raftsman.store import backup, cluster, flags, mvcc, snapshot, wal
from raftsman.store.mvcc import members as membership
from raftsman.store.raft.journal import WalJournal
from raftsman.store.wal.disk import REAL

FIRST_INDEX = 2
FIRST_TERM = 1
"""Where the new log begins: behind the entry that every log without a snapshot begins with."""
_PEER_URL = "http://127.0.0.1:2380"
_REVISION_MAX = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Order:
    """What is restored, into which directory, as which member."""

    backup: Path
    data_dir: Path
    name: str
    founders: cluster.Founders
    check_hash: bool
    bump_revisions: int


class CannotRestore(Exception):
    """A sentence for whoever asked."""


def main(arguments: Sequence[str]) -> int:
    order = parse(arguments)
    try:
        state = restore(order)
    except (CannotRestore, backup.BadBackup, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(
        f"Restored revision {state.revision} into {order.data_dir}: "
        f"member {order.founders.member:x} ({order.name}) of cluster {order.founders.cluster:x}\n"
    )
    return 0


def parse(arguments: Sequence[str]) -> Order:
    """Read the flags; prints a sentence and exits 2 when they do not make sense."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        return _order(given)
    except ValueError as error:
        parser.error(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="raftsman store restore", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("snapshot", type=Path, metavar="SNAPSHOT", help="what `etcdctl snapshot save` wrote")
    add("--name", default="default", help="this member's name in --initial-cluster")
    add("--data-dir", type=Path, help="made anew; default: NAME.etcd")
    add("--initial-cluster", default="", help="NAME=PEER_URL,...; default: this member alone")
    add("--initial-cluster-token", default="raftsman", help="a new one keeps members of the old cluster away")
    add("--initial-advertise-peer-urls", default=_PEER_URL)
    add("--skip-hash-check", action="store_true", help="for a database that was copied from a data directory")
    add("--bump-revision", type=int, default=0, help="go on so many revisions later, so that none is seen twice")
    add("--mark-compacted", action="store_true", help="with --bump-revision: watches of the old cluster end")
    return parser


def _order(given: argparse.Namespace) -> Order:
    advertised = given.initial_advertise_peer_urls.split(",")
    flags.parsed_urls("--initial-advertise-peer-urls", given.initial_advertise_peer_urls)
    described = given.initial_cluster or ",".join(f"{given.name}={url}" for url in advertised)
    members = flags.parsed_cluster(described)
    if given.name not in members:
        raise ValueError(f"--initial-cluster does not name this member, {given.name!r}")
    if sorted(members[given.name]) != sorted(advertised):
        raise ValueError(
            f"--initial-cluster has {given.name} at {','.join(members[given.name])}, "
            f"--initial-advertise-peer-urls at {given.initial_advertise_peer_urls}"
        )
    if bool(given.bump_revision) != given.mark_compacted:
        raise ValueError("--bump-revision and --mark-compacted go together: the revisions between do not exist")
    if not 0 <= given.bump_revision <= _REVISION_MAX >> 1:
        raise ValueError(f"--bump-revision {given.bump_revision} is not a number of revisions")
    return Order(
        backup=given.snapshot,
        data_dir=given.data_dir or Path(f"{given.name}.etcd"),
        name=given.name,
        founders=cluster.founders(name=given.name, initial=members, token=given.initial_cluster_token),
        check_hash=not given.skip_hash_check,
        bump_revisions=given.bump_revision,
    )


def restore(order: Order) -> mvcc.State:
    """Make the data directory. Raises CannotRestore, BadBackup and OSError, and leaves nothing then."""
    folder = order.data_dir
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CannotRestore(f"--data-dir {folder} exists; a cluster is restored into a directory of its own")
    state = backup.read(order.backup, check_hash=order.check_hash, bump_revisions=order.bump_revisions)
    aside = folder.absolute().parent / f".{folder.name}.restoring-{os.getpid()}"
    try:
        _lay_down(aside, state, order.founders)
        os.rename(aside, folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    REAL.sync_folder(folder.absolute().parent)
    return state


def _lay_down(folder: Path, state: mvcc.State, founders: cluster.Founders) -> None:
    """A snapshot of the state with its new members, and a log that begins where it ends."""
    REAL.make_folder(folder)
    who = cluster.Cluster(founders.cluster, founders.member, cluster.new_instance())
    state.members.load(membership.Dumped(founders.cluster, founders.members))
    head = snapshot.Head.of(state, index=FIRST_INDEX, term=FIRST_TERM, cluster=who.name)
    snapshot.write(folder / "snap", snapshot.Capture(head, state.copy_of_parts(), [list(state.records())]))
    log = wal.Wal(folder / "wal")
    journal = WalJournal(log)
    journal.setCurrentTerm(FIRST_TERM, None)
    journal.replace_members(FIRST_INDEX, state.members.dump())
    journal.reset(FIRST_INDEX, FIRST_TERM)
    log.close()
    cluster.keep(folder, who, None)
