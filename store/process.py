"""The store as a process: its parts put together, started in order and stopped in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import resource
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from raftsman import health, logs
from raftsman.store import bootstrap, cluster, compactor, errors, flags, metrics, pages, publisher, snapshot, wal
from raftsman.store import tls as certificates
from raftsman.store.admission import Admission
from raftsman.store.consistency import Consistency
from raftsman.store.lessor import Lessor
from raftsman.store.raft import events
from raftsman.store.raft.discovery import place
from raftsman.store.raft.driver import Driver, LogGap
from raftsman.store.raft.kernel import APPEND_BYTES_MIN, Pace
from raftsman.store.raft.member import Settings
from raftsman.store.raft.transport import PeerTls
from raftsman.store.replica import Replica
from raftsman.store.server.answers import Answers
from raftsman.store.server.identity import Identity
from raftsman.store.server.listener import Listener
from raftsman.store.wal import disk

SWITCH_S = 0.0002
STOP_GRACE_S = 1.0
REQUEST_S = 5.0
"""How long a request may take beside two elections, as in etcd."""
GC_THRESHOLDS = (5_000, 20, 50)
"""Records are outside the garbage collector, what was there at the start is frozen: what is left for its rounds are
requests under way, which are many and short-lived, and few containers. Rarer rounds find more of them gone already.
"""
ENTRY_OVERHEAD_BYTES = 64 << 10
"""What an entry holds beside its largest request."""

log = logs.get(__name__)


class CannotStart(Exception):
    """A sentence for whoever started the process."""


class Dismissed(Exception):
    """This member was removed, or the others know it with another data directory."""


_REFUSALS = (
    CannotStart, bootstrap.CannotJoin, cluster.BadIdentity, wal.WalDamaged, snapshot.SnapshotDamaged, LogGap,
)  # fmt: skip


def run(config: flags.Config) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    import uvloop

    # The Raft thread must not wait 5 ms for the interpreter after each of its calls to the disk, while the API is busy.
    sys.setswitchinterval(SWITCH_S)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection is a file
    gc.set_threshold(*GC_THRESHOLDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve(config))
        except _REFUSALS as error:
            log.error("cannot start", error=error)
            return 1
        except Dismissed as dismissed:
            log.error("this member has no place in the cluster any more", reason=dismissed)
            return 0 if str(dismissed) == events.REMOVED else 1
    return 0


async def _serve(config: flags.Config) -> None:
    stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def end(reason: str) -> None:
        if not stop.done():
            stop.set_result(reason)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, "")
    with _locked(config.data_dir):
        async with _serving(config, dismissed=end) as replica:
            health.notify_ready()
            reason = await stop
            log.info("stopping")
            if not reason:
                await _hand_over(replica, config.election_s)
    if reason:
        raise Dismissed(reason)


async def _hand_over(replica: Replica, seconds: float) -> None:
    """A leader that leaves lets another one lead first: nobody has to find out that it is gone."""
    if replica.role.leading and len(replica.state.members.voters()) > 1:
        with contextlib.suppress(errors.StoreError):
            await replica.hand_over(None, seconds=seconds)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process a data directory."""
    try:
        disk.REAL.make_folder(folder)
        descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise CannotStart(f"--data-dir {folder} cannot be used: {error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CannotStart(f"--data-dir {folder} is in use by another store") from None
    else:
        yield
    finally:
        os.close(descriptor)


@contextlib.asynccontextmanager
async def _serving(config: flags.Config, *, dismissed: Callable[[str], None]) -> AsyncIterator[Replica]:
    peer_tls = _peer_tls(config)
    try:
        start = await bootstrap.settle(config, tls=peer_tls.client if peer_tls else None)
    except OSError as error:
        raise CannotStart(f"--data-dir {config.data_dir} cannot be used: {error}") from error
    who = start.who
    replica = _replica(config, who)
    replica.dismissed = dismissed
    lessor = Lessor(replica)
    tls = config.client_tls
    identity = Identity(replica, config.authentication, certificates=tls is not None and tls.client_certificates)
    answers = Answers(replica, who, identity)
    listener = Listener(
        answers,
        lessor,
        limits=config.limits,
        progress_s=config.progress_s,
        election_s=config.election_s,
    )
    own = pages.Pages(replica)
    measured = metrics.Metrics(
        answers, watch=listener.watch, lessor=lessor, pages=own, quota_bytes=config.limits.quota_bytes
    )
    consistency = Consistency(replica, member=who.member, voters=lambda: _voters(replica))
    driver = Driver(_settings(config, start, peer_tls), replica.load(), replica.on_event)
    replica.attach(driver)
    try:
        await driver.start()
    except OSError as error:
        raise CannotStart(f"the log or the peer address cannot be used: {error}") from error
    if start.beginning is not None:
        cluster.keep(config.data_dir, who, None)  # the log has it
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(driver.stop)
        stack.push_async_callback(replica.stop)
        stack.callback(lessor.close)
        stack.callback(consistency.close)
        try:
            await listener.start(config.listen_client, config.client_tls)
            stack.push_async_callback(listener.stop, STOP_GRACE_S)
            for server in await _serve_pages(config, replica, own):
                stack.callback(server.close)
        except (RuntimeError, OSError) as error:
            raise CannotStart(f"a client or metrics address cannot be had: {error}") from error
        except ValueError as error:
            raise CannotStart(f"--cert-file, --key-file or --trusted-ca-file cannot be used: {error}") from error
        for background in (
            compactor.run(replica, mode=config.compaction_mode, retention=config.compaction_retention),
            measured.register(),
            publisher.run(replica, member=who.member, name=config.name, client_urls=config.advertise_client),
        ):
            stack.callback(asyncio.get_running_loop().create_task(background).cancel)
        if driver.alone_from is not None:
            await _ready(replica)
        gc.collect()
        gc.freeze()
        log.info("serving", name=config.name, member=f"{who.member:x}", revision=replica.state.revision)
        yield replica


def _replica(config: flags.Config, who: cluster.Cluster) -> Replica:
    """Of this member, which admits no more than its limits allow."""
    replica = Replica(
        config.data_dir,
        member_number=who.member,
        cluster=who.name,
        snapshot_count=config.snapshot_count,
        request_s=REQUEST_S + 2 * config.election_s,
    )
    limits = config.limits
    Admission(replica, member=who.member, request_bytes=limits.request_bytes, quota_bytes=limits.quota_bytes)
    return replica


async def _serve_pages(config: flags.Config, replica: Replica, own: pages.Pages) -> list[asyncio.Server]:
    """Health, version and metrics, on every address that was asked for."""
    servers = []
    for url in config.metrics:
        tls = None
        if url.scheme in ("https", "unixs"):
            assert config.client_tls is not None
            tls = certificates.context(config.client_tls, ssl.Purpose.CLIENT_AUTH, version=ssl.TLSVersion.TLSv1_2)
        address = f"unix:{url.netloc}{url.path}" if url.scheme.startswith("unix") else url.netloc
        servers.append(await health.serve(address, {"serving": lambda: _ready(replica)}, pages=own.by_path(), tls=tls))
    return servers


def _voters(replica: Replica) -> set[int]:
    return {member.id for member in replica.state.members.voters()}


async def _ready(replica: Replica) -> None:
    """Raises while this member cannot answer a linearizable read."""
    try:
        await replica.up_to_date()
    except errors.StoreError as error:
        raise CannotStart(error.text) from error


def _settings(config: flags.Config, start: bootstrap.Start, peer_tls: PeerTls | None) -> Settings:
    return Settings(
        member=start.who.member,
        cluster=start.who.name,
        instance=start.who.instance,
        listen=[place(url.netloc) for url in config.listen_peer],
        tls=peer_tls,
        snapshots=config.data_dir / "snap",
        beginning=start.beginning,
        pace=Pace(
            heartbeat_s=config.heartbeat_s,
            election_s=config.election_s,
            append_bytes=max(APPEND_BYTES_MIN, config.limits.request_bytes + ENTRY_OVERHEAD_BYTES),
        ),
    )


def _peer_tls(config: flags.Config) -> PeerTls | None:
    tls = config.peer_tls
    if tls is None or config.listen_peer[0].scheme != "https":
        return None
    return PeerTls(
        server=certificates.context(tls, ssl.Purpose.CLIENT_AUTH),
        client=certificates.context(tls, ssl.Purpose.SERVER_AUTH),
    )
