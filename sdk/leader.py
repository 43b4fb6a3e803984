"""Leader election over a Lease (coordination.k8s.io), by client-go's rules: of several candidates one works at a time.

    election = LeaderElection(client, "my-operator", namespace="default")
    await election.run(work)      # waits to be the leader, then runs work() for as long as it is

A candidate asks every `retry_s`, jittered. A lease that nobody renewed for its duration, as seen by the candidate's own
clock since it last saw the lease change, may be taken: clocks need not agree. A leader that could not renew for
`renew_deadline_s` stops its work before others may take over; work that ignores its cancellation is on its own.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from raftsman import errors, logs, times
from raftsman.client import Client
from raftsman.coordination import v1 as coordination

__all__ = ["LeaderElection", "LeadershipLost", "Terms"]

T = TypeVar("T")
log = logs.get(__name__)

JITTER = 1.2
RELEASE_TIMEOUT_S = 5.0


class LeadershipLost(Exception):
    """The lease could not be renewed in time, or is somebody else's; the work was cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Client-go's defaults. ValueError if they could leave two leaders or none."""

    lease_s: float = 15.0
    """How long a lease holds that is not renewed."""

    renew_deadline_s: float = 10.0
    """How long a leader tries to renew before it stops its work."""

    retry_s: float = 2.0

    def __post_init__(self) -> None:
        if self.retry_s <= 0 or self.lease_s < 1:
            raise ValueError("retry_s must be more than 0 and lease_s at least 1: a lease counts whole seconds")
        if self.lease_s <= self.renew_deadline_s:
            raise ValueError(f"lease_s ({self.lease_s:g}) must be greater than renew_deadline_s")
        if self.renew_deadline_s <= JITTER * self.retry_s:
            raise ValueError(f"renew_deadline_s ({self.renew_deadline_s:g}) must be greater than {JITTER:g} × retry_s")


class LeaderElection:
    """One candidate for one lease. `identity` must be its alone; without one, host name, process and a random part."""

    def __init__(
        self, client: Client, name: str, *, namespace: str, identity: str = "", terms: Terms | None = None,
        release: bool = True, on_new_leader: Callable[[str], None] | None = None,
    ) -> None:  # fmt: skip
        self.identity = identity or f"{socket.gethostname()}_{os.getpid()}_{secrets.token_hex(4)}"
        self._client, self._name, self._namespace = client, name, namespace
        self._terms, self._release, self._on_new_leader = terms or Terms(), release, on_new_leader
        self._seen: coordination.Lease | None = None
        self._seen_at = 0.0
        self._leading = False

    @property
    def leader(self) -> str:
        """Who held the lease when it was last looked at; "" for nobody."""
        return self._seen.spec.holder_identity if self._seen is not None else ""

    @property
    def is_leader(self) -> bool:
        return self._leading

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Wait to be the leader, run `work`, give the lease back; what `work` returned or raised.

        Raises LeadershipLost when the lease is lost, after `work` has been cancelled. When it is cancelled itself, it
        cancels `work` and gives the lease back.
        """
        await self._acquire()
        log.info("leading", lease=self._name, identity=self.identity)
        working = asyncio.ensure_future(work())
        renewing = asyncio.create_task(self._renew())
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise LeadershipLost(f"the lease {self._namespace}/{self._name} could not be kept")
        finally:
            for task in (renewing, working):
                task.cancel()
            await asyncio.gather(renewing, working, return_exceptions=True)
            await self._let_go()

    async def _acquire(self) -> None:
        while True:
            if await self._tried(self._terms.renew_deadline_s):
                self._leading = True
                return
            await asyncio.sleep(self._terms.retry_s * random.uniform(1.0, JITTER))

    async def _renew(self) -> None:
        """Return when the lease could not be renewed for `renew_deadline_s`, or is another's."""
        now = asyncio.get_running_loop().time
        deadline = now() + self._terms.renew_deadline_s
        while (left_s := deadline - now()) > 0:
            if await self._tried(left_s):
                deadline = now() + self._terms.renew_deadline_s
            elif self.leader not in ("", self.identity):
                break
            await asyncio.sleep(min(self._terms.retry_s, max(deadline - now(), 0)))
        self._leading = False
        log.warning("no longer leading", lease=self._name, identity=self.identity, leader=self.leader)

    async def _tried(self, timeout_s: float) -> bool:
        """Whether the lease is ours now."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._take()
        except (errors.ApiError, TimeoutError) as error:
            if not isinstance(error, errors.Conflict | errors.AlreadyExists):
                log.warning("lease not reached", lease=self._name, error=f"{type(error).__name__}: {error}")
            if self._leading and isinstance(error, errors.Conflict):
                self._seen = None
            return False

    async def _take(self) -> bool:
        """Create, renew or take over the lease, if that may be."""
        if not (self._leading and self._seen is not None):
            try:
                self._saw(await self._client.get(coordination.Lease, self._name, namespace=self._namespace))
            except errors.NotFound:
                self._saw(await self._client.create(self._wanted(coordination.Lease())))
                return True
        assert self._seen is not None
        if self.leader not in ("", self.identity) and self._holds():
            return False
        self._saw(await self._client.update(self._wanted(self._seen)))
        return True

    def _holds(self) -> bool:
        assert self._seen is not None
        return asyncio.get_running_loop().time() < self._seen_at + self._seen.spec.lease_duration_seconds

    def _wanted(self, old: coordination.Lease) -> coordination.Lease:
        lease = coordination.Lease()
        lease.CopyFrom(old)
        lease.metadata.name, lease.metadata.namespace = self._name, self._namespace
        now = times.micro_now()
        if old.spec.holder_identity != self.identity:
            lease.spec.acquire_time.CopyFrom(now)
            lease.spec.lease_transitions = old.spec.lease_transitions + (1 if old.metadata.uid else 0)
        lease.spec.holder_identity = self.identity
        lease.spec.lease_duration_seconds = math.ceil(self._terms.lease_s)
        lease.spec.renew_time.CopyFrom(now)
        return lease

    def _saw(self, lease: coordination.Lease) -> None:
        """Note when the record changed, by our own clock, and tell of a new leader."""
        before = self._seen
        if before is None or before.spec != lease.spec:
            self._seen_at = asyncio.get_running_loop().time()
        self._seen = lease
        told = self._on_new_leader
        if told is not None and self.leader and (before is None or before.spec.holder_identity != self.leader):
            told(self.leader)

    async def _let_go(self) -> None:
        """Give the lease back, so that the next need not wait for its end."""
        held, self._leading = self._leading, False
        if not (held and self._release):
            return
        try:
            try:
                await self._released(self._seen)
            except errors.Conflict:
                # A renewal that was cancelled on its way may have been written all the same.
                await self._released(None)
        except errors.ApiError as error:
            log.warning("lease not given back", lease=self._name, error=error)

    async def _released(self, seen: coordination.Lease | None) -> None:
        found = seen
        if found is None:
            found = await self._client.get(
                coordination.Lease, self._name, namespace=self._namespace, timeout_s=RELEASE_TIMEOUT_S
            )
        if found.spec.holder_identity != self.identity:
            return
        lease = coordination.Lease()
        lease.CopyFrom(found)
        lease.spec.holder_identity, lease.spec.lease_duration_seconds = "", 1
        lease.spec.renew_time.CopyFrom(times.micro_now())
        self._saw(await self._client.update(lease, timeout_s=RELEASE_TIMEOUT_S))
