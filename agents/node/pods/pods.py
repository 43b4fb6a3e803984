"""All pods of this node: who they are, what happens to them, and one look at a time at each.

Everything that can change a pod's course (the watch, an exit, a probe, a finished operation, a timer) only marks the
pod; the look that follows observes from memory, calls `decide` and starts what it says. A look does no I/O and takes
well under a millisecond, so there is no task for a pod that has nothing to do.

Pods are known by uid: a pod that was deleted and made again under its name is another pod, and the old one is ended
beside the new. What is found on the node and not in the API is ended too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from raftsman import logs, unsupported
from raftsman.agents.node import fields
from raftsman.agents.node.probes.judgement import Role
from raftsman.agents.node.probes.prober import Prober
from raftsman.agents.node.references import References
from raftsman.agents.node.runtime import Container, Dns, Runtime
from raftsman.agents.node.settings import Settings
from raftsman.agents.node.volumes import size_limit
from raftsman.agents.node.volumes.content import VolumeFault
from raftsman.agents.node.volumes.tokens import Tokens
from raftsman.agents.node.volumes.volumes import SHOWN, Volumes
from raftsman.client import Client, EventType
from raftsman.core import v1 as core
from raftsman.informer import Informer
from raftsman.recorder import EventRecorder

from . import decision, resizing, status
from .decision import Abort, Finish, Prepare, Remove, Stop, Teardown, decide
from .observation import GRACE_LABEL, Kind, ephemeral_of, is_terminal, specs_of
from .observer import Observer
from .record import SANDBOX, Record, Start, Stopping, revision_of
from .reports import Reports
from .starting import Starter, field_path
from .stopping import Departed, Stopper

log = logs.get(__name__)

REFRESH_RETRY_S = 10.0
MEASURE_S = 30.0
FINISHED_MAX = 256
CONFIG_REASONS = frozenset({"FailedMount", "CreateContainerConfigError"})

Work = Coroutine[Any, Any, None]


class Pods:
    """The pod workers of one node."""

    def __init__(
        self,
        settings: Settings,
        runtime: Runtime,
        *,
        client: Client,
        pods: Informer[core.Pod],
        services: Informer[core.Service],
        events: EventRecorder,
        host_dns: Dns,
        node: fields.Facts,
        departed: Departed | None = None,
    ) -> None:
        self._settings = settings
        self._runtime = runtime
        self._events = events
        self._informer = pods
        self._records: dict[str, Record] = {}
        self._finished: dict[str, None] = {}
        self._marked: set[str] = set()
        self._looking = False
        self._network_ready = False
        self._closed = False
        self._references = References(client, on_change=self._referred_changed)
        self._volumes = Volumes(settings, self._references, Tokens(client), node=node)
        self._reports = Reports(client, on_written=self.mark)
        self._prober = Prober(runtime, on_change=self.mark, on_failure=self._probe_failed)
        self._observer = Observer(settings, runtime, volumes=self._volumes, prober=self._prober)
        self._node = node
        self._resizer = resizing.Resizer(runtime)
        self._starter = Starter(
            settings, runtime, client=client, volumes=self._volumes, services=services, events=events,
            host_dns=host_dns, node=node,
        )  # fmt: skip
        self._stopper = Stopper(
            settings, runtime, client=client, volumes=self._volumes, prober=self._prober, events=events,
            departed=departed,
        )  # fmt: skip

    async def start(self) -> None:
        """Take over what is on the node; the runtime must be up and the pods known."""
        await self._volumes.start()
        self._runtime.containers.on_exit(self._ended)
        await self._informer.synced()
        self._informer.add_handler(self._changed)
        self._adopt_strangers()

    def network_is_ready(self) -> None:
        """Pods with a network of their own may start from now on."""
        self._network_ready = True
        for uid in self._records:
            self.mark(uid)

    def get(self, namespace: str, name: str) -> Record | None:
        """The pod of that name that the API knows."""
        for record in self._records.values():
            metadata = record.pod.metadata
            if record.present and metadata.name == name and metadata.namespace == namespace:
                return record
        return None

    @property
    def count(self) -> int:
        return len(self._records)

    async def close(self) -> None:
        """Stop looking; containers go on."""
        self._closed = True
        tasks = [task for record in self._records.values() for task in record.tasks]
        for record in self._records.values():
            if record.timer is not None:
                record.timer.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._prober.close()
        await self._reports.close()
        await self._references.close()

    # ---- what happens

    def mark(self, uid: str) -> None:
        """Have the pod looked at soon."""
        self._marked.add(uid)
        if not self._looking and not self._closed:
            self._looking = True
            asyncio.get_running_loop().call_soon(self._look_at_marked)

    def _changed(self, kind: EventType, old: core.Pod | None, new: core.Pod | None) -> None:
        if new is None or (old is not None and old.metadata.uid != new.metadata.uid):
            assert old is not None
            self._gone(old)
        if new is None or (new.metadata.uid in self._finished and not new.metadata.finalizers):
            return
        record = self._records.get(new.metadata.uid)
        if record is None:
            record = self._records[new.metadata.uid] = Record(new.metadata.uid, new)
            record.seen_at = asyncio.get_running_loop().time()
            self._refuse_unsupported(record)
        elif revision_of(new) > revision_of(record.pod):
            if _told_differently(record.pod, new):
                self._refresh(record)
            record.pod = new
        else:
            return  # an own write that came back
        self.mark(record.uid)

    def _refuse_unsupported(self, record: Record) -> None:
        """Fail a pod that says what no node acts upon, such as one that no scheduler has seen."""
        found = unsupported.on_nodes(record.pod)
        if found and not is_terminal(record.pod.status.phase):
            record.evicted, record.evicted_as = unsupported.sentence(found), unsupported.REASON
            self._events.warning(record.pod, unsupported.REASON, record.evicted)

    def _gone(self, pod: core.Pod) -> None:
        record = self._records.get(pod.metadata.uid)
        if record is not None:
            record.present = False
            self._reports.forget(record.uid)
            self.mark(record.uid)

    def _ended(self, container: Container) -> None:
        record = self._records.get(container.pod_uid)
        if record is None:
            return
        record.stopping.pop(container.id, None)
        self._observer.keep_message(record, container)
        if (
            container.exit is not None
            and container.exit.code
            and not record.pod.metadata.HasField("deletion_timestamp")
        ):
            log.info("container ended", pod=record.key, container=container.name, code=container.exit.code)
        if container.name in record.backoffs and record.present and self._restarts(record, container):
            text = f"Back-off restarting failed container {container.name} in pod {record.key}({record.uid})"
            self._events.warning(record.pod, "BackOff", text, field_path=self._where(record, container.name))
        self.mark(record.uid)

    def _restarts(self, record: Record, container: Container) -> bool:
        policy = record.pod.spec.restart_policy or "Always"
        failed = container.exit is not None and container.exit.code != 0
        deleted = record.pod.metadata.HasField("deletion_timestamp")
        return not deleted and (policy == "Always" or (policy == "OnFailure" and failed))

    def _probe_failed(self, uid: str, container_id: str, role: Role, message: str) -> None:
        record = self._records.get(uid)
        if record is None or not record.present or container_id in record.stopping:
            return
        container = self._runtime.containers.inspect(container_id)
        text = f"{role.value.capitalize()} probe failed: {message}"
        self._events.warning(record.pod, "Unhealthy", text, field_path=self._where(record, container.name))

    def _referred_changed(self, uid: str) -> None:
        record = self._records.get(uid)
        if record is None:
            return
        for name in [name for name, fault in record.faults.items() if fault.reason in CONFIG_REASONS]:
            del record.faults[name]
        self._refresh(record)
        self.mark(uid)

    def _where(self, record: Record, name: str) -> str:
        for spec in record.pod.spec.containers:
            if spec.name == name:
                return field_path(spec, Kind.MAIN)
        for spec in ephemeral_of(record.pod):
            if spec.name == name:
                return field_path(spec, Kind.EPHEMERAL)
        return f"spec.initContainers{{{name}}}"

    # ---- looking

    def _look_at_marked(self) -> None:
        self._looking = False
        marked, self._marked = self._marked, set()
        for record in filter(None, map(self._records.get, () if self._closed else marked)):
            try:
                self._look(record)
            except Exception:
                log.exception("pod not looked at", pod=record.key)
                self._wake(record, REFRESH_RETRY_S)

    def _look(self, record: Record) -> None:
        now = datetime.now(UTC)
        observed = self._observer.observe(record, network_ready=self._network_ready, room=self._room(record))
        plan = decide(record.pod, observed, now=now)
        if record.final is None and record.present and record.ending is None:
            word = status.compute(record.pod, observed, now=now)
            self._reports.put(record, word)
            if any(isinstance(action, Teardown) for action in plan.actions) and _deleted(record):
                record.final = word
                self._reports.forget(record.uid)
        for action in plan.actions:
            self._begin(record, action)
        refresh_at = self._refresh_at(record)
        if refresh_at is not None and refresh_at <= now:
            self._refresh(record)
            refresh_at = None
        due = [moment for moment in (plan.wake_at, refresh_at, self._measure_at(record, now)) if moment is not None]
        self._wake(record, (min(due) - now).total_seconds() if due else None)

    def _room(self, record: Record) -> resizing.Room:
        """Looked at in full only for a pod that waits for a resize: nothing else asks."""
        node = {"cpu": self._node.cpu_milli, "memory": self._node.memory_bytes * 1000}
        runs = {run.name: run for run in self._runtime.containers.list(record.uid)}
        waits = any(spec.name in runs and resizing.differs(spec, runs[spec.name]) for spec in specs_of(record.pod))
        others = [one.pod for one in self._records.values() if one is not record and _counts(one.pod)] if waits else []
        return resizing.Room(node, resizing.taken(others))

    def _wake(self, record: Record, delay_s: float | None) -> None:
        if record.timer is not None:
            record.timer.cancel()
            record.timer = None
        if delay_s is not None:
            loop = asyncio.get_running_loop()
            record.timer = loop.call_later(max(delay_s, 0.01), self.mark, record.uid)

    # ---- doing

    def _begin(self, record: Record, action: decision.Action) -> None:
        match action:
            case Prepare():
                self._track_start(record, SANDBOX, self._starter.prepare(record))
            case decision.Start():
                self._track_start(record, action.name, self._starter.start(record, action))
            case Stop():
                self._stopper.stop(record, action)
            case decision.Resize():
                self._track_resize(record, action)
            case Remove():
                self._track_removal(record, action)
            case Abort():
                record.abort()
            case Teardown():
                self._track_end(record, self._stopper.teardown(record))
            case Finish():
                self._track_end(record, self._finish(record))

    def _track_start(self, record: Record, name: str, work: Work) -> None:
        async def run() -> None:
            try:
                await work
            except asyncio.CancelledError:
                if not start.aborted:
                    raise
            except Exception as error:
                log.exception("start failed", pod=record.key, container=name or "-")
                self._starter.fault(record, name, "InternalError", f"{type(error).__name__}: {error}")
            finally:
                record.starts.pop(name, None)
                self.mark(record.uid)

        start = record.starts[name] = Start(record.spawn(run(), "start"), cancellable=name != SANDBOX)

    def _track_resize(self, record: Record, action: decision.Resize) -> None:
        async def run() -> None:
            try:
                await self._resizer.resize(record, action.id, action.name)
            finally:
                record.resizes.discard(action.id)
                self.mark(record.uid)
                if action.id in record.resize_faults:
                    asyncio.get_running_loop().call_later(resizing.RETRY_S, self.mark, record.uid)

        record.resizes.add(action.id)
        record.spawn(_guarded(record, run()), "resize")

    def _track_removal(self, record: Record, action: Remove) -> None:
        async def run() -> None:
            await _guarded(record, self._stopper.remove(record, action.id))
            record.stopping.pop(action.id, None)
            self.mark(record.uid)

        if action.id not in record.stopping:
            record.stopping[action.id] = Stopping(record.spawn(run(), "remove"), 0.0)

    def _track_end(self, record: Record, work: Work) -> None:
        async def run() -> None:
            try:
                await _guarded(record, work)
            finally:
                record.ending = None
                self.mark(record.uid)

        if record.ending is not None:
            work.close()
            return
        record.ending = record.spawn(run(), "end")

    async def _finish(self, record: Record) -> None:
        await self._reports.settle(record.uid)
        await self._stopper.finish(record)
        self._reports.forget(record.uid)
        if record.timer is not None:
            record.timer.cancel()
        self._records.pop(record.uid, None)
        for other in self._records.values():
            if any(one.type == status.RESIZE_PENDING for one in other.pod.status.conditions):
                self.mark(other.uid)
        self._finished[record.uid] = None
        if len(self._finished) > FINISHED_MAX:
            del self._finished[next(iter(self._finished))]

    # ---- keeping volumes fresh, and in their limits

    def _measure_at(self, record: Record, now: datetime) -> datetime | None:
        """When the pod's limited volumes are looked at next; begins to look where that is now."""
        limited = record.prepared and record.present and record.evicted is None and size_limit.limited(record.pod)
        if not limited:
            return None
        clock = asyncio.get_running_loop().time()
        if record.measure_at <= clock:
            record.measure_at = clock + MEASURE_S
            record.spawn(self._measure(record), "measure")
        return now + timedelta(seconds=record.measure_at - clock)

    async def _measure(self, record: Record) -> None:
        excess = await self._volumes.excess(record.pod)
        if excess is not None and record.prepared:
            record.evicted = excess
            self._events.warning(record.pod, "Evicted", excess)
            self.mark(record.uid)

    def _refresh_at(self, record: Record) -> datetime | None:
        return self._volumes.refresh_at(record.uid) if record.prepared and record.present else None

    def _refresh(self, record: Record) -> None:
        pod = record.pod
        shows = any(f.name in SHOWN for v in pod.spec.volumes for f, _ in v.volume_source.ListFields())
        if not shows or not record.prepared or record.refreshing:
            return

        async def run() -> None:
            await asyncio.sleep(0)
            record.refreshing = False
            try:
                await self._volumes.refresh(record.pod)
            except VolumeFault as fault:
                log.warning("volumes not refreshed", pod=record.key, error=fault)
                asyncio.get_running_loop().call_later(REFRESH_RETRY_S, self.mark, record.uid)
                return
            self.mark(record.uid)

        record.refreshing = True
        record.spawn(run(), "refresh")

    def _adopt_strangers(self) -> None:
        """Pods that are on this node and not in the API (any more): end them."""
        known = {pod.metadata.uid for pod in self._informer.cache}
        names: dict[str, tuple[str, str]] = {uid: ("", uid) for uid in self._volumes.pods()}
        graces: dict[str, int] = {}
        for container in self._runtime.containers.list():
            names.setdefault(container.pod_uid, ("", container.pod_uid))
            graces[container.pod_uid] = int(container.labels.get(GRACE_LABEL, decision.GRACE_DEFAULT_S))
        for sandbox in self._runtime.sandboxes.list():
            names[sandbox.pod_uid] = (sandbox.pod_namespace, sandbox.pod_name)
        for uid, (namespace, name) in names.items():
            if uid not in known:
                pod = core.Pod()
                pod.metadata.uid, pod.metadata.namespace, pod.metadata.name = uid, namespace, name
                pod.spec.termination_grace_period_seconds = graces.get(uid, decision.GRACE_DEFAULT_S)
                log.info("ending a pod that the API does not know", pod=f"{namespace}/{name}", uid=uid)
                self._records[uid] = Record(uid, pod, present=False)
                self.mark(uid)


async def _guarded(record: Record, work: Work) -> None:
    """Do `work`; what nobody expected is logged, and delays the next try, instead of leaving the pod as it is."""
    try:
        await work
    except Exception:
        log.exception("operation failed", pod=record.key)
        await asyncio.sleep(REFRESH_RETRY_S)


def _deleted(record: Record) -> bool:
    return record.pod.metadata.HasField("deletion_timestamp")


def _counts(pod: core.Pod) -> bool:
    return not is_terminal(pod.status.phase)


def _told_differently(old: core.Pod, new: core.Pod) -> bool:
    """Whether downward API files of the pod show something else now."""
    return old.metadata.labels != new.metadata.labels or old.metadata.annotations != new.metadata.annotations
