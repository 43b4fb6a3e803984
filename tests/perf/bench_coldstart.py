"""From nothing running to a Ready node, and to the first pod that answers through its service. Three rounds, medians.

The image is in the node's store; keys, store and everything else are made in the measured time.
"""

from __future__ import annotations

import statistics
import time
import urllib.error

from measure import report
from raftsman.testing import Cluster, Network

ROUNDS = 3
MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: first}
spec:
  replicas: 1
  selector: {matchLabels: {app: first}}
  template:
    metadata: {labels: {app: first}}
    spec:
      containers:
      - {name: web, image: "localhost/raftsman-demo:1", ports: [{containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: first}
spec:
  clusterIP: 10.96.0.100
  selector: {app: first}
  ports: [{port: 80, targetPort: 8080}]
"""
ASK = "until wget -q -T 1 -O - http://10.96.0.100/ ; do sleep 0.02; done"


def one_round() -> tuple[float, float]:
    with Network() as network:
        cluster = Cluster(network)
        try:
            cluster.load_demo_image()
            started = time.monotonic()
            cluster.raftsman("up", "--detach", f"--data-dir={cluster.data_dir}", timeout_s=120)
            ready_s = time.monotonic() - started
            cluster.raftsman("apply", "-f", "-", stdin=MANIFEST)
            answer = cluster.run(["sh", "-c", ASK], timeout_s=60)
            answered_s = time.monotonic() - started
            if not answer.stdout.startswith("first-"):
                raise urllib.error.URLError(f"the service answered {answer.stdout!r}")
            return ready_s, answered_s
        finally:
            cluster.close()


def main() -> None:
    rounds = [one_round() for _ in range(ROUNDS)]
    report("coldstart_node_ready", statistics.median(ready for ready, _ in rounds), "s")
    report("coldstart_first_answer", statistics.median(answered for _, answered in rounds), "s")


if __name__ == "__main__":
    main()
