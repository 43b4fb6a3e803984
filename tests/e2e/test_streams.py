"""Streams into real containers, with kubectl over WebSocket and SPDY, Python's client, and `raftsman`."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from raftsman.testing import Cluster, eventually

pytestmark = [pytest.mark.root, pytest.mark.podman, pytest.mark.kubectl]

IMAGE = "localhost/raftsman-demo:1"
ECHO = "echo started; while read line; do echo got $line; done; echo input ended; sleep 3600"
SERVE = "mkdir -p /tmp/www; echo hello > /tmp/www/index.html; exec httpd -f -p 127.0.0.1:8080 -h /tmp/www"
POD = f"""
apiVersion: v1
kind: Pod
metadata: {{name: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {{name: main, image: "{IMAGE}", stdin: true, command: [sh, -c, {ECHO!r}]}}
  - {{name: www, image: "{IMAGE}", command: [sh, -c, {SERVE!r}], ports: [{{name: http, containerPort: 8080}}]}}
"""
# How kubectl is told to speak SPDY as older clients do.
WAYS = {
    "websocket": {},
    "spdy": {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"},
}
PYTHON = """
import socket, sys
from kubernetes import client, config
from kubernetes.stream import portforward, stream
config.load_kube_config()
api = client.CoreV1Api()
shell = stream(api.connect_get_namespaced_pod_exec, "web", "default", container="main", command=["sh"],
               stdin=True, stdout=True, stderr=True, tty=False, _preload_content=False)
shell.write_stdin("echo one; echo two >&2; exit 5\\n")
shell.run_forever(timeout=20)
print(shell.read_stdout().strip(), shell.read_stderr().strip(), shell.returncode)
ports = portforward(api.connect_get_namespaced_pod_portforward, "web", "default", ports="8080")
connection = ports.socket(8080)
connection.setblocking(True)
connection.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
data = b""
while piece := connection.recv(4096):
    data += piece
print(data.splitlines()[-1].decode(), ports.error(8080))
"""


@pytest.fixture(scope="module")
def web(cluster: Cluster) -> Cluster:
    cluster.raftsman("apply", "-f", "-", stdin=POD)
    cluster.raftsman("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
    return cluster


def run(cluster: Cluster, way: str, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    settings = [f"{name}={value}" for name, value in WAYS[way].items()]
    return cluster.run(["env", *settings, *words], stdin=stdin)


@pytest.mark.parametrize("way", WAYS)
def test_a_command_has_its_input_outputs_and_exit_code(web: Cluster, way: str) -> None:
    done = run(
        web, way, "kubectl", "exec", "-i", "web", "-c", "main", "--", "sh", "-c", "cat; echo no >&2; exit 4", stdin="in"
    )
    assert (done.returncode, done.stdout) == (4, "in")
    assert done.stderr.startswith("no\n")


@pytest.mark.parametrize("way", WAYS)
def test_a_terminal_has_the_clients_size(web: Cluster, way: str) -> None:
    inside = "kubectl exec -it web -c main -- sh -c 'until stty size | grep -q 33; do sleep 0.1; done; stty size'"
    done = run(web, way, "script", "-qec", f"stty rows 33 cols 77; {inside}", "/dev/null")
    assert "33 77" in done.stdout


@pytest.mark.parametrize("way", WAYS)
def test_a_running_containers_own_streams(web: Cluster, way: str) -> None:
    words = ["kubectl", "attach", "-i", "web", "-c", "main"]
    attached(web, way, words, f"by {way}")
    # Its input is still there: it was not made with stdinOnce.
    attached(web, way, ["raftsman", "attach", "-i", "web", "-c", "main"], f"again {way}")
    assert f"got again {way}" in web.raftsman("logs", "web", "-c", "main")


def attached(cluster: Cluster, way: str, words: list[str], line: str) -> None:
    """Attach, type a line, see the answer, and leave."""
    if words[0] == "raftsman":
        words = [str(Path(sys.executable).with_name("raftsman")), *words[1:]]
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), **WAYS[way]}
    client = subprocess.Popen(
        [*cluster.network.inside(), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert client.stdin is not None
    assert client.stdout is not None
    try:
        client.stdin.write(f"{line}\n".encode())
        client.stdin.flush()
        assert client.stdout.readline() == f"got {line}\n".encode()
    finally:
        client.kill()
        client.communicate()


@pytest.mark.parametrize("way", WAYS)
def test_files_and_folders_are_copied(web: Cluster, way: str, tmp_path: Path) -> None:
    (tmp_path / "sent/below").mkdir(parents=True)
    (tmp_path / "sent/below/file").write_bytes(bytes(range(256)) * 2000)
    done = run(web, way, "kubectl", "cp", str(tmp_path / "sent"), f"web:/tmp/{way}", "-c", "main")
    assert done.returncode == 0, done.stderr
    web.raftsman("cp", f"web:/tmp/{way}", str(tmp_path / "back"), "-c", "main")
    web.raftsman("cp", str(tmp_path / "back"), f"default/web:/tmp/{way}-2", "-c", "main")
    done = run(web, way, "kubectl", "cp", f"web:/tmp/{way}-2/below/file", str(tmp_path / "one"), "-c", "main")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "back/below/file").read_bytes() == bytes(range(256)) * 2000


@pytest.mark.parametrize("words", ["kubectl port-forward pod/web", "raftsman port-forward web"])
@pytest.mark.parametrize("way", WAYS)
def test_a_pods_port_is_reached_and_a_dead_one_is_said_to_be(web: Cluster, way: str, words: str) -> None:
    program, *rest = words.split()
    if program == "raftsman":
        program = str(Path(sys.executable).with_name("raftsman"))
    script = f"""
    {program} {" ".join(rest)} 18080:http 18081:81 > $HOME/forward 2>&1 & forward=$!
    for _ in $(seq 300); do grep -q '127.0.0.1:18081 ->' $HOME/forward && break; sleep 0.1; done
    for _ in 1 2 3 4 5; do curl -s -m 20 http://127.0.0.1:18080/ & pids="$pids $!"; done; wait $pids
    curl -s -m 20 http://127.0.0.1:18081/
    for _ in $(seq 100); do grep -q 'refused' $HOME/forward && break; sleep 0.1; done
    kill $forward; wait $forward; cat $HOME/forward"""
    done = run(web, way, "bash", "-c", script)
    assert done.stdout.count("hello\n") == 5, done.stdout
    assert "localhost:81" in done.stdout


def test_pythons_client_runs_commands_and_reaches_ports(web: Cluster) -> None:
    done = web.run([sys.executable, "-c", PYTHON])
    assert done.stdout.splitlines() == ["one two 5", "hello None"], done.stderr


def test_a_pod_made_for_one_command_is_attached_to_and_removed(web: Cluster) -> None:
    done = web.run(
        [
            "kubectl",
            "run",
            "-i",
            "--rm",
            "once",
            f"--image={IMAGE}",
            "--restart=Never",
            "--",
            "sh",
            "-c",
            "cat; exit 3",
        ],
        stdin="typed",
    )
    assert "typed" in done.stdout
    assert done.returncode == 3
    assert "once" not in web.raftsman("get", "pods")


def test_a_client_that_vanishes_leaves_nothing_open(web: Cluster) -> None:
    agent = agent_of(web)
    before = len(os.listdir(f"/proc/{agent}/fd"))
    terminal = subprocess.Popen(
        [*web.network.inside(), "script", "-qec", "kubectl exec -it web -c main -- sleep 4321", "/dev/null"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, "KUBECONFIG": str(web.kubeconfig)},
    )  # fmt: skip
    eventually(lambda: "sleep 4321" in web.raftsman("exec", "web", "-c", "main", "--", "ps"))
    os.killpg(terminal.pid, signal.SIGKILL)
    terminal.wait()
    eventually(lambda: "sleep 4321" not in web.raftsman("exec", "web", "-c", "main", "--", "ps"))
    eventually(lambda: len(os.listdir(f"/proc/{agent}/fd")) <= before + 2)


def agent_of(cluster: Cluster) -> int:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"raftsman.agents.agent" in words and any(str(cluster.data_dir).encode() in word for word in words):
                return int(entry.name)
    raise AssertionError("the cluster has no agent")


def test_logs_are_followed_cut_and_dated_as_kubectl_asks(web: Cluster) -> None:
    logs = ["kubectl", "logs", "web", "-c", "main"]
    assert web.run([*logs, "--limit-bytes=4"]).stdout == "star"
    assert web.run([*logs, "--tail=0"]).stdout == ""
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z started\n", web.run([*logs, "--timestamps"]).stdout)
    assert web.run([*logs, "--since-time=2099-01-01T00:00:00Z"]).stdout == ""
    assert "previous terminated container" in web.run([*logs, "-p"]).stderr
    environment = {**os.environ, "KUBECONFIG": str(web.kubeconfig)}
    following = subprocess.Popen(
        [*web.network.inside(), *logs, "-f"], stdout=subprocess.PIPE, env=environment, text=True
    )
    assert following.stdout is not None
    assert following.stdout.readline() == "started\n"
    following.kill()
    following.communicate()


GUARDED = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: guarded}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: guarded}}}}
  template:
    metadata: {{labels: {{app: guarded}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{{name: main, image: "{IMAGE}", command: [sleep, "3600"]}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: guarded}}
spec: {{minAvailable: 1, selector: {{matchLabels: {{app: guarded}}}}}}
"""


def test_draining_a_node_keeps_to_the_budget(web: Cluster) -> None:
    web.raftsman("apply", "-f", "-", stdin=GUARDED)
    web.raftsman("rollout", "status", "deployment/guarded", "--timeout=60s")
    eventually(lambda: web.get("pdb", "guarded").get("status", {}).get("disruptionsAllowed") == 1)
    node = web.get("nodes")["items"][0]["metadata"]["name"]
    done = web.run(["kubectl", "drain", node, "--pod-selector=app=guarded", "--timeout=8s"])
    assert done.returncode != 0
    assert "violate the pod's disruption budget" in done.stderr
    assert web.get("pdb", "guarded")["status"]["currentHealthy"] == 1
    web.raftsman("uncordon", node)
    eventually(lambda: web.get("pdb", "guarded")["status"]["disruptionsAllowed"] == 1)
    web.raftsman("delete", "pdb", "guarded")
    assert web.raftsman("drain", node, "--pod-selector=app=guarded").count("evicted") == 2
    web.raftsman("uncordon", node)
    web.raftsman("delete", "deployment", "guarded")


def test_tools_are_brought_to_a_pod_that_runs(web: Cluster) -> None:
    inside = "sh -c 'ps; echo here'"
    done = web.run(shlex.split(f"kubectl debug web -i --image={IMAGE} --target=main -c tools -- {inside}"))
    assert "while read line" in done.stdout + web.run(["kubectl", "logs", "web", "-c", "tools"]).stdout
    web.raftsman("debug", "web", f"--image={IMAGE}", "--target=www", "-c", "more", "--", "sh", "-c", "ps; sleep 3600")
    eventually(lambda: "httpd" in web.raftsman("logs", "web", "-c", "more"))
    web.run(shlex.split(f"kubectl debug web --copy-to=copy --share-processes --image={IMAGE} -c tools -- sleep 3600"))
    web.raftsman("wait", "--for=condition=Ready", "pod/copy", "--timeout=60s")
    seen = web.raftsman("exec", "copy", "-c", "tools", "--", "ps")
    assert all(process in seen for process in ("catatonit", "while read line", "httpd", "sleep 3600")), seen
    web.raftsman("delete", "pod", "copy")
    node = web.get("nodes")["items"][0]["metadata"]["name"]
    web.run(shlex.split(f"kubectl debug node/{node} --image={IMAGE} -- sh -c 'ls /host'"))
    made = web.raftsman("get", "pods", "-o", "name").split()
    (debugger,) = [name for name in made if "node-debugger" in name]
    eventually(lambda: "etc" in web.raftsman("logs", debugger).split())
    web.raftsman("delete", debugger)


SIZED = f"""
apiVersion: v1
kind: Pod
metadata: {{name: sized}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: "{IMAGE}"
    command: [sleep, "3600"]
    resources: {{requests: {{cpu: 100m, memory: 32Mi}}, limits: {{cpu: 200m, memory: 64Mi}}}}
    resizePolicy: [{{resourceName: memory, restartPolicy: RestartContainer}}]
"""


def test_a_container_is_resized_where_it_runs(web: Cluster) -> None:
    web.raftsman("apply", "-f", "-", stdin=SIZED)
    web.raftsman("wait", "--for=condition=Ready", "pod/sized", "--timeout=60s")

    def resize(resources: str) -> None:
        patch = f'{{"spec":{{"containers":[{{"name":"main","resources":{resources}}}]}}}}'
        done = web.run(["kubectl", "patch", "pod", "sized", "--subresource=resize", "-p", patch])
        assert done.returncode == 0, done.stderr

    def main() -> dict[str, Any]:
        found: dict[str, Any] = web.get("pod", "sized")["status"]["containerStatuses"][0]
        return found

    resize('{"requests":{"cpu":"150m"},"limits":{"cpu":"300m"}}')
    eventually(lambda: main()["resources"]["limits"]["cpu"] == "300m")
    assert main()["allocatedResources"]["cpu"] == "150m"
    assert main()["restartCount"] == 0
    assert limit_of(main()["containerID"], ("cpu.cfs_quota_us", "cpu.max")).startswith("30000")
    resize('{"limits":{"memory":"96Mi"}}')
    eventually(lambda: main()["restartCount"] == 1 and main()["resources"]["limits"]["memory"] == "96Mi")
    resize('{"requests":{"cpu":"900"},"limits":{"cpu":"900"}}')
    pending = eventually(lambda: [c for c in web.get("pod", "sized")["status"]["conditions"] if "Pending" in c["type"]])
    assert (pending[0]["type"], pending[0]["reason"]) == ("PodResizePending", "Infeasible")
    assert main()["resources"]["limits"]["cpu"] == "300m"


def limit_of(container_id: str, names: tuple[str, str]) -> str:
    """A file of the container's cgroup, of version 1 or 2."""
    folder = f"libpod-{container_id.removeprefix('podman://')}"
    found = subprocess.run(
        ["find", "/sys/fs/cgroup/", "-path", f"*{folder}/*", "-name", names[0], "-o",
         "-path", f"*{folder}/*", "-name", names[1]],
        capture_output=True, text=True, check=False,
    ).stdout.split()  # fmt: skip
    return Path(found[0]).read_text()


def test_http_goes_through_the_server_to_pods_and_services(web: Cluster) -> None:
    web.raftsman("apply", "-f", "-", stdin=PROXIED)
    web.raftsman("wait", "--for=condition=Ready", "pod/www", "--timeout=60s")
    raw = ["kubectl", "get", "--raw"]
    assert web.run([*raw, "/api/v1/namespaces/default/pods/www:8080/proxy/index.html"]).stdout == "hello\n"
    service = "/api/v1/namespaces/default/services/www:http/proxy/"
    eventually(lambda: web.run([*raw, service]).stdout == "hello\n")


PROXIED = f"""
apiVersion: v1
kind: Pod
metadata: {{name: www, labels: {{app: www}}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: www
    image: "{IMAGE}"
    command: [sh, -c, {SERVE.replace("127.0.0.1:", "")!r}]
    ports: [{{containerPort: 8080}}]
---
apiVersion: v1
kind: Service
metadata: {{name: www}}
spec: {{selector: {{app: www}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
"""
