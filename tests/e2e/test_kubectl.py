"""The machine's own kubectl on a real one-node cluster: apply, wait, logs, exec, cp, scale, roll out, undo, delete."""

from __future__ import annotations

from pathlib import Path

import pytest
from raftsman.testing import Cluster, eventually

pytestmark = [pytest.mark.root, pytest.mark.podman, pytest.mark.kubectl]

ROOT = Path(__file__).resolve().parents[2]
HELLO = ("-n", "hello")


def kubectl(cluster: Cluster, *words: str) -> str:
    done = cluster.run(["kubectl", *words])
    assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def applied(cluster: Cluster) -> Cluster:
    """examples/hello, applied on the server and rolled out."""
    kubectl(cluster, "apply", "--server-side", "-f", str(ROOT / "examples/hello"))
    kubectl(cluster, "rollout", "status", "deployment/hello", *HELLO, "--timeout=60s")
    return cluster


def a_pod(cluster: Cluster) -> str:
    return kubectl(cluster, "get", "pods", *HELLO, "-l", "app=hello", "-o", "name").split()[0]


def test_pods_become_ready_and_are_shown(applied: Cluster) -> None:
    kubectl(applied, "wait", "--for=condition=Ready", "pod", "-l", "app=hello", *HELLO, "--timeout=30s")
    header, *rows = kubectl(applied, "get", "pods", *HELLO).splitlines()
    assert header.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert [row.split()[1:3] for row in rows] == [["1/1", "Running"]] * 3
    assert "Node:" in kubectl(applied, "describe", a_pod(applied), *HELLO)
    assert "Ready" in kubectl(applied, "get", "nodes")


def test_a_command_runs_in_a_container_and_its_exit_code_comes_back(applied: Cluster) -> None:
    pod = a_pod(applied)
    assert kubectl(applied, "exec", pod, *HELLO, "--", "sh", "-c", "echo $GREETING | wc -c").strip().isdigit()
    done = applied.run(["kubectl", "exec", pod, *HELLO, "--", "sh", "-c", "exit 3"])
    assert done.returncode == 3


def test_a_file_is_copied_in_and_out(applied: Cluster, tmp_path: Path) -> None:
    pod = a_pod(applied).removeprefix("pod/")
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(bytes(range(256)) * 4096)
    kubectl(applied, "cp", str(sent), f"hello/{pod}:/tmp/there")
    kubectl(applied, "cp", f"hello/{pod}:/tmp/there", str(back))
    assert back.read_bytes() == sent.read_bytes()


def test_a_rollout_goes_forward_and_back(applied: Cluster) -> None:
    kubectl(applied, "set", "image", "deployment/hello", "web=localhost/raftsman-demo:2", *HELLO)
    kubectl(applied, "rollout", "status", "deployment/hello", *HELLO, "--timeout=60s")
    kubectl(applied, "rollout", "undo", "deployment/hello", *HELLO)
    kubectl(applied, "rollout", "status", "deployment/hello", *HELLO, "--timeout=60s")
    image = "-o=jsonpath={.spec.template.spec.containers[0].image}"
    assert kubectl(applied, "get", "deployment", "hello", *HELLO, image) == "localhost/raftsman-demo:1"
    assert "REVISION" in kubectl(applied, "rollout", "history", "deployment/hello", *HELLO)


def test_scaling_and_restarting_leave_the_wanted_number(applied: Cluster) -> None:
    kubectl(applied, "scale", "deployment/hello", "--replicas=1", *HELLO)
    eventually(lambda: len(kubectl(applied, "get", "pods", *HELLO, "-o", "name").split()) == 1)
    kubectl(applied, "rollout", "restart", "deployment/hello", *HELLO)
    kubectl(applied, "rollout", "status", "deployment/hello", *HELLO, "--timeout=60s")


def test_logs_and_events_are_there(applied: Cluster) -> None:
    pod = a_pod(applied)
    assert applied.run(["kubectl", "logs", pod, *HELLO]).returncode == 0
    assert "Scheduled" in kubectl(applied, "get", "events", *HELLO)


def test_deleting_waits_until_everything_is_gone(applied: Cluster) -> None:
    kubectl(applied, "delete", "namespace", "hello", "--timeout=60s")
    assert "hello" not in kubectl(applied, "get", "namespaces", "-o", "name").replace("namespace/", "").split()
