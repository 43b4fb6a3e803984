"""What a new agent finds after the old one ended, and what is left after the node is taken down."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from raftsman.agents.node import runtime as node_runtime
from raftsman.agents.node.network import kernel
from raftsman.agents.node.runtime import cleanup

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def told(*command: str) -> str:
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    return done.stdout


async def again(node) -> node_runtime.Runtime:
    """A second agent on the same instance, after the first has stopped watching."""
    await node.runtime.stop()
    second = node_runtime.Runtime(node_runtime.RuntimeConfig(data_dir=node.runtime.layout.data_dir))
    await second.start()
    await second.network.configure(
        node_runtime.NodeNetwork(pod_cidr="10.244.7.0/24", cluster_cidr="10.244.0.0/16", service_cidr="10.96.0.0/16")
    )
    node.runtime = second
    return second


async def test_everybody_who_comes_while_the_service_starts_waits_for_it(node):
    await node.runtime.service.stop()
    first = asyncio.create_task(node.runtime.api.get("/version"))
    while node.runtime.service.pid is None:  # noqa: ASYNC110 - the process id is told to nobody
        await asyncio.sleep(0)
    answers = await asyncio.gather(first, *(node.runtime.api.get("/version") for _ in range(3)))
    assert all(answer["Version"] for answer in answers)


async def test_a_new_agent_knows_the_running_and_the_dead(node):
    living = await node.run("sleep", "1000", labels={"keep": "me"})
    dying = await node.run("sleep", "1000")
    dead = await node.run("sh", "-c", "exit 4")
    await node.runtime.containers.wait(dead.id)
    sandboxes = node.runtime.sandboxes.list()
    old = node.runtime
    await old.stop()
    os.kill(dying.pid, signal.SIGKILL)
    runtime = await again(node)
    assert {sandbox.pod_uid for sandbox in runtime.sandboxes.list()} == {sandbox.pod_uid for sandbox in sandboxes}
    found = runtime.containers.inspect(living.id)
    assert (found.phase, found.pid, found.name, found.labels) == (
        node_runtime.Phase.RUNNING,
        living.pid,
        "main",
        {"keep": "me"},
    )
    assert found.log_path == living.log_path
    assert (await asyncio.wait_for(runtime.containers.wait(dying.id), 5)).exit.code == 137
    assert runtime.containers.inspect(dead.id).exit.code == 4
    assert (await runtime.containers.stop(living.id, grace_s=0)).exit.signal == 9


async def test_addresses_are_unique_across_agents_and_come_back_after_removal(node):
    first = [await node.sandbox() for _ in range(3)]
    runtime = await again(node)
    second = [await runtime.sandboxes.create(node.pod()) for _ in range(3)]
    taken = [sandbox.addresses[0] for sandbox in first + second]
    assert len(set(taken)) == 6
    same = await runtime.sandboxes.create(node.pod(pod_uid=first[0].pod_uid))
    assert same == first[0]
    for sandbox in first + second:
        await runtime.sandboxes.remove(sandbox.pod_uid)
        await runtime.sandboxes.remove(sandbox.pod_uid)
        assert not sandbox.directory.exists()
        assert kernel.mount_points(str(sandbox.directory)) == []
    assert not set(taken) & set(node.runtime.sandboxes._network.addresses.held().values())


async def test_podmans_service_comes_back_after_it_was_killed(node):
    os.kill(node.runtime.service.pid, signal.SIGKILL)
    await asyncio.sleep(0.05)
    container = await node.run("sleep", "100")
    assert container.phase is node_runtime.Phase.RUNNING


async def test_podmans_service_is_stopped_while_nobody_needs_it(node):
    node.runtime.service._idle_s = 0.05
    await node.runtime.images.list()
    for _ in range(100):
        if node.runtime.service.pid is None:
            break
        await asyncio.sleep(0.02)
    assert node.runtime.service.pid is None
    assert await node.runtime.images.list()


async def test_a_second_agent_on_the_same_directory_is_refused(node):
    await node.runtime.service.ensure()
    pid_file = node.runtime.layout.socket.with_suffix(".pid")
    kept = pid_file.read_text()
    pid_file.unlink()
    other = node_runtime.Runtime(node_runtime.RuntimeConfig(data_dir=node.runtime.layout.data_dir))
    with pytest.raises(node_runtime.Unavailable, match="another process serves"):
        await other.start()
    pid_file.write_text(kept)


async def test_after_a_reboot_old_pods_are_known_as_ended_and_new_ones_start(node):
    container = await node.run("sleep", "1000")
    sandbox = node.runtime.sandboxes.get(container.pod_uid)
    layout = node.runtime.layout
    await node.runtime.stop()
    await asyncio.to_thread(reboot, layout)
    runtime = await again(node)
    assert runtime.sandboxes.list() == ()
    found = runtime.containers.inspect(container.id)
    assert found.phase is not node_runtime.Phase.RUNNING
    await runtime.containers.remove(container.id)
    same = await runtime.sandboxes.create(node.pod(pod_uid=sandbox.pod_uid))
    anew = await runtime.containers.run(same, node.container(same, "sleep", "1000"))
    assert anew.phase is node_runtime.Phase.RUNNING
    await runtime.sandboxes.remove(sandbox.pod_uid)


def reboot(layout: node_runtime.Layout) -> None:
    """What is left of an instance whose /run is on a disk: files, but no process, mount, cgroup or link."""
    tree = cleanup._cgroups(layout)
    runc = [path.name.removeprefix("libpod-") for path in cleanup._container_cgroups(layout)]
    tree.remove(layout.cgroup_root, kill=True)
    for root in (layout.run_dir, layout.podman_dir):
        for point in kernel.mount_points(str(root)):
            kernel.unmount(Path(point))
    for container_id in runc:
        shutil.rmtree(Path("/run/runc", container_id), ignore_errors=True)
    (layout.run_dir / "boot_id").write_text("another")


async def test_a_fresh_process_takes_everything_away_after_the_agent_was_killed(node, data_dir):
    await node.run("sleep", "1000")
    await node.run("sleep", "1000")
    await node.runtime.stop()
    command = [sys.executable, "-m", "raftsman.agents.node.runtime.cleanup", "--data-dir", data_dir, "--grace-s", "0"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    layout = node.runtime.layout
    assert not layout.run_dir.exists()
    assert kernel.mount_points(str(layout.podman_dir)) == []
    assert not cleanup._cgroups(layout).exists()
    assert ": rm" not in await told("ip", "-o", "link")
    assert await told("ip", "route") == ""
    assert await told("nft", "list", "tables") == ""
    assert (layout.graph_root / "overlay-images" / "images.json").exists()
    assert layout.instance not in await told("ps", "-ef")
