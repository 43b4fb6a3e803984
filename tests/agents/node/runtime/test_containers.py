"""Containers in their pods, with a real Podman."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from raftsman.agents.node import runtime as node_runtime
from raftsman.agents.node.runtime import cgroups

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def fetch(address: str, path: str = "/") -> str:
    for attempt in range(50):
        try:
            reader, writer = await asyncio.open_connection(address, 8080)
            break
        except OSError:
            assert attempt < 49
            await asyncio.sleep(0.02)
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.decode().partition("\r\n\r\n")[2]


async def output(container: node_runtime.Container) -> str:
    chunks = [chunk async for chunk in node_runtime.read_log(
        container.log_path, node_runtime.LogQuery(follow=True), finished=lambda: True)]  # fmt: skip
    return b"".join(chunks).decode()


def status(container: node_runtime.Container, name: str) -> str:
    return Path(f"/proc/{container.pid}", name).read_text()


async def test_the_demo_image_answers_with_the_pods_name_on_the_pods_address(node):
    sandbox = await node.sandbox(hostname="hello-1")
    container = await node.runtime.containers.run(sandbox, node.container(sandbox))
    assert await fetch(sandbox.addresses[0]) == "hello-1\n"
    assert await fetch(sandbox.addresses[0], "/healthz") == "ok\n"
    assert await fetch(sandbox.addresses[0], "/version") == "1\n"
    ended = await node.runtime.containers.stop(container.id, grace_s=5)
    assert ended.exit.code == 0
    assert (ended.exit.finished_at - ended.started_at).total_seconds() < 3


async def test_an_exit_code_arrives_within_a_moment(node):
    container = await node.run("sh", "-c", "exit 7")
    ended = await asyncio.wait_for(node.runtime.containers.wait(container.id), 2)
    assert (ended.exit.code, ended.exit.signal, ended.exit.oom_killed) == (7, None, False)
    assert ended in node.exits
    assert node.runtime.containers.inspect(container.id).phase is node_runtime.Phase.EXITED


async def test_a_process_that_ignores_the_signal_is_killed_after_its_grace(node):
    container = await node.run("sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    ended = await asyncio.wait_for(node.runtime.containers.stop(container.id, grace_s=0.3), 3)
    assert (ended.exit.code, ended.exit.signal) == (137, 9)


async def test_memory_beyond_the_limit_is_told_as_oom(node):
    container = await node.run("sh", "-c", "tail /dev/zero", resources=node_runtime.Resources(memory_limit=16 << 20))
    ended = await asyncio.wait_for(node.runtime.containers.wait(container.id), 10)
    assert ended.exit.oom_killed
    assert ended.exit.code == 137


async def test_a_command_that_does_not_exist_is_a_run_container_error_and_leaves_nothing(node):
    sandbox = await node.sandbox()
    with pytest.raises(node_runtime.ContainerFault, match="no-such-command") as refused:
        await node.runtime.containers.run(sandbox, node.container(sandbox, "no-such-command"))
    assert refused.value.reason == "RunContainerError"
    assert node.runtime.containers.list(sandbox.pod_uid) == ()


async def test_a_mount_of_nothing_is_a_create_container_error(node):
    sandbox = await node.sandbox()
    mount = node_runtime.Mount(Path("/nowhere/at/all"), "/data")
    with pytest.raises(node_runtime.ContainerFault, match="/nowhere/at/all") as refused:
        await node.runtime.containers.run(sandbox, node.container(sandbox, "true", mounts=(mount,)))
    assert refused.value.reason == "CreateContainerError"


async def test_environment_arguments_identity_and_mounts_are_as_asked(node, tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "note").write_text("from the node")
    script = (
        'id -u; id -g; id -G; echo "$A $HOSTNAME"; pwd; cat /data/note; touch /data/x || echo refused; '
        "grep NoNewPrivs /proc/self/status"
    )
    container = await node.run(
        "sh", "-c", script,
        env={"A": "b c"}, working_dir="/tmp", mounts=(node_runtime.Mount(tmp_path, "/data", read_only=True),),
        security=node_runtime.Security(user=1000, group=2000, supplemental_groups=(3000,), no_new_privileges=True),
    )  # fmt: skip
    await node.runtime.containers.wait(container.id)
    text = await output(container)
    uid, gid, groups, env, cwd, *rest = text.splitlines()
    assert (uid, gid) == ("1000", "2000")
    assert set(groups.split()) == {"2000", "3000"}
    assert env.startswith("b c t-")
    assert cwd == "/tmp"
    assert "from the node" in rest[0]
    assert "refused" in text
    assert "NoNewPrivs:\t1\n" in text


async def test_arguments_alone_replace_the_images_command(node):
    container = await node.run(args=("echo", "only args"))
    await node.runtime.containers.wait(container.id)
    assert await output(container) == "only args\n"


async def test_capabilities_privilege_and_read_only_root(node):
    script = "grep CapEff /proc/self/status; touch /file && echo writable || echo read-only"
    plain = await node.run("sh", "-c", script)
    bare = await node.run(
        "sh", "-c", script,
        security=node_runtime.Security(
            drop_capabilities=("ALL",), add_capabilities=("NET_ADMIN",), read_only_root=True
        ),
    )  # fmt: skip
    mighty = await node.run("sh", "-c", script, security=node_runtime.Security(privileged=True))
    texts = []
    for container in (plain, bare, mighty):
        await node.runtime.containers.wait(container.id)
        texts.append(await output(container))
    masks = [int(text.split()[1], 16) for text in texts]
    assert masks[0] >> 13 & 1, "NET_RAW is among the defaults"
    assert not masks[0] >> 21 & 1
    assert masks[1] == 1 << 12
    assert masks[2] >> 21 & 1, "SYS_ADMIN"
    assert "writable" in texts[0]
    assert "read-only" in texts[1]


@pytest.mark.parametrize(
    ("profile", "mode", "swapoff"),
    [(None, "2", "not permitted"), ("runtime/default", "2", "not permitted"), ("unconfined", "0", "")],
)
async def test_seccomp_filters_unless_unconfined(node, profile, mode, swapoff):
    container = await node.run(
        "sh", "-c", "grep Seccomp: /proc/self/status; swapoff /nothing",
        security=node_runtime.Security(seccomp=profile, add_capabilities=("SYS_ADMIN",)),
    )  # fmt: skip
    await node.runtime.containers.wait(container.id)
    text = await output(container)
    assert text.split()[1] == mode
    assert swapoff in text


async def test_two_containers_of_a_pod_share_network_hostname_and_memory(node):
    sandbox = await node.sandbox(hostname="shared")
    await node.runtime.containers.run(sandbox, node.container(sandbox, name="web"))
    await fetch(sandbox.addresses[0])
    other = await node.runtime.containers.run(
        sandbox,
        node.container(sandbox, "sh", "-c", "echo x > /dev/shm/y; wget -qO- 127.0.0.1:8080; hostname", name="b"),
    )
    await node.runtime.containers.wait(other.id)
    assert await output(other) == "shared\nshared\n"
    assert (sandbox.directory / "shm" / "y").exists()


async def test_limits_reach_the_cgroups_of_pod_and_container(node):
    limits = node_runtime.Resources(cpu_shares=300, cpu_quota_us=50_000, memory_limit=64 << 20)
    sandbox = await node.sandbox(qos=node_runtime.Qos.BURSTABLE, resources=limits)
    container = await node.runtime.containers.run(
        sandbox,
        node.container(sandbox, "sleep", "100", resources=node_runtime.Resources(cpu_shares=200, oom_score_adj=700)),
    )
    tree: cgroups.Cgroups = node.runtime.cgroups
    if tree.version == 1:
        assert (tree.directory("memory", sandbox.cgroup) / "memory.limit_in_bytes").read_text().strip() == str(64 << 20)
        assert (tree.directory("cpu", sandbox.cgroup) / "cpu.cfs_quota_us").read_text().strip() == "50000"
        inner = tree.directory("cpu", sandbox.cgroup) / f"libpod-{container.id}"
        assert (inner / "cpu.shares").read_text().strip() == "200"
    assert status(container, "oom_score_adj").strip() == "700"
    assert (await node.runtime.containers.usage(container.id)).pids == 1
    assert (await node.runtime.sandboxes.usage(sandbox.pod_uid)).memory_bytes > 0


async def test_images_are_found_never_pulled_or_refused_by_name(node):
    images = node.runtime.images
    found = await images.ensure("localhost/raftsman-demo:2", node_runtime.PullPolicy.ALWAYS)
    assert "RAFTSMAN_DEMO_VERSION=2" in found.env
    assert {tag for image in await images.list() for tag in image.tags} >= {"localhost/raftsman-demo:1"}
    with pytest.raises(node_runtime.ImageNeverPull):
        await images.ensure("nginx", node_runtime.PullPolicy.NEVER)
    with pytest.raises(node_runtime.ImageNeverPull):
        await images.ensure("localhost/none", node_runtime.PullPolicy.ALWAYS)
    with pytest.raises(node_runtime.InvalidImageName):
        await images.ensure("Not An Image", node_runtime.PullPolicy.ALWAYS)


async def test_an_image_that_cannot_be_pulled_says_why(node):
    with pytest.raises(node_runtime.ImagePullError, match=r"127\.0\.0\.1:9/none"):
        await node.runtime.images.ensure("127.0.0.1:9/none:1", node_runtime.PullPolicy.IF_NOT_PRESENT)
