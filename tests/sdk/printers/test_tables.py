"""The columns of `get`, as Kubernetes fills them."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from raftsman import codec, printers, resources
from raftsman.core import v1 as core
from raftsman.printers import pods

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def stamp(**ago: float) -> str:
    return (NOW - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(kind: str, value: dict[str, Any], *, wide: bool = False) -> dict[str, str]:
    """The cells of an object by their headers."""
    resource = resources.find(kind)
    assert resource is not None
    value.setdefault("metadata", {}).setdefault("creationTimestamp", stamp(hours=3, minutes=2))
    decoded = codec.from_json(value, resource.message)
    assert not decoded.problems
    found = printers.cells(resource, decoded.message, wide=wide, now=NOW)
    return dict(zip(printers.columns(resource, wide=wide), found, strict=True))


def pod(status: dict[str, Any], *, spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", **metadata}, "spec": {"containers": [{"name": "c"}], **(spec or {})},
            "status": {"phase": "Running", **status}}  # fmt: skip


def container(name: str = "c", **fields: Any) -> dict[str, Any]:
    return {"name": name, "ready": False, "restartCount": 0, "image": "", "imageID": "", **fields}


def waiting(reason: str) -> dict[str, Any]:
    return {"waiting": {"reason": reason}}


RUNNING = {"running": {"startedAt": stamp(hours=1)}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}


@pytest.mark.parametrize(
    ("value", "ready", "status", "restarts"),
    [
        (pod({"phase": "Pending"}), "0/1", "Pending", "0"),
        (pod({"containerStatuses": [container(state=RUNNING, ready=True)]}), "1/1", "Running", "0"),
        (pod({"containerStatuses": [container(state=waiting("CrashLoopBackOff"), restartCount=3, lastState={
            "terminated": {"exitCode": 1, "finishedAt": stamp(minutes=2)}})]}),
         "0/1", "CrashLoopBackOff", "3 (2m ago)"),
        (pod({"phase": "Pending", "containerStatuses": [container(state=waiting("ContainerCreating"))]}),
         "0/1", "ContainerCreating", "0"),
        (pod({"phase": "Succeeded", "containerStatuses": [container(state=DONE)]}), "0/1", "Completed", "0"),
        (pod({"containerStatuses": [container(state={"terminated": {"exitCode": 2, "reason": "Error"}})]}),
         "0/1", "Error", "0"),
        (pod({"containerStatuses": [container(state={"terminated": {"exitCode": 7}})]}), "0/1", "ExitCode:7", "0"),
        (pod({"containerStatuses": [container(state={"terminated": {"exitCode": 137, "signal": 9}})]}),
         "0/1", "Signal:9", "0"),
        (pod({"containerStatuses": [container(state=RUNNING, ready=True)]}, deletionTimestamp=stamp(seconds=5)),
         "1/1", "Terminating", "0"),
        (pod({"phase": "Failed", "reason": "Evicted"}), "0/1", "Evicted", "0"),
        (pod({"phase": "Pending", "initContainerStatuses": [container("a", state=DONE), container("b", state=RUNNING)]},
             spec={"initContainers": [{"name": "a"}, {"name": "b"}]}), "0/1", "Init:1/2", "0"),
        (pod({"phase": "Pending", "initContainerStatuses": [container("a", state={"terminated": {"exitCode": 3}})]},
             spec={"initContainers": [{"name": "a"}]}), "0/1", "Init:ExitCode:3", "0"),
        (pod({"phase": "Pending", "initContainerStatuses": [
            container("a", state=waiting("ImagePullBackOff"))]},
             spec={"initContainers": [{"name": "a"}]}), "0/1", "Init:ImagePullBackOff", "0"),
        (pod({"initContainerStatuses": [container("s", state=RUNNING, ready=True, started=True)],
              "containerStatuses": [container(state=RUNNING, ready=True)]},
             spec={"initContainers": [{"name": "s", "restartPolicy": "Always"}]}), "2/2", "Running", "0"),
        (pod({"containerStatuses": [container("c", state=DONE), container("d", state=RUNNING, ready=True)],
              "conditions": [{"type": "Ready", "status": "False"}]},
             spec={"containers": [{"name": "c"}, {"name": "d"}]}), "1/2", "NotReady", "0"),
    ],
)  # fmt: skip
def test_a_pod_has_one_status_word(value: dict[str, Any], ready: str, status: str, restarts: str) -> None:
    cells = shown("pods", value)
    assert (cells["READY"], cells["STATUS"], cells["RESTARTS"]) == (ready, status, restarts)
    assert cells["AGE"] == "3h2m"


def test_a_pod_that_is_empty_can_be_printed() -> None:
    assert pods.summary(core.Pod()).status == "Unknown"


def test_a_deployment_shows_its_replicas() -> None:
    value = {
        "metadata": {"name": "web"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}},
                 "template": {"spec": {"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y"}]}}},
        "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 2},
    }  # fmt: skip
    assert shown("deploy", value, wide=True) == {
        "NAME": "web", "READY": "2/3", "UP-TO-DATE": "3", "AVAILABLE": "2", "AGE": "3h2m", "CONTAINERS": "a,b",
        "IMAGES": "x:1,y", "SELECTOR": "app=web",
    }  # fmt: skip


def test_a_service_shows_its_ports_and_addresses() -> None:
    ports = [{"port": 80, "nodePort": 30080}, {"port": 53, "protocol": "UDP"}]
    value = {"metadata": {"name": "s"}, "spec": {"type": "NodePort", "clusterIP": "10.96.0.7", "ports": ports}}
    cells = shown("svc", value, wide=True)
    assert cells["PORT(S)"] == "80:30080/TCP,53/UDP"
    assert (cells["CLUSTER-IP"], cells["EXTERNAL-IP"], cells["SELECTOR"]) == ("10.96.0.7", "<none>", "<none>")
    assert shown("svc", {"spec": {"type": "LoadBalancer"}})["EXTERNAL-IP"] == "<pending>"
    assert shown("svc", {"spec": {"clusterIP": "None"}})["CLUSTER-IP"] == "None"


def test_a_node_shows_its_status_and_roles() -> None:
    value = {
        "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/control-plane": ""}},
        "spec": {"unschedulable": True},
        "status": {"conditions": [{"type": "Ready", "status": "True"}],
                   "nodeInfo": {"kubeletVersion": "v1.36.0"},
                   "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]},
    }  # fmt: skip
    cells = shown("nodes", value, wide=True)
    assert cells["STATUS"] == "Ready,SchedulingDisabled"
    assert (cells["ROLES"], cells["VERSION"], cells["INTERNAL-IP"]) == ("control-plane", "v1.36.0", "10.0.0.1")
    assert shown("nodes", {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}})["STATUS"] == "NotReady"
    assert shown("nodes", {})["STATUS"] == "Unknown"


def test_endpoints_beyond_three_are_counted() -> None:
    addresses = [{"ip": f"10.0.0.{n}"} for n in range(5)]
    value = {"metadata": {"name": "e"}, "subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]}
    assert shown("endpoints", value)["ENDPOINTS"] == "10.0.0.0:80,10.0.0.1:80,10.0.0.2:80 + 2 more..."
    assert shown("endpoints", {})["ENDPOINTS"] == "<none>"


def test_an_event_names_its_object_and_its_age() -> None:
    value = {
        "metadata": {"name": "x"}, "type": "Warning", "reason": "BackOff", "message": "again\n", "count": 4,
        "involvedObject": {"kind": "Pod", "name": "p"}, "lastTimestamp": stamp(seconds=30),
        "firstTimestamp": stamp(minutes=20), "eventTime": None,
        "reportingComponent": "", "reportingInstance": "",
    }  # fmt: skip
    cells = shown("events", value, wide=True)
    assert (cells["LAST SEEN"], cells["OBJECT"], cells["MESSAGE"]) == ("30s", "pod/p", "again")
    assert (cells["FIRST SEEN"], cells["COUNT"]) == ("20m", "4")


@pytest.mark.parametrize("resource", resources.served(), ids=lambda r: r.qualified)
def test_an_empty_object_of_every_kind_can_be_printed(resource: resources.Resource) -> None:
    for wide in (False, True):
        layout = printers.Layout(wide=wide, namespace=True, labels=True)
        assert len(layout.row(resource, resource.message())) == len(layout.headers(resource))


def test_columns_are_divided_by_three_blanks_and_only_grow() -> None:
    out = io.StringIO()
    writer = printers.Writer(out)
    writer.write([["NAME", "AGE"], ["a-long-name", "1s"]])
    writer.write([["b", "2s"]])
    assert out.getvalue() == "NAME          AGE\na-long-name   1s\nb             2s\n"


def test_an_object_cannot_move_the_cursor() -> None:
    out = io.StringIO()
    printers.Writer(out).write([["a\x1b[2Jb\nc"]])
    assert out.getvalue() == "a\\x1b[2Jb c\n"


def test_a_job_is_as_far_as_its_pods() -> None:
    job = {"metadata": {"name": "j"}, "spec": {"completions": 3, "template": {}},
           "status": {"succeeded": 1, "startTime": stamp(minutes=5)}}  # fmt: skip
    cells = shown("jobs", job)
    assert (cells["STATUS"], cells["COMPLETIONS"], cells["DURATION"]) == ("Running", "1/3", "5m")
    done = {**job, "status": {"succeeded": 3, "startTime": stamp(minutes=5), "completionTime": stamp(minutes=3),
                              "conditions": [{"type": "Complete", "status": "True"}]}}  # fmt: skip
    cells = shown("jobs", done)
    assert (cells["STATUS"], cells["COMPLETIONS"], cells["DURATION"]) == ("Complete", "3/3", "2m")
    assert shown("jobs", {"spec": {"parallelism": 4}})["COMPLETIONS"] == "0/1 of 4"


def test_a_cron_job_shows_when_it_ran_last() -> None:
    value = {"spec": {"schedule": "@daily", "suspend": False, "jobTemplate": {}}, "status": {"active": [{}]}}
    cells = shown("cronjobs", value)
    assert [cells[name] for name in ("SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST SCHEDULE")] == [
        "@daily", "<none>", "False", "1", "<none>"
    ]  # fmt: skip


def test_an_autoscaler_shows_two_of_its_metrics() -> None:
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
    rps = {"type": "Pods", "pods": {"metric": {"name": "r"}, "target": {"type": "AverageValue", "averageValue": "10"}}}
    current = {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 12}}}
    value = {"spec": {"maxReplicas": 4, "scaleTargetRef": {"kind": "Deployment", "name": "web"},
                      "metrics": [cpu, rps, cpu]}, "status": {"currentMetrics": [current]}}  # fmt: skip
    cells = shown("hpa", value)
    assert cells["TARGETS"] == "cpu: 12%/80%, <unknown>/10 + 1 more..."
    assert (cells["REFERENCE"], cells["MINPODS"], cells["MAXPODS"]) == ("Deployment/web", "<unset>", "4")


def test_volumes_and_claims_show_their_sizes_once_they_have_them() -> None:
    volume = {"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
                       "claimRef": {"namespace": "n", "name": "c"}}, "status": {"phase": "Bound"}}  # fmt: skip
    cells = shown("pv", volume)
    assert (cells["CAPACITY"], cells["ACCESS MODES"], cells["CLAIM"], cells["STATUS"]) == (
        "1Gi", "RWO,RWX", "n/c", "Bound"
    )  # fmt: skip
    assert shown("pvc", {"status": {"phase": "Pending", "capacity": {"storage": "1Gi"}}})["CAPACITY"] == ""


def test_a_quota_shows_requests_and_limits_apart() -> None:
    value = {"status": {"hard": {"pods": "3", "limits.cpu": "2"}, "used": {"pods": "1"}}}
    cells = shown("quota", value)
    assert (cells["REQUEST"], cells["LIMIT"]) == ("pods: 1/3", "limits.cpu: 0/2")
