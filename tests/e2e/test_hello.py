"""examples/hello on a real one-node cluster: what a first user does, in the order in which they would."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
from raftsman.cluster.layout import Layout
from raftsman.testing import Cluster, eventually

pytestmark = [pytest.mark.root, pytest.mark.podman]

NAMESPACE = ("-n", "hello")


def pods(cluster: Cluster) -> list[dict]:
    """The pods of the deployment that are not being deleted."""
    items = cluster.get("pods", *NAMESPACE, "-l", "app=hello")["items"]
    return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]


def ready_names(cluster: Cluster) -> set[str]:
    def is_ready(pod: dict) -> bool:
        return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))

    return {pod["metadata"]["name"] for pod in pods(cluster) if is_ready(pod)}


def three_ready(cluster: Cluster) -> set[str]:
    return eventually(lambda: (names := ready_names(cluster)) and len(names) == 3 and names)


def ask(cluster: Cluster, url: str, *, times: int = 1, from_pod: str | None = None) -> list[str]:
    """What a URL answers, from the node or from a pod."""
    if from_pod:  # Debian's static busybox crashes on wget -T
        script = f"for i in $(seq {times}); do timeout 5 wget -q -O - {url} || exit 1; done"
        return cluster.raftsman("exec", *NAMESPACE, from_pod, "--", "sh", "-c", script).split()
    script = f"for i in $(seq {times}); do wget -q -T 3 -t 1 -O - {url} || exit 1; done"
    done = cluster.run(["sh", "-c", script])
    assert done.returncode == 0, f"{url}: {done.stderr}"
    return done.stdout.split()


def service_ip(cluster: Cluster, name: str = "hello") -> str:
    return cluster.get("service", name, *NAMESPACE)["spec"]["clusterIP"]


def container_pid(cluster: Cluster, pod: dict) -> int:
    """The process id, on the machine, of the pod's only container: found by its cgroup."""
    uid = pod["metadata"]["uid"]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                cgroup, command = (entry / "cgroup").read_text(), (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if uid in cgroup and b"conmon" not in command and "/conmon" not in cgroup:
                return int(entry.name)
    raise AssertionError(f"no process of pod {uid}")


def restarts(cluster: Cluster, name: str) -> int:
    return cluster.get("pod", name, *NAMESPACE)["status"]["containerStatuses"][0]["restartCount"]


def test_up_again_changes_nothing(cluster: Cluster) -> None:
    before = cluster.get("node")["items"][0]["metadata"]["uid"]
    assert "ran already" in cluster.up()
    assert cluster.get("node")["items"][0]["metadata"]["uid"] == before
    assert cluster.kubeconfig.stat().st_mode & 0o777 == 0o600
    assert cluster.raftsman("kubeconfig", "--path", f"--data-dir={cluster.data_dir}").strip() == str(cluster.kubeconfig)


def test_a_second_cluster_in_the_same_network_namespace_is_refused(cluster: Cluster) -> None:
    said = cluster.fails("up", "--detach", f"--data-dir={cluster.home}/second")
    assert "runs in this network namespace" in said


def test_every_user_finds_what_a_new_cluster_has(cluster: Cluster) -> None:
    names = {item["metadata"]["name"] for item in cluster.get("namespaces")["items"]}
    assert {"default", "kube-system", "kube-public", "kube-node-lease"} <= names
    assert service_ip_of_kubernetes(cluster) == "10.96.0.1"
    for name in ("default", "kube-system"):
        eventually(lambda name=name: cluster.get("serviceaccount", "default", "-n", name))
        root_ca = eventually(lambda name=name: cluster.get("configmap", "kube-root-ca.crt", "-n", name))
        assert "BEGIN CERTIFICATE" in root_ca["data"]["ca.crt"]


def service_ip_of_kubernetes(cluster: Cluster) -> str:
    return cluster.get("service", "kubernetes")["spec"]["clusterIP"]


def test_the_service_address_answers_from_every_replica(hello: Cluster) -> None:
    names = three_ready(hello)
    address = service_ip(hello)
    assert set(ask(hello, f"http://{address}/", times=60)) == names


def test_pods_reach_services_by_name_and_themselves(hello: Cluster) -> None:
    names = three_ready(hello)
    caller = min(names)
    for host in ("hello", "hello.hello", "hello.hello.svc.cluster.local"):
        assert set(ask(hello, f"http://{host}/", times=40, from_pod=caller)) == names, host


def test_the_node_port_answers_from_outside(hello: Cluster) -> None:
    names = three_ready(hello)
    done = hello.run(
        ["sh", "-c", "for i in $(seq 40); do wget -q -T 3 -O - http://172.31.255.2:30080/ || exit 1; done"],
        outside=True,
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == names


def test_pods_reach_the_outside(hello: Cluster, outside_server: str) -> None:
    caller = min(three_ready(hello))
    assert ask(hello, f"http://{outside_server}/", from_pod=caller)


def received_outside(cluster: Cluster) -> int:
    """How many IP packets the world outside has received (proc(5), net/snmp, Ip InReceives)."""
    lines = [line.split() for line in cluster.run(["cat", "/proc/net/snmp"], outside=True).stdout.splitlines()]
    names, values = (line for line in lines if line[0] == "Ip:")
    return int(values[names.index("InReceives")])


def test_addresses_that_nothing_serves_are_refused_here(hello: Cluster) -> None:
    caller = min(three_ready(hello))
    before = received_outside(hello)
    for url in ("http://10.96.77.77/", "http://10.244.0.250:8080/"):
        assert hello.run(["wget", "-q", "-T", "3", "-t", "1", "-O", "-", url]).returncode != 0
        inside = hello.command("exec", *NAMESPACE, caller, "--", "timeout", "3", "wget", "-q", "-O", "-", url)
        assert inside.returncode != 0
    assert received_outside(hello) == before


def test_configuration_and_secrets_reach_the_pod(hello: Cluster) -> None:
    name = min(three_ready(hello))
    environment = hello.raftsman("exec", *NAMESPACE, name, "--", "env")
    assert "KUBERNETES_SERVICE_HOST=10.96.0.1" in environment
    assert "HELLO_SERVICE_HOST" in environment
    token = "/var/run/secrets/kubernetes.io/serviceaccount"
    assert set(hello.raftsman("exec", *NAMESPACE, name, "--", "ls", token).split()) == {"ca.crt", "namespace", "token"}
    assert hello.raftsman("exec", *NAMESPACE, name, "--", "cat", f"{token}/namespace") == "hello"


def test_exec_passes_input_and_the_exit_code(hello: Cluster) -> None:
    name = min(three_ready(hello))
    assert hello.raftsman("exec", "-i", *NAMESPACE, name, "--", "cat", stdin="through\n") == "through\n"
    done = hello.command("exec", *NAMESPACE, name, "--", "sh", "-c", "exit 7")
    assert done.returncode == 7


def test_a_killed_process_is_started_again(hello: Cluster) -> None:
    pod = pods(hello)[0]
    name = pod["metadata"]["name"]
    before = restarts(hello, name)
    os.kill(container_pid(hello, pod), signal.SIGKILL)
    eventually(lambda: restarts(hello, name) == before + 1)
    three_ready(hello)
    assert hello.raftsman("logs", "-p", *NAMESPACE, name) is not None


def test_a_deleted_pod_is_replaced(hello: Cluster) -> None:
    gone = min(three_ready(hello))
    hello.raftsman("delete", "pod", gone, *NAMESPACE)
    assert gone not in eventually(lambda: (names := ready_names(hello)) and len(names) == 3 and names)


def test_a_new_image_rolls_out_and_back_without_an_outage(hello: Cluster) -> None:
    three_ready(hello)
    address = service_ip(hello)
    old = {pod["spec"]["containers"][0]["image"] for pod in pods(hello)}
    container = pods(hello)[0]["spec"]["containers"][0]["name"]
    hello.raftsman("set", "image", "deployment/hello", f"{container}=localhost/raftsman-demo:2", *NAMESPACE)
    hello.raftsman("rollout", "status", "deployment/hello", *NAMESPACE, "--timeout=90s")
    assert {pod["spec"]["containers"][0]["image"] for pod in pods(hello)} == {"localhost/raftsman-demo:2"}
    assert ask(hello, f"http://{address}/", times=10)
    history = hello.raftsman("rollout", "history", "deployment/hello", *NAMESPACE)
    assert re.search(r"^1\s", history, re.M)
    assert re.search(r"^2\s", history, re.M)
    hello.raftsman("rollout", "undo", "deployment/hello", *NAMESPACE)
    hello.raftsman("rollout", "status", "deployment/hello", *NAMESPACE, "--timeout=90s")
    eventually(lambda: {pod["spec"]["containers"][0]["image"] for pod in pods(hello)} == old)


def test_scaling_changes_the_number_of_replicas(hello: Cluster) -> None:
    hello.raftsman("scale", "deployment/hello", "--replicas=5", *NAMESPACE)
    eventually(lambda: len(ready_names(hello)) == 5)
    hello.raftsman("scale", "deployment/hello", "--replicas=3", *NAMESPACE)
    eventually(lambda: len(pods(hello)) == 3)


def test_bad_manifests_name_every_field(cluster: Cluster) -> None:
    manifest = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "Bad_Name"},
        "spec": {"replicas": -1, "selector": {"matchLabels": {"a": "b"}},
                 "template": {"metadata": {"labels": {"a": "c"}}, "spec": {"containers": [{"name": "x"}]}}},
    }  # fmt: skip
    said = cluster.fails("apply", "-f", "-", stdin=json.dumps(manifest))
    for field in ("metadata.name", "spec.replicas", "spec.template.metadata.labels", "containers[0].image"):
        assert field in said, said


def test_state_survives_down_and_up(hello: Cluster) -> None:
    before = {pod["metadata"]["uid"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods(hello)}
    hello.down()
    assert leftovers(hello) == []
    hello.up()
    three_ready(hello)

    def again() -> dict[str, int]:
        return {pod["metadata"]["uid"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods(hello)}

    assert eventually(lambda: again() == {uid: count + 1 for uid, count in before.items()}), again()
    assert ask(hello, f"http://{service_ip(hello)}/", times=3)


def test_down_leaves_nothing(hello: Cluster) -> None:
    hello.down(purge=True)
    assert leftovers(hello) == []
    assert not hello.data_dir.exists()


def leftovers(cluster: Cluster) -> list[str]:
    """What is still there of a cluster that was taken down."""
    instance = Layout.of(cluster.data_dir).instance
    found = [
        line
        for line in Path("/proc/mounts").read_text().splitlines()
        if str(cluster.data_dir) in line or instance in line
    ]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/raftsman-{instance}*")]
    found += cluster.run(["nft", "list", "tables"]).stdout.splitlines()
    found += [
        line for line in cluster.run(["ip", "-br", "link"]).stdout.splitlines() if not line.startswith(("lo", "eth0"))
    ]
    inode = os.stat(f"/run/netns/{cluster.network.node}").st_ino
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.stat(entry / "ns/net").st_ino == inode:
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found
