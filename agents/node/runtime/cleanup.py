"""Take away everything that an agent of this instance ever made on this node, whatever became of the agent.

    python -m raftsman.agents.node.runtime.cleanup --data-dir DIR [--purge] [--grace-s 2]

Works from what is in the kernel and on the disk, in the node's network namespace, with no agent running: containers
(asked to stop first, killed after the grace), sandboxes, links, routes, the nftables table, cgroups, mounts, the run
directory. With --purge also Podman's store with the images. Each step is tried though another failed; what would not
go is told, one line each, and the exit code is 1. Run again it does nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from raftsman import logs
from raftsman.agents.node.network import kernel, node

from . import errors, podman_config
from .cgroups import Cgroups
from .layout import DEFAULT_DATA_DIR, Layout
from .runtime import Runtime, RuntimeConfig
from .service import reclaim
from .specs import Phase

log = logs.get(__name__)

GRACE_S = 2.0
OCI_STATES = (Path("/run/runc"), Path("/run/crun"))


@dataclass(slots=True)
class Report:
    """What would not go."""

    failures: list[str] = field(default_factory=list)

    def attempt(self, what: str, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception as refused:
            self.failures.append(f"{what}: {refused}")


async def teardown_node(data_dir: Path, *, purge: bool = False, grace_s: float = GRACE_S) -> tuple[str, ...]:
    """Take everything away; gives what would not go, a sentence each. Idempotent."""
    layout, report = Layout.of(data_dir), Report()
    report.attempt("podman's service", lambda: reclaim(layout.socket))
    if _anything(layout):
        try:
            await _containers(layout, grace_s)
        except (errors.RuntimeFault, OSError, ExceptionGroup) as refused:
            # What Podman will not remove is killed below, and forgotten by Podman at its next start.
            log.warning("containers were not removed in order", error=refused)
    await asyncio.to_thread(_sweep, layout, report, purge)
    return tuple(report.failures)


async def _containers(layout: Layout, grace_s: float) -> None:
    runtime = Runtime(RuntimeConfig(data_dir=layout.data_dir))
    try:
        await runtime.start()
        containers = runtime.containers.list()
        async with asyncio.TaskGroup() as group:
            for container in containers:
                if container.phase is Phase.RUNNING:
                    group.create_task(runtime.containers.stop(container.id, grace_s=grace_s))
        async with asyncio.TaskGroup() as group:
            for container in containers:
                group.create_task(runtime.containers.remove(container.id))
        for sandbox in runtime.sandboxes.list():
            await runtime.sandboxes.remove(sandbox.pod_uid)
    finally:
        await runtime.stop()


def _sweep(layout: Layout, report: Report, purge: bool) -> None:
    cgroups = _cgroups(layout)
    left = [path.name.removeprefix("libpod-") for path in _container_cgroups(layout)]
    report.attempt("cgroups", lambda: cgroups.remove(layout.cgroup_root, kill=True))
    network = node.PodNetwork(record=layout.network_record, book=layout.addresses, table=layout.nft_table)
    report.attempt("the pod network", network.clear)
    layout.addresses.unlink(missing_ok=True)
    for root in (layout.run_dir, layout.podman_dir):
        for point in kernel.mount_points(str(root)):
            report.attempt(f"mount {point}", functools.partial(kernel.unmount, Path(point)))
    for container_id in left:
        for state in OCI_STATES:
            shutil.rmtree(state / container_id, ignore_errors=True)
    doomed = (layout.run_dir, layout.podman_dir) if purge else (layout.run_dir,)
    for directory in doomed:
        if directory.exists():
            report.attempt(str(directory), functools.partial(shutil.rmtree, directory))
    with contextlib.suppress(OSError):
        layout.run_dir.parent.rmdir()


def _anything(layout: Layout) -> bool:
    return layout.run_dir.exists() or _cgroups(layout).exists()


def _cgroups(layout: Layout) -> Cgroups:
    version = 2 if (podman_config.CGROUPS / "cgroup.controllers").exists() else 1
    return Cgroups(layout.cgroup_root, version)


def _container_cgroups(layout: Layout) -> list[Path]:
    root = _cgroups(layout).directory("memory", layout.cgroup_root)
    return [Path(directory) for directory, _, _ in os.walk(root) if Path(directory).name.startswith("libpod-")]


def main() -> None:
    parser = argparse.ArgumentParser(description="Remove all that Raftsman's node agent made on this machine.")
    parser.add_argument("--data-dir", type=Path, default=DEFAULT_DATA_DIR)
    parser.add_argument("--purge", action="store_true", help="remove images and Podman's store too")
    parser.add_argument("--grace-s", type=float, default=GRACE_S, help="seconds that containers get to end")
    options = parser.parse_args()
    logs.setup("warning")
    failures = asyncio.run(teardown_node(options.data_dir, purge=options.purge, grace_s=options.grace_s))
    for failure in failures:
        print(failure, file=sys.stderr)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
