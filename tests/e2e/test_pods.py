"""What a pod's author relies on: probes, restarts, volumes, resources, scheduling, and clear words when it is wrong."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from raftsman.testing import Cluster, eventually

pytestmark = [pytest.mark.root, pytest.mark.podman]

IMAGE = "localhost/raftsman-demo:1"
SLEEP = ["sleep", "3600"]


def container(**fields: Any) -> dict[str, Any]:
    return {"name": "main", "image": IMAGE, "command": SLEEP, **fields}


def pod(name: str, *containers: dict[str, Any], labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name, **(labels or {})}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": list(containers) or [container()], **spec},
    }


def apply(cluster: Cluster, *objects: dict[str, Any]) -> None:
    cluster.raftsman("apply", "-f", "-", stdin="\n---\n".join(json.dumps(one) for one in objects))


def status(cluster: Cluster, name: str) -> dict[str, Any]:
    return cluster.get("pod", name)["status"]


def is_ready(cluster: Cluster, name: str) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in status(cluster, name)["conditions"])


def running(cluster: Cluster, name: str) -> None:
    eventually(lambda: is_ready(cluster, name), message=f"{name} ready")


def waiting_reason(cluster: Cluster, name: str) -> str:
    return status(cluster, name)["containerStatuses"][0]["state"].get("waiting", {}).get("reason", "")


def run_in(cluster: Cluster, name: str, *command: str) -> str:
    return cluster.raftsman("exec", name, "--", *command)


def events_of(cluster: Cluster, name: str) -> dict[str, str]:
    """Reason -> message of the events about an object."""
    items = cluster.get("events")["items"]
    return {item["reason"]: item["message"] for item in items if item["involvedObject"]["name"] == name}


def endpoints_of(cluster: Cluster, service: str) -> list[str]:
    slices = cluster.get("endpointslices", "-l", f"kubernetes.io/service-name={service}")["items"]
    return [
        address
        for one in slices
        for endpoint in one.get("endpoints") or []
        if endpoint["conditions"].get("ready")
        for address in endpoint["addresses"]
    ]


def service(name: str, app: str, **spec: Any) -> dict[str, Any]:
    ports = [{"port": 80, "targetPort": 8080}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": app}, "ports": ports, **spec},
    }


def test_a_failing_readiness_probe_takes_the_pod_out_of_its_endpoints(cluster: Cluster) -> None:
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    web = {"name": "web", "image": IMAGE, "ports": [{"containerPort": 8080}], "readinessProbe": probe}
    apply(cluster, pod("unready", web), service("unready", "unready"))
    running(cluster, "unready")
    eventually(lambda: len(endpoints_of(cluster, "unready")) == 1)
    run_in(cluster, "unready", "mv", "/www/healthz", "/www/away")
    eventually(lambda: endpoints_of(cluster, "unready") == [])
    address = cluster.get("service", "unready")["spec"]["clusterIP"]
    started = time.monotonic()
    assert cluster.run(["wget", "-q", "-T", "5", "-t", "1", "-O", "-", f"http://{address}/"]).returncode != 0
    assert time.monotonic() - started < 3, "a service without endpoints refuses at once"
    assert "Unhealthy" in events_of(cluster, "unready")
    run_in(cluster, "unready", "mv", "/www/away", "/www/healthz")
    eventually(lambda: len(endpoints_of(cluster, "unready")) == 1)
    assert status(cluster, "unready")["containerStatuses"][0]["restartCount"] == 0


def test_a_failing_liveness_probe_restarts_the_container(cluster: Cluster) -> None:
    probe = {"exec": {"command": ["test", "-e", "/alive"]}, "periodSeconds": 1, "failureThreshold": 1}
    script = ["sh", "-c", "touch /alive; sleep 3600 & wait"]
    apply(cluster, pod("unalive", container(command=script, livenessProbe={**probe, "initialDelaySeconds": 1})))
    running(cluster, "unalive")
    run_in(cluster, "unalive", "rm", "/alive")
    eventually(lambda: status(cluster, "unalive")["containerStatuses"][0]["restartCount"] == 1)
    running(cluster, "unalive")
    assert "Killing" in events_of(cluster, "unalive")


def test_a_crashing_command_backs_off_and_says_so(cluster: Cluster) -> None:
    apply(cluster, pod("crash", container(command=["sh", "-c", "echo last words; exit 3"])))
    eventually(lambda: waiting_reason(cluster, "crash") == "CrashLoopBackOff")
    last = status(cluster, "crash")["containerStatuses"][0]["lastState"]["terminated"]
    assert last["exitCode"] == 3
    assert "CrashLoopBackOff" in cluster.raftsman("get", "pod", "crash")
    assert "last words" in cluster.raftsman("logs", "crash")
    assert "BackOff" in events_of(cluster, "crash")


def test_a_missing_image_is_named(cluster: Cluster) -> None:
    apply(cluster, pod("noimage", container(image="localhost/no-such-image:1")))
    eventually(lambda: waiting_reason(cluster, "noimage") in ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"))
    assert any("no-such-image" in message for message in events_of(cluster, "noimage").values())


def test_a_command_that_does_not_exist_is_named(cluster: Cluster) -> None:
    apply(cluster, pod("nocommand", container(command=["/no/such/command"])))

    def told() -> bool:
        state = status(cluster, "nocommand")["containerStatuses"][0]
        return "/no/such/command" in json.dumps(state)

    eventually(told)


def test_a_missing_config_map_is_named_and_found_once_it_is_there(cluster: Cluster) -> None:
    volumes = [{"name": "config", "configMap": {"name": "later"}}]
    mounts = [{"name": "config", "mountPath": "/config"}]
    apply(cluster, pod("wants-config", container(volumeMounts=mounts), volumes=volumes))
    eventually(lambda: "later" in events_of(cluster, "wants-config").get("FailedMount", ""))
    apply(cluster, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "later"}, "data": {"key": "one"}})
    running(cluster, "wants-config")
    assert run_in(cluster, "wants-config", "cat", "/config/key") == "one"
    apply(cluster, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "later"}, "data": {"key": "two"}})
    eventually(lambda: run_in(cluster, "wants-config", "cat", "/config/key") == "two", timeout_s=90)


def test_init_containers_run_in_order_before_the_others(cluster: Cluster) -> None:
    mounts = [{"name": "shared", "mountPath": "/shared"}]
    inits = [
        container(name=f"init-{n}", command=["sh", "-c", f"echo {n} >> /shared/order"], volumeMounts=mounts)
        for n in (1, 2)
    ]
    main = container(command=["sh", "-c", "cat /shared/order; sleep 3600"], volumeMounts=mounts)
    apply(cluster, pod("inits", main, initContainers=inits, volumes=[{"name": "shared", "emptyDir": {}}]))
    running(cluster, "inits")
    assert cluster.raftsman("logs", "inits").split() == ["1", "2"]


def test_pods_that_end_are_succeeded_or_failed(cluster: Cluster) -> None:
    apply(
        cluster,
        pod("ends-well", container(command=["true"]), restartPolicy="Never"),
        pod("ends-badly", container(command=["sh", "-c", "exit 4"]), restartPolicy="Never"),
    )
    eventually(lambda: status(cluster, "ends-well")["phase"] == "Succeeded")
    eventually(lambda: status(cluster, "ends-badly")["phase"] == "Failed")
    ended = status(cluster, "ends-badly")["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (4, "Error")


def test_limits_reach_the_cgroup_and_memory_is_held_to_them(cluster: Cluster) -> None:
    limits = {"limits": {"memory": "32Mi", "cpu": "500m"}}
    hog = ["sh", "-c", "x=a; while true; do x=$x$x; done"]
    apply(cluster, pod("limited", container(resources=limits)), pod("hog", container(command=hog, resources=limits)))
    running(cluster, "limited")
    uid = cluster.get("pod", "limited")["metadata"]["uid"]
    found = list(Path("/sys/fs/cgroup/memory").rglob(f"*{uid}*/memory.limit_in_bytes")) or list(
        Path("/sys/fs/cgroup").rglob(f"*{uid}*/memory.max")
    )
    assert str(32 << 20) in {path.read_text().strip() for path in found}

    def killed() -> bool:
        state = status(cluster, "hog")["containerStatuses"][0]
        return "OOMKilled" in json.dumps(state)

    eventually(killed)


def test_unschedulable_pods_say_why(cluster: Cluster) -> None:
    huge = {"requests": {"cpu": "1000"}}
    apply(cluster, pod("huge", container(resources=huge)), pod("picky", nodeSelector={"disk": "ssd"}))

    def message(name: str) -> str:
        conditions = status(cluster, name).get("conditions", [])
        return next((c["message"] for c in conditions if c["type"] == "PodScheduled" and c["status"] == "False"), "")

    assert eventually(lambda: message("huge")).startswith("0/1 nodes are available: 1 Insufficient cpu.")
    assert "didn't match" in eventually(lambda: message("picky"))
    assert "0/1 nodes are available" in eventually(lambda: events_of(cluster, "huge").get("FailedScheduling", ""))
    node = cluster.get("nodes")["items"][0]["metadata"]["name"]
    cluster.raftsman("label", "node", node, "disk=ssd")
    running(cluster, "picky")


def test_what_nothing_acts_upon_keeps_a_pod_waiting_by_its_path(cluster: Cluster) -> None:
    apply(cluster, pod("x", runtimeClassName="sandboxed"))

    def said() -> str:
        conditions = status(cluster, "x").get("conditions", [])
        return next((c.get("message", "") for c in conditions if c["type"] == "PodScheduled"), "")

    assert "spec.runtimeClassName" in eventually(said)
    cluster.raftsman("delete", "pod", "x")


def test_unknown_fields_are_refused_by_their_path(cluster: Cluster) -> None:
    unknown = pod("x", container(imagePulPolicy="Never"))
    assert "imagePulPolicy" in cluster.fails("apply", "-f", "-", stdin=json.dumps(unknown))


def test_headless_services_name_their_pods(cluster: Cluster) -> None:
    apply(cluster, pod("headless"), service("headless", "headless", clusterIP="None"))
    running(cluster, "headless")
    address = status(cluster, "headless")["podIP"]
    eventually(lambda: address in run_in(cluster, "headless", "sh", "-c", "nslookup headless || true"))


def test_a_token_may_do_what_its_role_says(cluster: Cluster) -> None:
    apply(cluster, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}}, pod("as-reader"))
    token = cluster.raftsman("create", "token", "reader").strip()
    mine = cluster.home / "token.yaml"
    mine.write_text(
        json.dumps(
            {
                "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443",
                              "certificate-authority": str(cluster.data_dir / "pki/ca.crt")}}],
                "users": [{"name": "u", "user": {"token": token}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x",
            }
        )
    )  # fmt: skip
    said = cluster.fails("get", "pods", "--kubeconfig", str(mine))
    assert "system:serviceaccount:default:reader" in said
    apply(
        cluster,
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "reader"},
         "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": "default"}],
         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}},
    )  # fmt: skip
    assert "as-reader" in eventually(lambda: cluster.raftsman("get", "pods", "--kubeconfig", str(mine)))
    assert "secrets" in cluster.fails("get", "secrets", "--kubeconfig", str(mine))


def test_secrets_are_encrypted_on_disk(cluster: Cluster) -> None:
    word = "correct-horse-battery-staple"
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"password": word}}
    apply(cluster, secret)
    volumes = [{"name": "s", "secret": {"secretName": "s"}}]
    apply(cluster, pod("with-secret", container(volumeMounts=[{"name": "s", "mountPath": "/s"}]), volumes=volumes))
    running(cluster, "with-secret")
    assert run_in(cluster, "with-secret", "cat", "/s/password") == word
    assert word not in cluster.raftsman("describe", "secret", "s")
    stored = [path for path in (cluster.data_dir / "store").rglob("*") if path.is_file()]
    assert stored
    assert not [path for path in stored if word.encode() in path.read_bytes()]
    assert not [path for path in (cluster.data_dir / "logs").iterdir() if word in path.read_text(errors="replace")]


def test_deleting_a_namespace_deletes_what_is_in_it(cluster: Cluster) -> None:
    apply(cluster, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "doomed"}})
    inside = pod("inside")
    inside["metadata"]["namespace"] = "doomed"
    apply(cluster, inside)
    cluster.raftsman("wait", "pod/inside", "-n", "doomed", "--for=condition=Ready", "--timeout=30s")
    cluster.raftsman("delete", "namespace", "doomed", "--timeout=60s")
    assert "NotFound" in cluster.fails("get", "namespace", "doomed")
