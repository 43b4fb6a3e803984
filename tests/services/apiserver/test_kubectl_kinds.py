"""The machine's kubectl makes, applies, lists and describes the kinds whose controllers are still to come."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from .cluster import ApiServerProcess
from .rest import Kubectl, kubeconfig

pytestmark = pytest.mark.kubectl
POD = "{metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: 'i:1'}]}}"
KINDS = f"""
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: s}}
spec:
  serviceName: s
  selector: {{matchLabels: {{app: a}}}}
  template: {POD}
  volumeClaimTemplates:
  - apiVersion: v1
    kind: PersistentVolumeClaim
    metadata: {{name: data}}
    spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: d}}
spec: {{selector: {{matchLabels: {{app: a}}}}, template: {POD}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: c}}
spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}
---
apiVersion: v1
kind: ReplicationController
metadata: {{name: r}}
spec: {{replicas: 0, template: {POD}}}
---
apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata: {{name: one}}
spec: {{maxReplicas: 3, scaleTargetRef: {{apiVersion: apps/v1, kind: StatefulSet, name: s}}}}
"""


@pytest.fixture
def kubectl(server: ApiServerProcess, tmp_path: Path) -> Kubectl:
    return Kubectl(kubeconfig(server, tmp_path), tmp_path)


@pytest.fixture
def space(kubectl: Kubectl) -> str:
    name = f"k-{secrets.token_hex(4)}"
    kubectl("create", "namespace", name)
    return name


@pytest.mark.parametrize("flags", [(), ("--server-side",)])
def test_manifests_are_applied_twice(kubectl: Kubectl, space: str, tmp_path: Path, flags: tuple[str, ...]) -> None:
    path = tmp_path / "kinds.yaml"
    path.write_text(KINDS)
    first = kubectl("apply", "-f", str(path), "-n", space, *flags)
    assert "statefulset.apps/s" in first
    assert "horizontalpodautoscaler.autoscaling/one" in first
    again = kubectl("apply", "-f", str(path), "-n", space, *flags).splitlines()
    # A list of claims is compared whole, and the server has filled it in: to kubectl it always differs.
    assert flags or [line for line in again if not line.endswith("unchanged")] == ["statefulset.apps/s configured"]
    for kind in ("sts", "ds", "pvc", "rc", "hpa", "hpa.v1.autoscaling"):
        assert len(kubectl("get", kind, "-n", space).splitlines()) == 2
        assert "Name:" in kubectl("describe", kind, "-n", space)
    kubectl("scale", "sts/s", "-n", space, "--replicas=3")
    kubectl("scale", "rc/r", "-n", space, "--replicas=2")
    assert "s      0/3" in kubectl("get", "sts", "-n", space)
    kubectl("delete", "-f", str(path), "-n", space, "--wait=false")


def test_jobs_autoscalers_and_quotas_are_made_by_command(kubectl: Kubectl, space: str) -> None:
    kubectl("create", "job", "j", "--image=i:1", "-n", space)
    kubectl("create", "cronjob", "cj", "--image=i:1", "--schedule=*/5 * * * *", "-n", space)
    kubectl("create", "job", "now", "--from=cronjob/cj", "-n", space)
    kubectl("create", "quota", "q", "--hard=pods=3", "-n", space)
    kubectl("create", "deployment", "web", "--image=i:1", "-n", space)
    kubectl("autoscale", "deployment", "web", "--max=4", "--cpu-percent=60", "-n", space)
    listed = kubectl("get", "jobs", "-n", space)
    assert "0/1" in listed
    assert "*/5 * * * *" in kubectl("get", "cj", "-n", space)
    found = json.loads(kubectl("get", "hpa", "web", "-n", space, "-o", "json"))
    assert found["apiVersion"] == "autoscaling/v2"
    for kind in ("job", "cronjob", "hpa", "quota"):
        assert "Name:" in kubectl("describe", kind, "-n", space)
    assert "etcd-0" in kubectl("get", "componentstatuses")
    kubectl("events", "-n", space)
