"""What a pod's containers share, and what a pod may not ask for."""

from __future__ import annotations

import asyncio
import socket

import pytest
from raftsman.agents.node import runtime as node_runtime
from raftsman.agents.node.runtime import pause

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def output(node, sandbox, script: str, **changes: object) -> str:
    container = await node.runtime.containers.run(sandbox, node.container(sandbox, "sh", "-c", script, **changes))
    await asyncio.wait_for(node.runtime.containers.wait(container.id), 10)
    chunks = node_runtime.read_log(container.log_path, node_runtime.LogQuery(), finished=lambda: True)
    return b"".join([chunk async for chunk in chunks]).decode()


async def test_names_and_resolver_are_the_pods_own(node):
    sandbox = await node.sandbox(
        hostname="web-0", domain="web.default.svc.cluster.local",
        dns=node_runtime.Dns(("10.96.0.10",), ("default.svc.cluster.local", "svc.cluster.local"), ("ndots:5",)),
        host_aliases=(node_runtime.HostAlias("192.0.2.1", ("far", "far.example")),),
    )  # fmt: skip
    text = await output(node, sandbox, "hostname; cat /etc/hostname /etc/hosts /etc/resolv.conf")
    assert text.startswith("web-0\nweb-0\n127.0.0.1\tlocalhost\n")
    assert f"{sandbox.addresses[0]}\tweb-0.web.default.svc.cluster.local\tweb-0\n" in text
    assert "192.0.2.1\tfar far.example\n" in text
    assert text.endswith("nameserver 10.96.0.10\nsearch default.svc.cluster.local svc.cluster.local\noptions ndots:5\n")


async def test_a_pod_binds_any_port_without_privilege_and_has_its_sysctls(node):
    sandbox = await node.sandbox(sysctls={"net.core.somaxconn": "77"})
    nobody = node_runtime.Security(user=65534, drop_capabilities=("ALL",))
    script = "cd /proc/sys/net; cat core/somaxconn ipv4/ping_group_range; timeout 0.2 nc -l -p 80; echo $?"
    text = await output(node, sandbox, script, security=nobody)
    assert text.split()[:3] == ["77", "0", "2147483647"]
    assert "143" in text.split(), "it listened until its time was up"


async def test_a_host_network_pod_has_the_nodes_interfaces_and_no_address(node):
    sandbox = await node.sandbox(host_network=True)
    assert sandbox.addresses == ()
    text = await output(node, sandbox, "ip addr; hostname")
    assert "10.244.7.1/32" in text
    assert socket.gethostname() in text


@pytest.mark.parametrize(
    "wish",
    [
        {"sysctls": {"vm.overcommit_memory": "1"}},
        {"sysctls": {"net.ipv4.ip_forward": "1"}, "host_network": True},
        {"sysctls": {"net.../../kernel.panic": "1"}},
    ],
)
async def test_what_a_pod_cannot_have_is_refused_by_name(node, wish):
    with pytest.raises(node_runtime.Unsupported):
        await node.sandbox(**wish)


async def test_a_uid_that_is_a_path_is_refused(node):
    with pytest.raises(node_runtime.SandboxFault):
        await node.sandbox(pod_uid="../x")


async def test_creating_twice_gives_the_same_and_removing_twice_is_quiet(node):
    spec = node.pod()
    first, second = await asyncio.gather(*(node.runtime.sandboxes.create(spec) for _ in range(2)))
    assert first is second
    await asyncio.gather(*(node.runtime.sandboxes.remove(spec.pod_uid) for _ in range(2)))
    assert node.runtime.sandboxes.get(spec.pod_uid) is None


async def test_a_cancelled_start_leaves_nothing_behind(node):
    for pause_s in (0, 0.001, 0.003, 0.006, 0.012, 0.03, 0.06):
        spec = node.pod()

        async def start(spec=spec) -> None:
            sandbox = await node.runtime.sandboxes.create(spec)
            await node.runtime.containers.run(sandbox, node.container(sandbox, "sleep", "100"))

        task = asyncio.create_task(start())
        await asyncio.sleep(pause_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.gather(*node.runtime.containers._working, return_exceptions=True)
        await node.runtime.sandboxes.remove(spec.pod_uid)
        assert not (node.runtime.layout.namespaces / spec.pod_uid).exists()
    listed = await node.runtime.api.get("/containers/json", {"all": True})
    assert {entry["Id"] for entry in listed or []} == {one.id for one in node.runtime.containers.list()}


async def test_a_pod_before_the_network_is_told_so(node, tmp_path):
    other = node_runtime.Runtime(node_runtime.RuntimeConfig(data_dir=tmp_path))
    with pytest.raises(node_runtime.SandboxFault, match="no pod CIDR") as refused:
        other.sandboxes._address(node.pod())
    assert refused.value.reason == "NetworkNotReady"


async def test_containers_that_share_processes_have_them_held_until_the_sandbox_goes(node):
    sandbox = await node.sandbox(share_process_namespace=True)
    assert pause.alive(sandbox.directory, sandbox.pause_pid)
    assert "catatonit" in await output(node, sandbox, "ps")
    await node.runtime.sandboxes.remove(sandbox.pod_uid)
    assert not pause.alive(sandbox.directory, sandbox.pause_pid)
    assert not sandbox.directory.exists()
