"""What the agent remembers of one pod between two looks at it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from raftsman.agents.node.runtime import Container
from raftsman.core import v1 as core

from .observation import EVICTED_REASON, Backoff, Fault

SANDBOX = ""
"""Stands for the sandbox and the volumes where containers go by name."""


@dataclass(slots=True)
class Stopping:
    """A stop that is under way."""

    task: asyncio.Task[None]
    deadline: float
    """On the loop's clock."""


@dataclass(slots=True)
class Start:
    """A start that is under way; only what comes before the container exists may be cancelled."""

    task: asyncio.Task[None]
    cancellable: bool = True
    aborted: bool = False


@dataclass(slots=True)
class Record:
    """Mutable, and touched only on the agent's loop."""

    uid: str
    pod: core.Pod
    """The newest state that is known, from the watch or from an own write."""
    present: bool = True
    """Whether the API still has it."""
    faults: dict[str, Fault] = field(default_factory=dict)
    backoffs: dict[str, Backoff] = field(default_factory=dict)
    starts: dict[str, Start] = field(default_factory=dict)
    stopping: dict[str, Stopping] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    resizes: set[str] = field(default_factory=set)
    """Ids of containers whose limits are being changed."""
    resize_faults: dict[str, tuple[float, str]] = field(default_factory=dict)
    """By container id: until when (on the loop's clock) it is not tried again, and why it failed."""
    prepared: bool = False
    final: core.PodStatus | None = None
    """The status of a deleted pod, taken before what proves it was removed."""
    ending: asyncio.Task[None] | None = None
    """Teardown or finish, while under way."""
    refreshing: bool = False
    evicted: str | None = None
    evicted_as: str = EVICTED_REASON
    measure_at: float = 0.0
    """On the loop's clock: when the sizes of volumes are looked at next."""
    timer: asyncio.TimerHandle | None = None
    seen_at: float = 0.0
    """On the loop's clock: when the agent first heard of the pod."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def key(self) -> str:
        return f"{self.pod.metadata.namespace}/{self.pod.metadata.name}"

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` on behalf of the pod."""
        task = asyncio.create_task(work, name=f"{name} {self.key}")
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def abort(self) -> None:
        """Give up the starts that are under way and may be."""
        for start in self.starts.values():
            if start.cancellable and not start.aborted:
                start.aborted = True
                start.task.cancel()

    def forget_dead(self, containers: tuple[Container, ...]) -> None:
        """Drop the messages of containers that are no more."""
        ids = {c.id for c in containers}
        for gone in [one for one in self.messages if one not in ids]:
            del self.messages[gone]


def revision_of(pod: core.Pod) -> int:
    return int(pod.metadata.resource_version or 0)
