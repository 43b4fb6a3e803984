"""Rollouts under load: with a spare replica and nothing allowed to be missing, no request is lost."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from raftsman.testing import Cluster
from raftsman.testing.network import NODE_ADDRESS

from .test_hello import service_ip, three_ready

pytestmark = [pytest.mark.root, pytest.mark.podman]

LOAD_S = 9
LOAD = """
import json, socket, sys, threading, time
address, port, until = sys.argv[1], int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
asked, failed = 0, []
def ask():
    with socket.create_connection((address, port), timeout=5) as server:
        server.sendall(b"GET / HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n")
        answer = b"".join(iter(lambda: server.recv(4096), b""))
    assert b" 200 " in answer[:20], answer[:80]
def go_on():
    global asked
    while time.monotonic() < until:
        try:
            ask()
        except Exception as error:
            failed.append(repr(error))
        asked += 1
        time.sleep(0.005)
threads = [threading.Thread(target=go_on) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps({"asked": asked, "failed": failed}))
"""


def load(cluster: Cluster, address: str, port: int, *, outside: bool = False) -> subprocess.Popen[str]:
    command = [*cluster.network.inside(outside=outside), sys.executable, "-c", LOAD, address, str(port), str(LOAD_S)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_new_image_and_a_restart_lose_no_request(hello: Cluster) -> None:
    three_ready(hello)
    loads = [load(hello, service_ip(hello), 80), load(hello, NODE_ADDRESS, 30080, outside=True)]
    hello.raftsman("set", "image", "deployment/hello", "web=localhost/raftsman-demo:2", "-n", "hello")
    hello.raftsman("rollout", "status", "deployment/hello", "-n", "hello", "--timeout=60s")
    hello.raftsman("rollout", "restart", "deployment/hello", "-n", "hello")
    hello.raftsman("rollout", "status", "deployment/hello", "-n", "hello", "--timeout=60s")
    for one in loads:
        said = json.loads(one.communicate(timeout=60)[0])
        assert said["asked"] > 100
        assert said["failed"] == []
