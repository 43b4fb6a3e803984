"""Stopping and giving back: one container gracefully, then everything of a pod, then its object in the API."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable

from raftsman import errors, logs
from raftsman.agents.node.probes.handlers import Target, carry_out
from raftsman.agents.node.probes.prober import Prober
from raftsman.agents.node.runtime import NotFound, Phase, Runtime, RuntimeFault
from raftsman.agents.node.settings import Settings
from raftsman.agents.node.volumes.volumes import Volumes
from raftsman.client import Client
from raftsman.core import v1 as core
from raftsman.recorder import EventRecorder

from .decision import Stop, Why
from .observation import Kind, ephemeral_of
from .record import Record, Stopping
from .starting import field_path

log = logs.get(__name__)

Departed = Callable[[str], Awaitable[None]]
"""Waits until services on this node no longer send new connections to a pod's address."""

AFTER_HOOK_S = 2.0
"""What is left for the signal when a preStop hook used up the grace period."""
SOONER_S = 0.5
DEPARTURE_MAX_S = 2.0
"""How long a deleted pod's containers go on, at most, because services still send them connections."""
RETRY_FIRST_S = 0.5
RETRY_MAX_S = 30.0


class Stopper:
    """Ends containers and pods. Failures are retried, with an event the first time, until they are none."""

    def __init__(
        self,
        settings: Settings,
        runtime: Runtime,
        *,
        client: Client,
        volumes: Volumes,
        prober: Prober,
        events: EventRecorder,
        departed: Departed | None = None,
    ) -> None:
        self._departed = departed
        self._settings = settings
        self._runtime = runtime
        self._client = client
        self._volumes = volumes
        self._prober = prober
        self._events = events

    def stop(self, record: Record, action: Stop) -> None:
        """Begin to stop a container, or bring the end of a stop that is under way forward."""
        now = asyncio.get_running_loop().time()
        under_way = record.stopping.get(action.id)
        hook = action.grace_s > 0 and action.why is not Why.STALE
        if under_way is not None:
            if now + action.grace_s > under_way.deadline - SOONER_S:
                return
            under_way.task.cancel()
            hook = False
        task = record.spawn(self._stop(record, action, hook=hook), "stop")
        record.stopping[action.id] = Stopping(task, now + action.grace_s)
        task.add_done_callback(lambda done: _over(record, action.id, done))

    async def _stop(self, record: Record, action: Stop, *, hook: bool) -> None:
        deadline = asyncio.get_running_loop().time() + action.grace_s
        spec = _spec(record.pod, action.name)
        if action.message:
            text = action.message
        elif action.why is Why.CHANGED:
            text = f"Container {action.name} definition changed, will be restarted"
        else:
            text = f"Stopping container {action.name}"
        if spec is not None and record.present:
            self._events.normal(record.pod, "Killing", text, field_path=field_path(*spec))
        log.info("stopping container", pod=record.key, container=action.name, why=action.why.value,
                 grace_s=round(action.grace_s, 1))  # fmt: skip
        least_s = 0.0
        if hook and spec is not None and spec[0].lifecycle.HasField("pre_stop"):
            await self._pre_stop(record, action, spec)
            least_s = AFTER_HOOK_S
        if hook and action.why is Why.DELETED:
            await self._leave_services(record, action.grace_s)
        delay_s = RETRY_FIRST_S
        while True:
            left_s = max(least_s, deadline - asyncio.get_running_loop().time(), 0.0)
            try:
                await self._runtime.containers.stop(action.id, grace_s=left_s)
                return
            except NotFound:
                return
            except Exception as fault:
                log.error("container not stopped", pod=record.key, container=action.name, error=fault)
                if record.present:
                    self._events.warning(record.pod, "FailedKillPod", str(fault))
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, RETRY_MAX_S)

    async def _leave_services(self, record: Record, grace_s: float) -> None:
        """Let the last connections come and be answered: a server that is told to stop refuses those on their way."""
        sandbox = self._runtime.sandboxes.get(record.uid)
        if self._departed is None or sandbox is None or not sandbox.addresses:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(DEPARTURE_MAX_S, grace_s / 2)):
                await self._departed(sandbox.addresses[0])

    async def _pre_stop(self, record: Record, action: Stop, spec: tuple[core.Container, Kind]) -> None:
        sandbox = self._runtime.sandboxes.get(record.uid)
        address = sandbox.addresses[0] if sandbox and sandbox.addresses else self._settings.node_ip
        try:
            container = self._runtime.containers.inspect(action.id)
        except NotFound:
            return
        if container.phase is not Phase.RUNNING:
            return
        target = Target(container, spec[0], address)
        outcome = await carry_out(self._runtime, target, spec[0].lifecycle.pre_stop, timeout_s=action.grace_s)
        if not outcome.passed:
            self._events.warning(record.pod, "FailedPreStopHook", f"PreStopHook failed: {outcome.message}",
                                 field_path=field_path(*spec))  # fmt: skip

    async def remove(self, record: Record, container_id: str) -> None:
        """Remove a dead container."""
        try:
            await self._runtime.containers.remove(container_id)
        except RuntimeFault as fault:
            log.warning("container not removed", pod=record.key, id=container_id[:12], error=fault)
            await asyncio.sleep(RETRY_FIRST_S)

    async def teardown(self, record: Record) -> None:
        """Containers, sandbox, volumes. Retried until it is done."""
        record.prepared = False
        delay_s = RETRY_FIRST_S
        while True:
            try:
                await self._runtime.sandboxes.remove(record.uid)
                await self._volumes.remove(record.uid)
                return
            except (RuntimeFault, OSError) as fault:
                log.warning("pod not torn down", pod=record.key, error=fault)
                if delay_s == RETRY_FIRST_S and record.present:
                    self._events.warning(record.pod, "FailedKillPod", str(fault))
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RETRY_MAX_S)

    async def finish(self, record: Record) -> None:
        """The last status and the removal of a deleted pod's object; then its logs."""
        delay_s = RETRY_FIRST_S
        while record.present:
            try:
                await self._finish_in_api(record)
                break
            except (errors.NotFound, errors.Conflict):
                break
            except errors.ApiError as error:
                log.warning("pod not removed from the API", pod=record.key, error=error)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RETRY_MAX_S)
        await asyncio.to_thread(shutil.rmtree, self._settings.pod_dir(record.uid), True)
        log.info("pod removed", pod=record.key, uid=record.uid)

    async def _finish_in_api(self, record: Record) -> None:
        metadata = record.pod.metadata
        if record.final is not None and record.final != record.pod.status:
            last = core.Pod()
            last.CopyFrom(record.pod)
            last.status.CopyFrom(record.final)
            try:
                await self._client.update_status(last)
            except errors.Conflict:
                pass  # somebody else wrote meanwhile: the removal matters more than the last word
        await self._client.delete(
            core.Pod, metadata.name, namespace=metadata.namespace, grace_period_s=0, uid=record.uid
        )


def _over(record: Record, container_id: str, task: asyncio.Task[None]) -> None:
    held = record.stopping.get(container_id)
    if held is not None and held.task is task:
        del record.stopping[container_id]


def _spec(pod: core.Pod, name: str) -> tuple[core.Container, Kind] | None:
    for spec in pod.spec.containers:
        if spec.name == name:
            return spec, Kind.MAIN
    for spec in pod.spec.init_containers:
        if spec.name == name:
            return spec, Kind.INIT
    for spec in ephemeral_of(pod):
        if spec.name == name:
            return spec, Kind.EPHEMERAL
    return None
