"""Looks at one pod: joins what the runtime, the prober, the volumes and the pod's record hold into an `Observed`.

From memory alone, but for a dead container's termination message, a few kilobytes once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

from raftsman.agents.node.probes.handlers import Target
from raftsman.agents.node.probes.prober import Prober
from raftsman.agents.node.runtime import Container, Phase, Runtime
from raftsman.agents.node.settings import Settings
from raftsman.agents.node.volumes.volumes import Volumes
from raftsman.core import v1 as core

from . import resizing, specs, termination
from .observation import Health, Observed, specs_of
from .record import Record

ADOPTED_S = 1.0
"""A container that has run for longer when its probes begin was started before this agent."""


class Observer:
    """Observes, and has the prober follow what runs."""

    def __init__(self, settings: Settings, runtime: Runtime, *, volumes: Volumes, prober: Prober) -> None:
        self._settings = settings
        self._runtime = runtime
        self._volumes = volumes
        self._prober = prober

    def observe(self, record: Record, *, network_ready: bool, room: resizing.Room) -> Observed:
        """What is known of the pod now."""
        clock = asyncio.get_running_loop().time()
        failed = {one: why for one, (until, why) in record.resize_faults.items() if until > clock}
        containers = self._runtime.containers.list(record.uid)
        record.forget_dead(containers)
        return Observed(
            sandbox=self._runtime.sandboxes.get(record.uid),
            containers=containers,
            health=self._health(record, containers),
            faults=dict(record.faults),
            backoffs=dict(record.backoffs),
            busy=frozenset(record.starts),
            stopping=frozenset(record.stopping),
            messages=record.messages,
            prepared=record.prepared,
            on_disk=self._volumes.has(record.uid),
            network_ready=network_ready,
            host_ip=self._settings.node_ip,
            evicted=record.evicted,
            evicted_as=record.evicted_as,
            unfit=resizing.blocked(record.pod, room),
            resizing=frozenset(record.resizes | failed.keys()),
            resize_failed=next(iter(failed.values()), ""),
            doomed=None if record.present else "deleted from the API",
        )

    def keep_message(self, record: Record, container: Container) -> None:
        """Read what an ended container left to say."""
        spec = spec_of(record.pod, container.name)
        if spec is not None:
            path = specs.message_path(self._settings, record.uid, container.name, container.attempt)
            record.messages[container.id] = termination.message_of(spec, container, path)

    def _health(self, record: Record, containers: Iterable[Container]) -> dict[str, Health]:
        found: dict[str, Health] = {}
        for container in containers:
            if container.phase is Phase.RUNNING and container.name not in record.starts:
                self._watch(record, container)
                health = self._prober.health(container.id)
                if health is not None:
                    found[container.id] = health
            elif container.phase is Phase.EXITED:
                self._prober.forget(container.id)
                if container.id not in record.messages:
                    self.keep_message(record, container)
        return found

    def _watch(self, record: Record, container: Container) -> None:
        if self._prober.watches(container.id) or container.id in record.stopping:
            return
        spec = spec_of(record.pod, container.name)
        sandbox = self._runtime.sandboxes.get(record.uid)
        if spec is None or sandbox is None:
            return
        address = sandbox.addresses[0] if sandbox.addresses else self._settings.node_ip
        age_s = (datetime.now(UTC) - (container.started_at or container.created_at)).total_seconds()
        target = Target(container, spec, address)
        self._prober.watch(record.uid, target, age_s=age_s if age_s > ADOPTED_S else 0.0)


def spec_of(pod: core.Pod, name: str) -> core.Container | None:
    """The specification of a container, of whichever kind."""
    every = specs_of(pod)
    return next((spec for spec in every if spec.name == name), None)
