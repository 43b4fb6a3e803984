"""Writes pods' statuses to the API: one write a pod at a time, the newest wins, at most WRITERS_MAX together.

What people wait for (running, ready, failed, ended) is written at once. That a pod is being prepared is written only
if it still is after CALM_S: most pods run by then, and one write is spared. A conflict or a lost connection asks the
pod to be looked at again, so that what is written is always computed from the newest object.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from raftsman import errors, logs
from raftsman.client import Client
from raftsman.core import v1 as core

from .record import Record, revision_of

log = logs.get(__name__)

WRITERS_MAX = 8
CALM_S = 0.25
RETRY_FIRST_S = 0.25
RETRY_MAX_S = 10.0
_CALM_REASONS = frozenset({"ContainerCreating", "PodInitializing"})


class Reports:
    """`put` a status; `on_written(uid)` when the API has taken it or the pod must be looked at again."""

    def __init__(self, client: Client, *, on_written: Callable[[str], None]) -> None:
        self._client = client
        self._on_written = on_written
        self._wanted: dict[str, core.PodStatus] = {}
        self._written: dict[str, tuple[core.PodStatus, str]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, asyncio.TimerHandle] = {}
        self._slots = asyncio.Semaphore(WRITERS_MAX)

    def put(self, record: Record, status: core.PodStatus) -> None:
        """Have `status` written unless the API has it."""
        uid = record.uid
        if status == record.pod.status or self._written.get(uid) == (status, record.pod.metadata.resource_version):
            self._wanted.pop(uid, None)
            return
        self._wanted[uid] = status
        if uid in self._tasks:
            return
        if _calm(status):
            if uid not in self._waiting:
                loop = asyncio.get_running_loop()
                self._waiting[uid] = loop.call_later(CALM_S, self._begin, record)
            return
        self._begin(record)

    def forget(self, uid: str) -> None:
        """The pod is gone, or its last status is written by somebody else from now on."""
        self._wanted.pop(uid, None)
        self._written.pop(uid, None)
        handle = self._waiting.pop(uid, None)
        if handle is not None:
            handle.cancel()

    async def settle(self, uid: str) -> None:
        """Wait for a write of this pod that is under way."""
        task = self._tasks.get(uid)
        if task is not None:
            await asyncio.wait([task])

    async def close(self) -> None:
        for handle in self._waiting.values():
            handle.cancel()
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, record: Record) -> None:
        uid = record.uid
        handle = self._waiting.pop(uid, None)
        if handle is not None:
            handle.cancel()
        if uid in self._tasks or uid not in self._wanted:
            return
        self._tasks[uid] = asyncio.create_task(self._write_all(record), name=f"report {record.key}")

    async def _write_all(self, record: Record) -> None:
        try:
            await self._write_wanted(record)
        finally:
            # Here and not in a callback: what is put between the last look for work and a callback would be lost.
            del self._tasks[record.uid]

    async def _write_wanted(self, record: Record) -> None:
        delay_s = RETRY_FIRST_S
        while record.present:
            status = self._wanted.pop(record.uid, None)
            if status is None:
                return
            try:
                async with self._slots:
                    await self._write(record, status)
                continue
            except (errors.Invalid, errors.BadRequest, errors.Forbidden) as error:
                log.error("pod status refused", pod=record.key, error=error)
                delay_s = RETRY_MAX_S
            except errors.ApiError as error:
                log.warning("pod status not written", pod=record.key, error=error)
            self._wanted.setdefault(record.uid, status)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RETRY_MAX_S)

    async def _write(self, record: Record, status: core.PodStatus) -> None:
        """An ApiError asks for another try later."""
        pod = core.Pod()
        pod.CopyFrom(record.pod)
        pod.status.CopyFrom(status)
        try:
            written = await self._client.update_status(pod)
        except errors.NotFound:
            return
        except errors.Conflict:
            await self._refetch(record)
            return
        if revision_of(written) >= revision_of(record.pod):
            record.pod = written
        self._written[record.uid] = (status, record.pod.metadata.resource_version)
        self._on_written(record.uid)

    async def _refetch(self, record: Record) -> None:
        metadata = record.pod.metadata
        try:
            fresh = await self._client.get(core.Pod, metadata.name, namespace=metadata.namespace)
        except errors.ApiError as error:
            log.warning("pod not read", pod=record.key, error=error)
            await asyncio.sleep(RETRY_FIRST_S)
        else:
            if fresh.metadata.uid == record.uid and revision_of(fresh) > revision_of(record.pod):
                record.pod = fresh
        self._on_written(record.uid)


def _calm(status: core.PodStatus) -> bool:
    """Nothing to see yet: every container is about to be started."""
    if status.phase != "Pending":
        return False
    every = [*status.init_container_statuses, *status.container_statuses]
    return all(s.state.HasField("waiting") and s.state.waiting.reason in _CALM_REASONS for s in every)
