"""Custom resources through kubectl and the client libraries."""

from __future__ import annotations

from pathlib import Path

import kubernetes
import pytest
from kubernetes import client as k8s
from kubernetes.dynamic import DynamicClient
from lightkube import Client, KubeConfig
from lightkube.generic_resource import create_namespaced_resource

from ..services.apiserver.rest import Kubectl  # noqa: TID252
from .manifests import RAFT

pytestmark = [pytest.mark.kubectl, pytest.mark.usefixtures("rafts")]


def test_kubectl_treats_them_as_any_other(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=RAFT)
    assert kubectl("get", "rf").split() == ["NAME", "LOGS", "kon-tiki", "9"]
    kubectl("scale", "raft/kon-tiki", "--replicas=10")
    kubectl("label", "raft/kon-tiki", "a=b")
    assert kubectl("get", "rafts", "-l", "a=b", "-o", "jsonpath={.items[0].spec.logs}") == "10"
    assert "How many logs it is made of" in kubectl("explain", "raft.spec.logs")
    assert "Logs" in kubectl("describe", "raft/kon-tiki")
    bad = RAFT.replace("logs: 9", "logs: 0")
    assert "spec.logs" in kubectl("apply", "-f", "-", stdin=bad, fails=True)
    assert 'unknown field "spec.sail"' in kubectl(
        "create", "-f", "-", stdin=RAFT.replace("logs", "sail: 1, logs"), fails=True
    )
    assert "serverside-applied" in kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=RAFT)
    kubectl("delete", "raft", "--all")


def test_the_official_client_reads_writes_and_watches_them(kubeconfig: Path, namespace: str) -> None:
    with kubernetes.config.new_client_from_config(str(kubeconfig)) as api:
        objects = k8s.CustomObjectsApi(api)
        where = ("clients.example", "v1", namespace, "rafts")
        body = {"apiVersion": "clients.example/v1", "kind": "Raft", "metadata": {"name": "r"}, "spec": {"logs": 3}}
        objects.create_namespaced_custom_object(*where, body)
        objects.patch_namespaced_custom_object(*where, "r", {"spec": {"logs": 4}})
        objects.patch_namespaced_custom_object_status(*where, "r", {"status": {"afloat": True}})
        found = objects.list_namespaced_custom_object(*where)["items"][0]
        assert (found["spec"], found["status"]) == ({"logs": 4}, {"afloat": True})
        rafts = DynamicClient(api).resources.get(api_version="clients.example/v1", kind="Raft")
        assert [event["type"] for event in rafts.watch(namespace=namespace, timeout=1)] == ["ADDED"]


def test_lightkube_has_them_as_generic_resources(kubeconfig: Path, namespace: str) -> None:
    client = Client(KubeConfig.from_file(str(kubeconfig)), namespace=namespace, trust_env=False)
    raft = create_namespaced_resource("clients.example", "v1", "Raft", "rafts")
    client.create(raft(metadata={"name": "r"}, spec={"logs": 3}))
    assert client.get(raft, name="r").spec == {"logs": 3}
    client._client._client.close()
