"""Containers: created, started, stopped and removed, and known by heart.

What exists is kept in memory, read once from Podman at the start (by label) and then changed by what happens here:
`list` and `inspect` cost nothing. Deaths arrive through `ExitWatch`; every listener of `on_exit` is called on the loop
with the container as it ended.
"""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from raftsman import logs

from . import errors, podman_config, spec_generator
from .api import PodmanApi
from .attachments import Attached, Attachments
from .cgroups import Cgroups
from .exec import OUTPUT_MAX, Execs, Stream
from .exits import Death, ExitWatch
from .images import Images
from .layout import Layout
from .specs import Container, ContainerSpec, ExecResult, ExitStatus, Phase, Resources, Sandbox, Usage

log = logs.get(__name__)

KILL_WAIT_S = 15.0
SIGNAL_BASE = 128
PODMAN_PHASES = {"running": Phase.RUNNING, "paused": Phase.RUNNING, "stopping": Phase.RUNNING,
                 "exited": Phase.EXITED, "stopped": Phase.EXITED}  # fmt: skip
Listener = Callable[[Container], None]


class Containers:
    """All containers of this instance. Methods raise NotFound for an id that is not known."""

    def __init__(self, layout: Layout, api: PodmanApi, cgroups: Cgroups, *, images: Images, oci_runtime: str) -> None:
        self._images = images
        self._execs = Execs(layout, api, oci_runtime)
        self._attachments = Attachments(layout)
        self._layout, self._api, self._cgroups = layout, api, cgroups
        self._oom_score_least = podman_config.oom_score_least()
        # Without a profile of the distribution's there is none of ours: Podman's built-in one counts then.
        self._profile = layout.seccomp_profile if layout.seccomp_profile.exists() else Path("runtime/default")
        self._known: dict[str, Container] = {}
        self._parents: dict[str, str] = {}
        self._ended: dict[str, asyncio.Event] = {}
        self._oom: set[str] = set()
        self._listeners: list[Listener] = []
        self._working: set[asyncio.Task[Container]] = set()
        self._exits = ExitWatch(layout.exit_dir, dying=self._note_oom, ended=self._record_death)

    async def adopt(self) -> None:
        """Read what exists from Podman and watch what runs."""
        params: dict[str, str | int | bool] = {"all": True, "filters": f'{{"label":["{spec_generator.POD_UID}"]}}'}
        for entry in await self._api.get("/containers/json", params) or []:
            container = _listed(entry)
            self._keep(container)
            if container.phase is Phase.RUNNING:
                self._parents[container.id] = _cgroup_of(container.pid)
                self._exits.watch(container.id, container.pid)

    def on_exit(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def list(self, pod_uid: str | None = None) -> tuple[Container, ...]:
        """From memory, oldest first."""
        found = (one for one in self._known.values() if pod_uid is None or one.pod_uid == pod_uid)
        return tuple(sorted(found, key=lambda one: one.created_at))

    def inspect(self, container_id: str) -> Container:
        """From memory."""
        try:
            return self._known[container_id]
        except KeyError:
            raise errors.NotFound(f"no container {container_id[:12]}") from None

    async def run(self, sandbox: Sandbox, spec: ContainerSpec) -> Container:
        """Create and start. When the start fails the container is removed again."""
        container = await self.create(sandbox, spec)
        try:
            return await self.start(container.id)
        except errors.RuntimeFault:
            await self.remove(container.id)
            raise

    async def create(self, sandbox: Sandbox, spec: ContainerSpec) -> Container:
        """ContainerFault with reason CreateContainerError when Podman or the file system refuses.

        A cancelled caller leaves nothing unknown: the creation is finished, and `remove` finds it.
        """
        return await asyncio.shield(self._finished(self._create(sandbox, spec)))

    async def start(self, container_id: str) -> Container:
        """ContainerFault with reason RunContainerError when the OCI runtime refuses (no such command, wrong mount)."""
        self.inspect(container_id)
        try:
            await self._api.post(f"/containers/{container_id}/start", fault=errors.ContainerFault)
        except errors.ContainerFault as refused:
            raise errors.ContainerFault(_without_noise(refused.message), reason="RunContainerError") from refused
        pid = self._pid(container_id)
        started = dataclasses.replace(
            self.inspect(container_id), phase=Phase.RUNNING, pid=pid, started_at=datetime.now(UTC)
        )
        self._keep(started)
        self._exits.watch(container_id, pid)
        return started

    async def stop(self, container_id: str, *, grace_s: float, signal_number: int | None = None) -> Container:
        """Signal, wait at most `grace_s` seconds, SIGKILL. Gives the container as it ended."""
        container = self.inspect(container_id)
        if container.phase is not Phase.RUNNING:
            return container
        if grace_s > 0:
            self._exits.send(container_id, signal_number or container.stop_signal)
            try:
                async with asyncio.timeout(grace_s):
                    return await self.wait(container_id)
            except TimeoutError:
                pass
        return await self._kill_and_wait(container_id)

    def kill(self, container_id: str, number: int = signal.SIGKILL) -> bool:
        """Signal the container's first process; False if it is not running."""
        self.inspect(container_id)
        return self._exits.send(container_id, number)

    async def wait(self, container_id: str) -> Container:
        """The container once it has ended."""
        self.inspect(container_id)
        await self._ended[container_id].wait()
        return self.inspect(container_id)

    async def remove(self, container_id: str) -> None:
        """Kill if it runs, and delete. Idempotent."""
        container = self._known.get(container_id)
        if container is None:
            return
        if container.phase is Phase.RUNNING:
            await self._kill_and_wait(container_id)
        await self._delete(container_id)
        self._known.pop(container_id, None)
        self._parents.pop(container_id, None)
        self._ended.pop(container_id, None)
        self._oom.discard(container_id)

    async def exec(
        self, container_id: str, command: Sequence[str], *, timeout_s: float, output_max: int = OUTPUT_MAX
    ) -> ExecResult:
        """For probes and hooks: run to the end. ExecTimeout, ExecFault."""
        return await self._execs.run(self.inspect(container_id), command, timeout_s=timeout_s, output_max=output_max)

    async def open_exec(self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool) -> Stream:
        """For users: a running command's streams. ExecFault."""
        return await self._execs.open(self.inspect(container_id), command, tty=tty, stdin=stdin)

    async def attach(self, container_id: str, *, stdin_stays: bool = False) -> Attached:
        """The streams of the container's first process; with `stdin_stays` its input outlives the caller. ExecFault."""
        return await self._attachments.open(self.inspect(container_id), stdin_stays=stdin_stays)

    async def update(self, container_id: str, resources: Resources, labels: Mapping[str, str]) -> None:
        """Change a running container's limits, and what its labels say here; Podman keeps those of its making.

        SandboxFault if the kernel refuses.
        """
        self.inspect(container_id)
        parent = self._parents[container_id]
        await self._api.blocking(lambda: self._cgroups.limit(parent, resources))
        container = self.inspect(container_id)
        self._keep(dataclasses.replace(container, labels={**container.labels, **labels}))

    async def usage(self, container_id: str) -> Usage:
        self.inspect(container_id)
        return self._cgroups.usage(self._parents[container_id])

    def close(self) -> None:
        """Stop watching; the containers go on."""
        self._attachments.close()
        self._exits.close()

    async def _create(self, sandbox: Sandbox, spec: ContainerSpec) -> Container:
        spec.log_path.parent.mkdir(parents=True, exist_ok=True)
        image = await self._images.find(spec.image)
        if spec.stop_signal is None and image is not None and image.stop_signal:
            spec = dataclasses.replace(spec, stop_signal=image.stop_signal)
        body = spec_generator.document(
            sandbox, spec, seccomp_profile=self._profile, oom_score_least=self._oom_score_least
        )
        try:
            answer = await self._api.post("/containers/create", body, fault=errors.ContainerFault)
        except errors.ContainerFault as refused:
            if "already in use" not in refused.message:
                raise
            # An agent that was killed between creating and remembering left it; nothing ran in it.
            await self._delete(body["name"])
            answer = await self._api.post("/containers/create", body, fault=errors.ContainerFault)
        container = Container(
            id=answer["Id"], pod_uid=sandbox.pod_uid, name=spec.name, attempt=spec.attempt, image=spec.image,
            image_id=image.id if image else "", phase=Phase.CREATED, created_at=datetime.now(UTC),
            log_path=spec.log_path, stop_signal=body.get("stop_signal", signal.SIGTERM), tty=spec.tty,
            labels=dict(spec.labels),
        )  # fmt: skip
        self._keep(container)
        self._parents[container.id] = f"{sandbox.cgroup}/libpod-{container.id}"
        return container

    def _finished(self, work: Coroutine[Any, Any, Container]) -> asyncio.Task[Container]:
        """A task that goes on though its waiter is cancelled."""
        task = asyncio.get_running_loop().create_task(work)
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return task

    async def _kill_and_wait(self, container_id: str) -> Container:
        self._exits.send(container_id, signal.SIGKILL)
        try:
            async with asyncio.timeout(KILL_WAIT_S):
                return await self.wait(container_id)
        except TimeoutError:
            raise errors.ContainerFault(
                f"container {container_id[:12]} did not die of SIGKILL within {KILL_WAIT_S:.0f} s"
            ) from None

    async def _delete(self, reference: str) -> None:
        params: dict[str, str | int | bool] = {"force": True, "timeout": 0, "volumes": True}
        try:
            await self._api.delete(f"/containers/{reference}", params)
        except errors.NotFound:
            pass

    def _keep(self, container: Container) -> None:
        self._known[container.id] = container
        ended = self._ended.setdefault(container.id, asyncio.Event())
        if container.phase is Phase.EXITED:
            ended.set()

    def _pid(self, container_id: str) -> int:
        path = self._layout.run_root / "overlay-containers" / container_id / "userdata" / "pidfile"
        try:
            return int(path.read_text())
        except (OSError, ValueError):
            # Podman's clean-up was faster: the container has ended already, and no process has number 2**22 + 1.
            return 2**22 + 1

    def _note_oom(self, container_id: str) -> None:
        if self._cgroups.oom_kills(self._parents.get(container_id, "/nowhere")) > 0:
            self._oom.add(container_id)

    async def _record_death(self, death: Death) -> None:
        container = self._known.get(death.container_id)
        if container is None:
            return
        code, at = death.code, death.at
        if code is None:
            code, at = await self._stored_exit(death)
        number = code - SIGNAL_BASE if SIGNAL_BASE < code < SIGNAL_BASE + 65 else None
        status = ExitStatus(
            code=code, finished_at=at, started_at=container.started_at, signal=number,
            oom_killed=death.container_id in self._oom and number == signal.SIGKILL,
        )  # fmt: skip
        ended = dataclasses.replace(container, phase=Phase.EXITED, pid=0, exit=status)
        self._keep(ended)
        for listener in self._listeners:
            try:
                listener(ended)
            except Exception:
                log.exception("exit listener failed", container=ended.name, pod=ended.pod_uid)

    async def _stored_exit(self, death: Death) -> tuple[int, datetime]:
        """From Podman's own books: for a container that ended while nobody watched."""
        try:
            state = (await self._api.get(f"/containers/{death.container_id}/json"))["State"]
        except errors.RuntimeFault:
            return 255, death.at
        finished = _instant(state.get("FinishedAt", ""))
        return int(state.get("ExitCode", 255)), finished or death.at


def _listed(entry: dict[str, Any]) -> Container:
    """One element of Podman's container list."""
    labels: dict[str, str] = entry.get("Labels") or {}
    phase = PODMAN_PHASES.get(entry["State"], Phase.CREATED)
    started = datetime.fromtimestamp(entry["StartedAt"], UTC) if entry.get("StartedAt", 0) > 0 else None
    status = None
    if phase is Phase.EXITED:
        code = int(entry.get("ExitCode", 0))
        at = datetime.fromtimestamp(max(entry.get("ExitedAt", 0), 0) or time.time(), UTC)
        number = code - SIGNAL_BASE if SIGNAL_BASE < code < SIGNAL_BASE + 65 else None
        status = ExitStatus(code=code, finished_at=at, started_at=started, signal=number)
    return Container(
        id=entry["Id"], pod_uid=labels[spec_generator.POD_UID], name=labels.get(spec_generator.CONTAINER_NAME, ""),
        attempt=int(labels.get(spec_generator.ATTEMPT, 0)), image=entry.get("Image", ""),
        image_id=entry.get("ImageID", ""), phase=phase, created_at=_instant(str(entry["Created"])) or datetime.now(UTC),
        log_path=Path(labels.get(spec_generator.LOG_PATH, "")), pid=int(entry.get("Pid", 0)), started_at=started,
        exit=status, tty=labels.get(spec_generator.TTY) == "1",
        stop_signal=int(labels.get(spec_generator.STOP_SIGNAL, signal.SIGTERM)),
        labels={key: value for key, value in labels.items() if not key.startswith(spec_generator.LABEL)},
    )  # fmt: skip


def _instant(text: str) -> datetime | None:
    """A Go time in RFC 3339 with up to nine decimals, or None for its zero value."""
    if not text or text.startswith("0001-"):
        return None
    head, _, tail = text.partition(".")
    if tail:
        digits = "".join(char for char in tail[:9] if char.isdigit())[:6]
        zone = tail.lstrip("0123456789")
        text = f"{head}.{digits:0<6}{zone}"
    return datetime.fromisoformat(text).astimezone(UTC)


def _cgroup_of(pid: int) -> str:
    """The process's cgroup in the memory controller (v1) or the only one (v2)."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return "/nowhere"
    found = {name: path for _, name, path in (line.split(":", 2) for line in lines)}
    return found.get("memory") or found.get("") or "/nowhere"


def _without_noise(message: str) -> str:
    """Podman's start error without the name of the OCI runtime's step in front."""
    return message.removeprefix("runc: ").removeprefix("crun: ").strip()
