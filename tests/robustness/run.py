"""One run: a cluster, clients and faults from a seed; then peace, and everything must have come together.

`run` raises nothing that the store did: a Result says what was broken, if something was. In peace every member must
serve within the plan's `converge_s`; what clients saw must be linearizable, what watchers saw complete, the hashes of
all members equal. Left behind is nothing, but for the history and the logs of a broken run in `keep`.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import grpc
import grpc.aio
from raftsman.etcd import kv_pb2, rpc_pb2, rpc_pb2_grpc
from raftsman.testing import linearizability

from .clients import Workload
from .faults import KINDS, Faults
from .network import Network, own_prefix
from .nodes import STORE, Cluster
from .switch import Switch

READY_S = 30.0
CONVERGE_S = 45.0
LOG_CHARACTERS = 3000


class Broken(Exception):
    """A promise that was not kept."""


@dataclass(frozen=True)
class Plan:
    """What a run is, all of it drawn from its seed but for what the caller sets."""

    seed: str
    members: int
    seconds: float
    kinds: tuple[str, ...]
    snapshot_count: int
    keys: int
    clients: int
    pause_s: float
    command: tuple[str, ...] = STORE
    converge_s: float = CONVERGE_S

    @classmethod
    def drawn(cls, seed: str, *, members: int = 0, seconds: float = 0.0, kinds: Sequence[str] | None = None) -> Plan:
        random = Random(f"{seed}/plan")
        some = tuple(random.sample(KINDS, random.randrange(3, len(KINDS) + 1)))
        drawn = cls(
            seed=seed,
            members=random.choice((3, 3, 5)),
            seconds=random.choice((10.0, 15.0, 25.0)),
            kinds=some,
            snapshot_count=random.choice((30, 200, 10_000)),
            keys=random.choice((3, 6, 20)),
            clients=random.choice((3, 5, 8)),
            pause_s=random.choice((0.01, 0.03, 0.1)),
        )
        return replace(
            drawn,
            members=members or drawn.members,
            seconds=seconds or drawn.seconds,
            kinds=drawn.kinds if kinds is None else tuple(kinds),
        )


@dataclass
class Result:
    """How a run ended: `broken` is the sentence of what was, "" when nothing was."""

    plan: Plan
    broken: str = ""
    lines: list[str] = field(default_factory=list)
    answered: int = 0
    unknown: int = 0
    faults: int = 0
    revision: int = 0
    events: int = 0

    def __str__(self) -> str:
        counts = f"{self.answered} answers, {self.unknown} unknown, {self.faults} faults, {self.events} events"
        return f"seed {self.plan.seed}: {self.broken or 'nothing was broken'} ({counts}, revision {self.revision})"


async def run(plan: Plan, *, keep: Path | None = None) -> Result:
    folder = Path(tempfile.mkdtemp(prefix=own_prefix()))
    result = Result(plan)
    try:
        with (
            Network(plan.members) as network,
            Cluster.made(
                folder, network, command=plan.command, flags=[f"--snapshot-count={plan.snapshot_count}"]
            ) as cluster,
        ):
            one = _Run(plan, cluster, result)
            try:
                await one.go()
            except (Broken, AssertionError, TimeoutError) as error:
                result.broken = str(error) or "something took too long"
            except Exception:
                result.broken = "the run itself broke: " + traceback.format_exc()
            finally:
                await one.end()
                if result.broken:
                    result.lines += [f"--- {node.name}\n{node.log[-LOG_CHARACTERS:]}" for node in cluster.nodes]
                    if keep is not None:
                        one.keep(keep / plan.seed)
    finally:
        shutil.rmtree(folder)
    return result


class _Run:
    """Everything of one run."""

    def __init__(self, plan: Plan, cluster: Cluster, result: Result) -> None:
        self.cluster = cluster
        self.result = result
        self._plan = plan
        self._random = Random(f"{plan.seed}/faults")
        self._began = time.monotonic()
        self.work = Workload(
            plan.seed, cluster.nodes, keys=plan.keys, clients=plan.clients, watchers=3, pause_s=plan.pause_s
        )
        choosing = Random(f"{plan.seed}/switch")
        self._switch = Switch(cluster.folder / "any", lambda: choosing.choice(cluster.nodes).socket)
        self._faults = Faults(cluster, self._switch, self._random, plan.kinds, self._note)

    def _note(self, line: str) -> None:
        self.result.lines.append(f"{time.monotonic() - self._began:7.2f} {line}")

    async def go(self) -> None:
        for node in self.cluster.nodes:
            node.start()
        await self._everybody_serves(READY_S)
        self._note("serving")
        await self._switch.start()
        self.work.start(self._switch)
        self._faults.start()
        await asyncio.sleep(self._plan.seconds)
        await self._faults.finish()
        self._note("healed")
        await self._everybody_serves(self._plan.converge_s)
        await self.work.stop()
        last = await self._last_word()
        await self._agreed(last)
        self._note("converged")
        try:
            async with asyncio.timeout(self._plan.converge_s):
                await self.work.watchers_have(last)
        except TimeoutError:
            behind = {watched.name: watched.resume_from() for watched in self.work.watched}
            raise Broken(f"watchers wait for revision {last}: {behind}") from None
        self._judge()

    async def end(self) -> None:
        self._faults.cancel()
        await self.work.end()
        if self._switch.socket.exists():
            await self._switch.stop()
        await self.cluster.close()
        result, work = self.result, self.work
        result.answered, result.revision, result.faults = work.answered, work.highest, self._faults.count
        result.unknown = sum(operation.answer is None for operation in work.history.operations)
        result.events = sum(
            len(response.events)
            for watched in work.watched
            for session in watched.sessions
            for response in session.responses
        )

    def keep(self, folder: Path) -> None:
        """The history, the logs and the disks."""
        for node in self.cluster.nodes:
            node.kill()
        ignored = shutil.ignore_patterns("client", "any", "filler")
        shutil.copytree(self.cluster.folder, folder, dirs_exist_ok=True, ignore=ignored)
        linearizability.save(folder / "history", self.work.history.operations)

    # -- coming together

    async def _everybody_serves(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        for node in self.cluster.nodes:
            said = ""
            while True:
                try:
                    request = rpc_pb2.RangeRequest(key=b"ready")
                    await rpc_pb2_grpc.KVStub(node.open()).Range(request, timeout=2)
                    break
                except grpc.aio.AioRpcError as error:
                    said = f"{error.code().name} {error.details()}"
                if node.ended:
                    raise Broken(f"{node.name} ended by itself, exit code {node.process.returncode}")  # type: ignore[union-attr]
                if time.monotonic() > until:
                    raise Broken(f"{node.name} does not serve {seconds:.0f} s after everything was mended: {said}")
                await asyncio.sleep(0.1)

    async def _last_word(self) -> int:
        """A put that concerns every watcher."""
        work = self.work
        put = rpc_pb2.PutRequest(key=b"k0", value=b"the last word")
        other = rpc_pb2.PutRequest(key=b"k1", value=b"the last word")
        request = rpc_pb2.TxnRequest(success=[rpc_pb2.RequestOp(request_put=put), rpc_pb2.RequestOp(request_put=other)])
        until = time.monotonic() + self._plan.converge_s
        while True:
            call = time.monotonic()
            try:
                answer = await rpc_pb2_grpc.KVStub(self.cluster.nodes[0].open()).Txn(request, timeout=10)
                break
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED or time.monotonic() > until:
                    raise Broken(f"the last put of all was not answered: {error.details()}") from error
            await self._faults.disarm()
        work.history.answered("last", request, answer, call=call, end=time.monotonic())
        work.told(answer.header.revision)
        return int(answer.header.revision)

    async def _agreed(self, revision: int) -> None:
        """All members have the same, of every kind."""
        until = time.monotonic() + self._plan.converge_s
        while True:
            hashes = {}
            for node in self.cluster.nodes:
                try:
                    stub = rpc_pb2_grpc.MaintenanceStub(node.open())
                    of_keys = await stub.HashKV(rpc_pb2.HashKVRequest(revision=revision), timeout=5)
                    of_all = await stub.Hash(rpc_pb2.HashRequest(), timeout=5)
                except grpc.aio.AioRpcError as error:
                    hashes[node.name] = (error.details(),)
                else:
                    hashes[node.name] = (of_keys.hash, of_keys.compact_revision, of_all.hash)  # type: ignore[assignment]
            if len(set(hashes.values())) == 1 and all(len(each) == 3 for each in hashes.values()):
                return
            if time.monotonic() > until:
                raise Broken(f"members differ at revision {revision}: {hashes}")
            await asyncio.sleep(0.2)

    # -- judging

    def _judge(self) -> None:
        evidence = self._seen_by_everybody()
        try:
            verdict = linearizability.check(self.work.finish().operations, evidence=evidence)
        except linearizability.Undecided as error:
            raise Broken(f"not decided: {error}") from None
        if not verdict.ok:
            raise Broken(f"not linearizable: {verdict}")
        self._put_once(verdict.changes)
        compacted = max((one.request.revision for one in self.work.history.operations if _compacts(one)), default=0)
        for watched in self.work.watched:
            _forget_behind(watched, self.work.highest)
            breaches = linearizability.check_watch(
                watched, verdict.changes, compacted=compacted, up_to=self.work.highest
            )
            if breaches:
                raise Broken(f"watcher {watched.name}: {breaches[0].promise}: {breaches[0].sentence}")
        for node in self.cluster.nodes:
            if "Traceback (most recent call last)" in node.log:
                raise Broken(f"{node.name} left a traceback: {node.log.partition('Traceback')[2][:1500]}")

    def _put_once(self, changes: Mapping[int, Sequence[kv_pb2.Event]]) -> None:
        """No value is put twice, whoever sends again."""
        first: dict[bytes, int] = {}
        for revision, events in changes.items():
            for event in events:
                value = event.kv.value
                if event.type == kv_pb2.Event.PUT and first.setdefault(value, revision) != revision:
                    raise Broken(f"{value[:20]!r} was put at revision {first[value]} and again at {revision}")

    def _seen_by_everybody(self) -> dict[int, list[kv_pb2.Event]]:
        """Revisions that the watcher of all keys received whole: the checker then has less to guess."""
        whole: dict[int, list[kv_pb2.Event]] = {}
        for session in self.work.watched[0].sessions:
            for response in session.responses:
                for event in response.events:
                    whole.setdefault(event.kv.mod_revision, []).append(event)
        return {revision: events for revision, events in whole.items() if all(map(_tells_what_was, events))}


def _forget_behind(watched: linearizability.Watched, revision: int) -> None:
    """Leases that ended when nobody asked anything any more: the history does not know of them."""
    for session in watched.sessions:
        for response in session.responses:
            kept = [event for event in response.events if event.kv.mod_revision <= revision]
            if len(kept) < len(response.events):
                del response.events[:]
                response.events.extend(kept)


def _tells_what_was(event: kv_pb2.Event) -> bool:
    """Compaction may have taken the previous value."""
    return event.kv.version == 1 or event.HasField("prev_kv")


def _compacts(operation: Any) -> bool:
    return isinstance(operation.request, rpc_pb2.CompactionRequest)
