"""Pods, sandboxes and containers as tests write them down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from raftsman import times
from raftsman.agents.node.pods import fingerprint
from raftsman.agents.node.pods.observation import SANDBOX_LABEL, SPEC_LABEL, Observed
from raftsman.agents.node.runtime import Container, ExitStatus, Phase, Sandbox
from raftsman.core import v1 as core

NOW = datetime(2026, 11, 23, 1, 0, 0, tzinfo=UTC)
SANDBOX = Sandbox(
    pod_uid="uid-1",
    pod_name="web",
    pod_namespace="default",
    hostname="web",
    addresses=("10.244.0.7",),
    cgroup="/raftsman/pod",
    directory=Path("/run/nowhere"),
    created_at=NOW - timedelta(minutes=5),
)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def pod(
    *mains: str, inits: Sequence[str] = (), sidecars: Sequence[str] = (), policy: str = "Always", grace_s: int = 30
) -> core.Pod:
    """A pod with containers of these names (one named `web` if none is given), all of image img:1."""
    made = core.Pod()
    made.metadata.name, made.metadata.namespace, made.metadata.uid = "web", "default", "uid-1"
    made.spec.restart_policy = policy
    made.spec.termination_grace_period_seconds = grace_s
    for name in inits:
        made.spec.init_containers.add(name=name, image="img:1")
    for name in sidecars:
        made.spec.init_containers.add(name=name, image="img:1", restart_policy="Always")
    for name in mains or ("web",):
        made.spec.containers.add(name=name, image="img:1")
    return made


def deleted(made: core.Pod, *, grace_s: int = 30, ago_s: float = 0.0) -> core.Pod:
    """The pod as the API shows it when it was deleted `ago_s` seconds ago."""
    made.metadata.deletion_grace_period_seconds = grace_s
    made.metadata.deletion_timestamp.CopyFrom(times.from_datetime(NOW + timedelta(seconds=grace_s - ago_s)))
    return made


def run(name: str = "web", *, attempt: int = 0, image: str = "img:1", sandbox: Sandbox = SANDBOX) -> Container:
    """A container that has been running for a minute."""
    return Container(
        id=f"{name}-{attempt}",
        pod_uid="uid-1",
        name=name,
        attempt=attempt,
        image=image,
        image_id="sha256:1",
        phase=Phase.RUNNING,
        created_at=ago(61),
        started_at=ago(60),
        log_path=Path("/nowhere"),
        labels={
            SANDBOX_LABEL: sandbox.created_at.isoformat(),
            SPEC_LABEL: fingerprint.of(core.Container(name=name, image=image)),
        },
    )


def ended(container: Container, code: int = 0, *, ago_s: float = 1.0, oom: bool = False) -> Container:
    """The container after its end."""
    status = ExitStatus(
        code=code,
        finished_at=ago(ago_s),
        started_at=container.started_at,
        signal=code - 128 if code > 128 else None,
        oom_killed=oom,
    )
    return replace(container, phase=Phase.EXITED, exit=status)


def observed(*containers: Container, **changes: object) -> Observed:
    """A prepared pod with a sandbox and these containers."""
    base = Observed(sandbox=SANDBOX, containers=containers, prepared=True, on_disk=True, host_ip="192.0.2.1")
    return replace(base, **changes)  # type: ignore[arg-type]
