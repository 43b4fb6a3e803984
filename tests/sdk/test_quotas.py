"""What counts against a quota, object by object."""

from __future__ import annotations

from typing import Any

import pytest
from raftsman import manifests, quotas
from raftsman.codec import from_json
from raftsman.core import v1 as core


def parsed(message: type[Any], text: str) -> Any:
    return from_json(manifests.parse(text.encode())[0].value, message).message


def usage(qualified: str, obj: Any) -> dict[str, str]:
    return {name: str(amount) for name, amount in quotas.usage(qualified, obj, now=0).items()}


def test_a_pod_counts_under_every_name_of_what_it_asks_for() -> None:
    text = """
    {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c, resources: {
      requests: {cpu: 1, memory: 1Gi, example.com/gpu: 2, hugepages-2Mi: 4Mi}, limits: {cpu: 2}}}]}}"""
    assert usage("pods", parsed(core.Pod, text)) == {
        "count/pods": "1", "pods": "1", "cpu": "1", "requests.cpu": "1", "memory": "1Gi", "requests.memory": "1Gi",
        "requests.example.com/gpu": "2", "hugepages-2Mi": "4Mi", "requests.hugepages-2Mi": "4Mi", "limits.cpu": "2",
    }  # fmt: skip


def test_a_pod_that_ended_is_an_object_still() -> None:
    pod = core.Pod()
    pod.status.phase = "Failed"
    assert usage("pods", pod) == {"count/pods": "1"}


@pytest.mark.parametrize(
    ("spec", "counted"),
    [
        ("{type: ClusterIP, ports: [{port: 1}]}", {}),
        ("{type: NodePort, ports: [{port: 1}, {port: 2}]}", {"services.nodeports": "2"}),
        ("{type: LoadBalancer, ports: [{port: 1}]}", {"services.loadbalancers": "1", "services.nodeports": "1"}),
        (
            "{type: LoadBalancer, allocateLoadBalancerNodePorts: false, ports: [{port: 1}]}",
            {"services.loadbalancers": "1", "services.nodeports": "0"},
        ),
    ],
)
def test_services_count_their_node_ports(spec: str, counted: dict[str, str]) -> None:
    service = parsed(core.Service, f"{{apiVersion: v1, kind: Service, metadata: {{name: a}}, spec: {spec}}}")
    assert usage("services", service) == {"count/services": "1", "services": "1", **counted}


def test_a_claim_counts_under_its_class_too() -> None:
    text = """
    {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a},
     spec: {storageClassName: gold, resources: {requests: {storage: 3Gi}}}}"""
    prefix = "gold.storageclass.storage.k8s.io/"
    assert usage("persistentvolumeclaims", parsed(core.PersistentVolumeClaim, text)) == {
        "count/persistentvolumeclaims": "1", "persistentvolumeclaims": "1", f"{prefix}persistentvolumeclaims": "1",
        "requests.storage": "3Gi", f"{prefix}requests.storage": "3Gi",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("scopes", "spec", "matches"),
    [
        ("scopes: [Terminating]", "{activeDeadlineSeconds: 5}", True),
        ("scopes: [NotTerminating]", "{activeDeadlineSeconds: 5}", False),
        ("scopes: [BestEffort, NotTerminating]", "{containers: [{name: c}]}", True),
        ("scopes: [NotBestEffort]", "{containers: [{name: c, resources: {limits: {memory: 1}}}]}", True),
        ("scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: [a, b]}]}",
         "{priorityClassName: b}", True),
        ("scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: NotIn, values: [a, b]}]}",
         "{priorityClassName: b}", False),
        ("scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: Exists}]}", "{}", False),
        ("scopes: [CrossNamespacePodAffinity]",
         "{affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{namespaces: [x]}]}}}", True),
    ],
)  # fmt: skip
def test_scopes_choose_pods(scopes: str, spec: str, matches: bool) -> None:
    pod = parsed(core.Pod, f"{{apiVersion: v1, kind: Pod, metadata: {{name: a}}, spec: {spec}}}")
    text = f"{{apiVersion: v1, kind: ResourceQuota, metadata: {{name: q}}, spec: {{hard: {{pods: 1}}, {scopes}}}}}"
    quota = parsed(core.ResourceQuota, text)
    assert quotas.matches(quota, "pods", pod) is matches
    assert not quotas.matches(quota, "services", core.Service())


def test_bounds_lead_to_what_has_to_be_counted() -> None:
    names = ["requests.cpu", "count/jobs.batch", "services.nodeports", "secrets", "x.storageclass.storage.k8s.io/a"]
    assert quotas.counted_by(names) == {"pods", "jobs.batch", "services", "secrets", "persistentvolumeclaims"}
