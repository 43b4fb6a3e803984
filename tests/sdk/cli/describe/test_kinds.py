"""Workloads, jobs, volumes and quotas as `describe` tells them."""

from __future__ import annotations

import pytest
from raftsman.cli.describe import batch, storage, workloads

from .test_policies import told

POD = "{metadata: {labels: {app: a}}, spec: {nodeSelector: {disk: ssd}, containers: [{name: c, image: 'i:1'}]}}"
HEAD = "metadata: {name: a, namespace: default}"


def lines(writer: object, text: str) -> dict[str, str]:
    """What stands after each label."""
    pairs = (line.split(":", 1) for line in told(writer, text).splitlines() if ":" in line)  # type: ignore[arg-type]
    return {label.strip(): value.strip() for label, value in pairs}


def test_a_job_tells_how_far_it_is() -> None:
    found = lines(batch.job, f"""
apiVersion: batch/v1
kind: Job
{HEAD}
spec: {{parallelism: 2, completions: 3, backoffLimit: 6, suspend: false, template: {POD}}}
status: {{active: 1, ready: 1, succeeded: 2, startTime: '2026-01-31T12:00:00Z', completionTime: '2026-01-31T12:01:30Z'}}
""")  # fmt: skip
    assert (found["Parallelism"], found["Completions"], found["Suspend"]) == ("2", "3", "false")
    assert found["Pods Statuses"] == "1 (1 Ready) / 2 Succeeded / 0 Failed"
    assert (found["Duration"], found["Image"]) == ("90s", "i:1")


def test_a_cron_job_tells_its_schedule() -> None:
    found = lines(batch.cron_job, f"""
apiVersion: batch/v1
kind: CronJob
{HEAD}
spec: {{schedule: '*/5 * * * *', concurrencyPolicy: Forbid, jobTemplate: {{spec: {{template: {POD}}}}}}}
""")  # fmt: skip
    assert (found["Schedule"], found["Concurrency Policy"]) == ("*/5 * * * *", "Forbid")
    assert (found["Suspend"], found["Last Schedule Time"], found["Active Jobs"]) == ("<unset>", "<unset>", "<none>")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_autoscaler_is_told_alike_in_both_versions(version: str) -> None:
    metric = {
        "v1": "targetCPUUtilizationPercentage: 50",
        "v2": "metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]",
    }[version]
    found = lines(batch.autoscaler, f"""
apiVersion: autoscaling/{version}
kind: HorizontalPodAutoscaler
{HEAD}
spec: {{maxReplicas: 3, minReplicas: 1, scaleTargetRef: {{kind: Deployment, name: web}}, {metric}}}
""")  # fmt: skip
    assert (found["Reference"], found["Max replicas"]) == ("Deployment/web", "3")
    assert found["cpu"] == "<unknown>/50%"


def test_sets_tell_their_pods() -> None:
    found = lines(workloads.daemon_set, f"""
apiVersion: apps/v1
kind: DaemonSet
{HEAD}
spec: {{selector: {{matchLabels: {{app: a}}}}, template: {POD}}}
status: {{desiredNumberScheduled: 3, currentNumberScheduled: 2, numberReady: 1, numberMisscheduled: 0}}
""")  # fmt: skip
    assert (found["Node-Selector"], found["Desired Number of Nodes Scheduled"]) == ("disk=ssd", "3")
    found = lines(workloads.stateful_set, f"""
apiVersion: apps/v1
kind: StatefulSet
{HEAD}
spec:
  serviceName: a
  selector: {{matchLabels: {{app: a}}}}
  template: {POD}
  updateStrategy: {{type: RollingUpdate, rollingUpdate: {{partition: 2}}}}
  volumeClaimTemplates:
  - {{metadata: {{name: data}}, spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}}}
""")  # fmt: skip
    assert (found["Partition"], found["Capacity"], found["Access Modes"]) == ("2", "1Gi", "[ReadWriteOnce]")


def test_volumes_tell_their_source_and_claims_their_volume() -> None:
    found = lines(storage.volume, """
apiVersion: v1
kind: PersistentVolume
metadata: {name: v}
spec: {capacity: {storage: 5Gi}, accessModes: [ReadWriteMany], nfs: {server: s, path: /p},
       claimRef: {namespace: default, name: c}}
""")  # fmt: skip
    assert (found["Capacity"], found["Claim"], found["Type"], found["Server"]) == ("5Gi", "default/c", "nfs", "s")
    found = lines(storage.claim, f"""
apiVersion: v1
kind: PersistentVolumeClaim
{HEAD}
spec: {{volumeName: v, storageClassName: fast}}
status: {{phase: Bound, capacity: {{storage: 5Gi}}, accessModes: [ReadWriteOnce]}}
""")  # fmt: skip
    assert (found["Status"], found["Volume"], found["Access Modes"]) == ("Bound", "v", "RWO")


def test_bounds_are_tables() -> None:
    text = told(storage.quota, f"""
apiVersion: v1
kind: ResourceQuota
{HEAD}
status: {{hard: {{pods: '3', cpu: '1'}}, used: {{pods: '1'}}}}
""")  # fmt: skip
    assert [line.split() for line in text.splitlines()[-2:]] == [["cpu", "0", "1"], ["pods", "1", "3"]]
    text = told(storage.limit_range, f"""
apiVersion: v1
kind: LimitRange
{HEAD}
spec: {{limits: [{{type: Container, max: {{cpu: '2'}}, default: {{cpu: '1'}}}}]}}
""")  # fmt: skip
    assert text.splitlines()[-1].split() == ["Container", "cpu", "-", "2", "-", "1", "-"]
