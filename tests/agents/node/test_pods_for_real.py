"""Pods as users write them, on a whole cluster with real containers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from raftsman.testing import Cluster, Network, eventually

pytestmark = [pytest.mark.root, pytest.mark.podman]

IMAGE = "localhost/raftsman-demo:1"
POLITE = f"""
apiVersion: v1
kind: Pod
metadata: {{name: polite}}
spec:
  terminationGracePeriodSeconds: 10
  containers:
  - name: c
    image: {IMAGE}
    command: [sh, -c, "trap 'echo ended >> /hooks/said; exit 0' TERM; while true; do sleep 0.1; done"]
    lifecycle: {{preStop: {{exec: {{command: [sh, -c, "echo stopping >> /hooks/said; sleep 1"]}}}}}}
    volumeMounts: [{{name: hooks, mountPath: /hooks}}]
  volumes: [{{name: hooks, hostPath: {{path: HOOKS, type: Directory}}}}]
"""
MANIFESTS = Path(__file__).with_name("manifests")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Network() as network, Cluster(network) as running:
        running.raftsman("apply", "-f", str(MANIFESTS))
        (running.home / "hooks").mkdir()
        running.raftsman("apply", "-f", "-", stdin=POLITE.replace("HOOKS", str(running.home / "hooks")))
        yield running


def pod(cluster: Cluster, name: str) -> Any:
    return cluster.get("pod", name)


def container(cluster: Cluster, name: str) -> Any:
    return pod(cluster, name)["status"]["containerStatuses"][0]


def waiting_reason(cluster: Cluster, name: str) -> str:
    return str(container(cluster, name)["state"].get("waiting", {}).get("reason", ""))


def messages(cluster: Cluster, name: str, reason: str) -> list[str]:
    events = cluster.get("events")["items"]
    return [e["message"] for e in events if e["involvedObject"].get("name") == name and e["reason"] == reason]


def test_init_containers_run_in_order_before_volumes_are_used(cluster: Cluster) -> None:
    eventually(lambda: pod(cluster, "whole")["status"]["phase"] == "Running", timeout_s=20)
    text = eventually(lambda: cluster.raftsman("logs", "whole"), timeout_s=5)
    assert text.splitlines()[:2] == ["one", "two"]
    lines = set(text.splitlines())
    assert {"file v1", "sub v1", "secret hunter2", 'label app="whole"', "CM_k=v1", "PW=hunter2"} <= lines
    assert {"CPU=1", "uid=1000 gid=1000 groups=1000,2000", "mode 440", "memory tmpfs"} <= lines
    assert f"IP={pod(cluster, 'whole')['status']['podIP']}" in lines
    assert "KUBERNETES_SERVICE_HOST=10.96.0.1" in lines


def test_a_change_of_a_config_map_reaches_the_file(cluster: Cluster) -> None:
    eventually(lambda: pod(cluster, "whole")["status"]["phase"] == "Running", timeout_s=20)
    cluster.raftsman("patch", "configmap", "settings", "-p", '{"data":{"k":"v2"}}')
    read = ("exec", "whole", "--", "cat", "/cm/k")
    eventually(lambda: cluster.raftsman(*read).strip() == "v2", timeout_s=10)


def test_a_crashing_container_backs_off_and_says_how_it_ended(cluster: Cluster) -> None:
    eventually(lambda: waiting_reason(cluster, "crash") == "CrashLoopBackOff", timeout_s=20)
    last = container(cluster, "crash")["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"], last["message"]) == (3, "Error", "bye")
    assert eventually(lambda: messages(cluster, "crash", "BackOff"), timeout_s=5)
    assert cluster.raftsman("logs", "-p", "crash") == "last words\n"


@pytest.mark.parametrize(
    ("name", "reason", "said"),
    [
        ("no-image", "ErrImageNeverPull", "is not on this node"),
        ("no-command", "RunContainerError", "no such file or directory"),
        ("no-config", "CreateContainerConfigError", 'configmap "nothing" not found'),
        ("as-root", "CreateContainerConfigError", "runAsNonRoot"),
    ],
)
def test_a_container_that_cannot_start_says_why(cluster: Cluster, name: str, reason: str, said: str) -> None:
    eventually(lambda: waiting_reason(cluster, name) == reason, timeout_s=20)
    assert said in container(cluster, name)["state"]["waiting"]["message"]
    assert any(said in text for text in eventually(lambda: messages(cluster, name, "Failed"), timeout_s=5))


def test_a_wrong_mount_is_an_event_and_the_pod_waits(cluster: Cluster) -> None:
    (text,) = set(eventually(lambda: messages(cluster, "bad-mount", "FailedMount"), timeout_s=20))
    assert "/nonono is not a directory" in text
    assert waiting_reason(cluster, "bad-mount") == "ContainerCreating"


def test_what_is_missing_may_come_later(cluster: Cluster) -> None:
    eventually(lambda: waiting_reason(cluster, "patient") == "CreateContainerConfigError", timeout_s=20)
    cluster.raftsman("create", "configmap", "later", "--from-literal=a=b")
    eventually(lambda: pod(cluster, "patient")["status"]["phase"] == "Running", timeout_s=5)


def test_a_failing_liveness_probe_restarts_the_container(cluster: Cluster) -> None:
    eventually(lambda: container(cluster, "sick")["restartCount"] >= 1, timeout_s=30)
    assert messages(cluster, "sick", "Unhealthy")
    assert container(cluster, "sick")["lastState"]["terminated"]["exitCode"] == 137


def test_pods_end_as_their_containers_do(cluster: Cluster) -> None:
    for name, phase in (("once", "Succeeded"), ("fails", "Failed"), ("too-long", "Failed")):
        eventually(lambda name=name, phase=phase: pod(cluster, name)["status"]["phase"] == phase, timeout_s=20)
    assert pod(cluster, "too-long")["status"]["reason"] == "DeadlineExceeded"
    assert cluster.raftsman("logs", "once") == "done\n"
    oom = eventually(lambda: container(cluster, "hungry")["state"].get("terminated"), timeout_s=20)
    assert oom["reason"] == "OOMKilled"


def test_a_hook_and_the_grace_are_honoured_at_the_end(cluster: Cluster) -> None:
    eventually(lambda: pod(cluster, "polite")["status"]["phase"] == "Running", timeout_s=20)
    started = time.monotonic()
    cluster.raftsman("delete", "pod", "polite")
    assert 1.0 < time.monotonic() - started < 5.0
    assert (cluster.home / "hooks/said").read_text() == "stopping\nended\n"


def test_an_agent_that_is_killed_finds_its_containers_again(cluster: Cluster) -> None:
    eventually(lambda: container(cluster, "web")["ready"], timeout_s=20)
    before = container(cluster, "web")
    os.kill(agent_of(cluster), signal.SIGKILL)
    time.sleep(0.2)
    eventually(lambda: "Ready " in cluster.raftsman("get", "nodes"), timeout_s=20)
    eventually(lambda: cluster.raftsman("exec", "web", "--", "echo", "there"), timeout_s=20)
    after = container(cluster, "web")
    assert (after["containerID"], after["restartCount"]) == (before["containerID"], 0)


def test_a_pod_that_was_deleted_while_the_agent_was_away_is_ended(cluster: Cluster) -> None:
    eventually(lambda: pod(cluster, "goner")["status"]["phase"] == "Running", timeout_s=20)
    uid = pod(cluster, "goner")["metadata"]["uid"]
    agent = agent_of(cluster)
    os.kill(agent, signal.SIGSTOP)
    try:
        cluster.raftsman("delete", "pod", "goner", "--force", "--grace-period=0", "--wait=false")
    finally:
        os.kill(agent, signal.SIGKILL)
    logs = cluster.data_dir / "pods" / uid
    eventually(lambda: not logs.exists(), timeout_s=30)


def agent_of(cluster: Cluster) -> int:
    """The agent's process id."""
    wanted = f"--data-dir={cluster.data_dir}"
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_text().split("\0")
            except OSError:
                continue
            if "raftsman.agents.agent" in words and wanted in words:
                return int(folder.name)
    raise KeyError(wanted)
