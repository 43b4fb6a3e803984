"""Give each new pod a node.

Reads Pod and Node; writes Pod/binding, the condition PodScheduled of pods that must wait, and one event a decision.
Watches feed the queue and the snapshot; the loop takes what is ready, decides, counts the pod on its node at once
("assumes" it) and binds in the background, several at a time in one call when several wait. A binding that fails is
taken back and tried again. Nothing ticks: an idle scheduler sleeps until a watch or a pause that has run out wakes it.

Bounds: BATCH_MAX decisions before the loop lets others run, BINDS_MAX calls in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from raftsman import Client, EventType, PodBinding, errors, logs, metadata, unsupported
from raftsman.core import v1 as core
from raftsman.informer import Informers
from raftsman.metadata import Key
from raftsman.recorder import EventRecorder

from . import metrics
from .conditions import GATED, GATED_MESSAGE, UNSCHEDULABLE, Conditions, Verdict, patch_for
from .demand import Demand, demand_of
from .neighbours import NONE
from .placement import Placement, Refusal, decide, fits
from .queue import PodQueue, Waiting
from .snapshot import Snapshot, facts_of

BATCH_MAX = 64
BINDS_MAX = 8
COMPONENT = "default-scheduler"
log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class _Assumed:
    waiting: Waiting
    node_name: str


class Scheduler:
    """Schedules the pods whose `schedulerName` is `name`, over informers that the caller runs."""

    def __init__(self, client: Client, informers: Informers, *, name: str = COMPONENT) -> None:
        self._client = client
        self._name = name
        self._pods = informers.get(core.Pod)
        self._nodes = informers.get(core.Node)
        self._events = EventRecorder(client, COMPONENT)
        self._conditions = Conditions(client, self._still_waiting)
        self._snapshot = Snapshot()
        self._queue = PodQueue()
        self._assumed: dict[str, _Assumed] = {}
        self._refused: dict[Demand, Refusal] = {}
        self._refused_at = -1
        self._rotation = 0
        self._signal = asyncio.Event()
        self._slots = asyncio.Semaphore(BINDS_MAX)

    async def synced(self) -> None:
        await self._pods.synced()
        await self._nodes.synced()

    async def run(self) -> None:
        """Schedule until cancelled."""
        await self.synced()
        self._nodes.add_handler(self._on_node)
        self._pods.add_handler(self._on_pod)
        log.info("scheduler started", nodes=len(self._snapshot), waiting=len(self._queue))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._events.run())
            group.create_task(self._conditions.run())
            await self._schedule(group)

    async def _schedule(self, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._queue.tick(now=loop.time())
            batch = self._decide_batch()
            metrics.WAITING.set(len(self._queue))
            if batch:
                await self._slots.acquire()
                group.create_task(self._bind(batch))
            if len(batch) < BATCH_MAX:
                await self._pause()
            else:
                await asyncio.sleep(0)

    async def _pause(self) -> None:
        """Until something happens, or a pod has rested."""
        try:
            async with asyncio.timeout_at(self._queue.next_due()):
                await self._signal.wait()
        except TimeoutError:
            pass
        self._signal.clear()

    def _decide_batch(self) -> list[_Assumed]:
        """Decide about pods that are ready, until BATCH_MAX of them have found a node."""
        batch: list[_Assumed] = []
        while len(batch) < BATCH_MAX:
            waiting = self._queue.take()
            if waiting is None:
                break
            found = self._decide(waiting)
            if isinstance(found, Refusal):
                self._refuse(waiting, found)
            else:
                batch.append(self._assume(waiting, found))
        if batch:
            self._neighbours_changed()
        return batch

    def _decide(self, waiting: Waiting) -> Placement | Refusal:
        """Equal pods that ask again while nothing has changed get the same refusal."""
        if self._refused_at != self._snapshot.version:
            self._refused.clear()
            self._refused_at = self._snapshot.version
        known = self._refused.get(waiting.demand)
        if known is not None:
            return known
        self._rotation += 1
        found = decide(waiting.demand, self._snapshot, rotation=self._rotation)
        if isinstance(found, Refusal):
            self._refused[waiting.demand] = found
        return found

    def _refuse(self, waiting: Waiting, refusal: Refusal) -> None:
        self._queue.park(waiting, now=asyncio.get_running_loop().time())
        self._events.warning(waiting.pod, "FailedScheduling", refusal.message)
        self._conditions.tell(waiting.pod, Verdict(UNSCHEDULABLE, refusal.message))
        metrics.ATTEMPTS.labels("unschedulable").inc()
        log.debug("no node for pod", pod=metadata.key_of(waiting.pod), why=refusal.message)

    def _refuse_for_good(self, pod: core.Pod, message: str) -> None:
        """No node acts upon all that the pod says; it is told once."""
        verdict = Verdict(UNSCHEDULABLE, message)
        if patch_for(pod, verdict, now_s=0) is not None:
            self._events.warning(pod, "FailedScheduling", message)
            self._conditions.tell(pod, verdict)
            metrics.ATTEMPTS.labels("unschedulable").inc()

    def _assume(self, waiting: Waiting, placement: Placement) -> _Assumed:
        assumed = self._assumed[waiting.uid] = _Assumed(waiting, placement.node_name)
        self._snapshot.put_pod(waiting.uid, placement.node_name, demand=waiting.demand)
        self._conditions.withdraw(waiting.uid)
        return assumed

    async def _bind(self, batch: Sequence[_Assumed]) -> None:
        outcomes: Sequence[errors.ApiError | None]
        try:
            outcomes = await self._send(batch)
        except errors.ApiError as failure:
            outcomes = [failure] * len(batch)
        except Exception as bug:
            log.exception("binding failed in a way that it never should")
            outcomes = [errors.InternalError(f"{type(bug).__name__}: {bug}")] * len(batch)
        finally:
            self._slots.release()
        for assumed, error in zip(batch, outcomes, strict=True):
            if error is None:
                self._bound(assumed)
            else:
                self._take_back(assumed, error)

    async def _send(self, batch: Sequence[_Assumed]) -> Sequence[errors.ApiError | None]:
        bindings = [
            PodBinding(a.waiting.pod.metadata.namespace, a.waiting.pod.metadata.name, a.node_name, a.waiting.uid)
            for a in batch
        ]
        if len(bindings) > 1:
            return await self._client.bind_many(bindings)
        one = bindings[0]
        await self._client.bind(one.namespace, one.name, one.node_name, uid=one.uid)
        return [None]

    def _bound(self, assumed: _Assumed) -> None:
        pod = assumed.waiting.pod
        key = metadata.key_of(pod)
        self._queue.remove(assumed.waiting.uid)
        self._events.normal(pod, "Scheduled", f"Successfully assigned {key} to {assumed.node_name}")
        metrics.ATTEMPTS.labels("scheduled").inc()
        metrics.SECONDS.observe(asyncio.get_running_loop().time() - assumed.waiting.since)
        log.debug("pod scheduled", pod=key, node=assumed.node_name)

    def _take_back(self, assumed: _Assumed, error: errors.ApiError) -> None:
        """Not bound, as far as is known. If it was after all, the watch has said so or will."""
        uid = assumed.waiting.uid
        metrics.ATTEMPTS.labels("error").inc()
        log.warning("binding failed", pod=metadata.key_of(assumed.waiting.pod), node=assumed.node_name, error=error)
        if self._assumed.pop(uid, None) is None:
            return
        self._snapshot.remove_pod(uid)
        if not isinstance(error, errors.NotFound):
            message = f"binding to {assumed.node_name} failed: {error.message}"
            self._events.warning(assumed.waiting.pod, "FailedScheduling", message)
        self._queue.rest(assumed.waiting, now=asyncio.get_running_loop().time())
        self._node_changed(assumed.node_name)
        self._signal.set()

    # ---- what the watches say

    def _on_node(self, _: EventType, old: core.Node | None, new: core.Node | None) -> None:
        if new is None:
            assert old is not None
            self._snapshot.remove_node(old.metadata.name)
        elif self._snapshot.put_node(facts_of(new)):
            self._node_changed(new.metadata.name)

    def _node_changed(self, name: str) -> None:
        """The node may take more than before: wake the pods that it can take."""
        row = self._snapshot.row_of(name)
        if row is None:
            return
        now = asyncio.get_running_loop().time()
        if self._queue.wake(lambda demand: fits(demand, self._snapshot, row=row), now=now):
            self._signal.set()

    def _on_pod(self, _: EventType, old: core.Pod | None, new: core.Pod | None) -> None:
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self._forget(old.metadata.uid)
        if new is None:
            return
        if new.status.phase in ("Succeeded", "Failed"):
            self._forget(new.metadata.uid)
        elif new.spec.node_name:
            self._assigned(new)
        elif new.metadata.uid in self._assumed:
            return
        elif metadata.is_deleting(new) or (new.spec.scheduler_name or COMPONENT) != self._name:
            self._dequeue(new.metadata.uid)
        elif new.spec.scheduling_gates:
            self._dequeue(new.metadata.uid)
            self._conditions.tell(new, Verdict(GATED, GATED_MESSAGE))
        elif offences := unsupported.in_scheduler(new):
            self._dequeue(new.metadata.uid)
            self._refuse_for_good(new, unsupported.sentence(offences))
        else:
            self._queue.put(new, demand_of(new), now=asyncio.get_running_loop().time())
            self._signal.set()

    def _assigned(self, pod: core.Pod) -> None:
        uid = pod.metadata.uid
        self._assumed.pop(uid, None)
        self._dequeue(uid)
        before = self._snapshot.version
        self._snapshot.put_pod(uid, pod.spec.node_name, demand=demand_of(pod))
        if self._snapshot.version != before:
            self._neighbours_changed()

    def _dequeue(self, uid: str) -> None:
        self._queue.remove(uid)
        self._conditions.withdraw(uid)

    def _forget(self, uid: str) -> None:
        """The pod needs nothing any more: its room is free for others."""
        self._assumed.pop(uid, None)
        self._dequeue(uid)
        node_name = self._snapshot.remove_pod(uid)
        if node_name is not None:
            self._node_changed(node_name)
            self._neighbours_changed()

    def _neighbours_changed(self) -> None:
        """A pod came or went: wake those that wait for, or because of, others, and would find a place now."""

        def helped(demand: Demand) -> bool:
            waits = demand.wishes != NONE or self._snapshot.apart
            return bool(waits) and isinstance(decide(demand, self._snapshot, rotation=0), Placement)

        if len(self._queue) and self._queue.wake(helped, now=asyncio.get_running_loop().time()):
            self._signal.set()

    def _still_waiting(self, key: Key, uid: str) -> core.Pod | None:
        pod = self._pods.cache.get(key)
        if pod is None or pod.metadata.uid != uid or pod.spec.node_name or uid in self._assumed:
            return None
        return pod
