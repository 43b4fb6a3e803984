"""The machine's kubectl, unchanged, against the REST API."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from pathlib import Path

import pytest

from . import test_certificates
from .cluster import ApiServerProcess
from .rest import Kubectl, kubeconfig
from .test_streams import Agent, agent

__all__ = ["agent"]

pytestmark = pytest.mark.kubectl
HELLO = Path(__file__).parents[3] / "examples" / "hello"


@pytest.fixture
def kubectl(server: ApiServerProcess, tmp_path: Path) -> Kubectl:
    return Kubectl(kubeconfig(server, tmp_path), tmp_path)


@pytest.fixture
def space(kubectl: Kubectl) -> str:
    name = f"k-{secrets.token_hex(4)}"
    kubectl("create", "namespace", name)
    return name


def test_an_example_is_applied_twice_changed_and_deleted(kubectl: Kubectl) -> None:
    assert "deployment.apps/hello created" in kubectl("apply", "-f", str(HELLO))
    again = kubectl("apply", "-f", str(HELLO)).splitlines()
    # stringData is written and never read back: to kubectl it always differs.
    assert [line for line in again if not line.endswith("unchanged")] == ["secret/hello configured"]
    kubectl("scale", "deployment/hello", "-n", "hello", "--replicas=2")
    kubectl("set", "image", "deployment/hello", "web=localhost/raftsman-demo:2", "-n", "hello")
    found = json.loads(kubectl("get", "deployment", "hello", "-n", "hello", "-o", "json"))
    assert found["spec"]["replicas"] == 2
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "localhost/raftsman-demo:2"
    assert "web" in kubectl("describe", "deployment", "hello", "-n", "hello")
    kubectl("delete", "-f", str(HELLO), "--wait=false")


def test_objects_are_created_labelled_patched_edited_and_printed(kubectl: Kubectl, space: str) -> None:
    kubectl("create", "configmap", "c", "--from-literal=a=b", "-n", space)
    kubectl("label", "configmap", "c", "x=y", "-n", space)
    kubectl("annotate", "configmap", "c", "note=1", "-n", space)
    kubectl("patch", "configmap", "c", "-n", space, "-p", '{"data":{"c":"d"}}')
    found = json.loads(kubectl("get", "configmap", "c", "-n", space, "-o", "json"))
    assert found["data"] == {"a": "b", "c": "d"}
    assert (found["metadata"]["labels"], found["metadata"]["annotations"]) == ({"x": "y"}, {"note": "1"})
    lines = kubectl("get", "configmaps", "-n", space, "-l", "x=y").splitlines()
    assert [line.split()[:2] for line in lines] == [["NAME", "DATA"], ["c", "2"]]
    assert kubectl("get", "configmaps", "-n", space, "-o", "name").split() == ["configmap/c"]
    kubectl("delete", "configmap", "c", "-n", space)
    assert "NotFound" in kubectl("get", "configmap", "c", "-n", space, fails=True)


def test_what_is_wrong_is_said_by_field(kubectl: Kubectl, space: str) -> None:
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"ports": [{"port": 99999}], "seletcor": {"a": "b"}},
    }  # fmt: skip
    said = kubectl("create", "-n", space, "-f", "-", stdin=json.dumps(service), fails=True)
    assert "spec.seletcor" in said or 'unknown field "spec.seletcor"' in said
    del service["spec"]["seletcor"]  # type: ignore[attr-defined]
    said = kubectl("create", "-n", space, "-f", "-", stdin=json.dumps(service), fails=True)
    assert "spec.ports[0].port" in said


def test_signing_requests_are_approved_and_denied(kubectl: Kubectl) -> None:
    for verb, said in (("approve", "Approved"), ("deny", "Denied")):
        name = f"r-{secrets.token_hex(4)}"
        request = {
            "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name},
            "spec": {
                "request": base64.b64encode(test_certificates.pem("jane")).decode(), "usages": ["client auth"],
                "signerName": "example.com/signer", "expirationSeconds": 86400,
            },
        }  # fmt: skip
        kubectl("create", "-f", "-", stdin=json.dumps(request))
        assert f"certificatesigningrequest.certificates.k8s.io/{name}" in kubectl("certificate", verb, name)
        (row,) = kubectl("get", "csr", name, "--no-headers").splitlines()
        assert row.split()[2:] == ["example.com/signer", "kubernetes-admin", "24h", said]
        assert "kubernetes-admin" in kubectl("describe", "csr", name)


def test_discovery_and_explain_know_every_served_kind(kubectl: Kubectl) -> None:
    names = set(kubectl("api-resources", "-o", "name").split())
    assert {"pods", "deployments.apps", "endpointslices.discovery.k8s.io", "leases.coordination.k8s.io"} <= names
    assert "containers" in kubectl("explain", "pod.spec")
    assert "One stable address and name" in kubectl("explain", "service")
    field = kubectl("explain", "pod.spec.restartPolicy")
    assert "FIELD: restartPolicy <string>" in field
    assert "ENUM:" in field
    assert "OnFailure" in field
    assert "imagePullPolicy" in kubectl("explain", "deployment", "--recursive")
    assert "containers" in kubectl("explain", "pod.spec", "--output=plaintext-openapiv2")
    assert "Server Version: v1." in kubectl("version")


def test_a_token_of_a_service_account_is_its_user(kubectl: Kubectl, space: str) -> None:
    kubectl("create", "serviceaccount", "sa", "-n", space)
    token = kubectl("create", "token", "sa", "-n", space).strip()
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=configmaps", "-n", space)
    kubectl("create", "rolebinding", "reads", "--role=reader", f"--serviceaccount={space}:sa", "-n", space)
    config = json.loads(kubectl("config", "view", "--raw", "-o", "json"))
    path = Path(kubectl("config", "view", "-o", "jsonpath={.clusters[0].cluster.certificate-authority}"))
    as_account = ("--server", config["clusters"][0]["cluster"]["server"], "--certificate-authority", str(path),
                  "--token", token, "--kubeconfig", "/dev/null")  # fmt: skip
    assert kubectl("get", "configmaps", "-n", space, "-o", "name", *as_account) == ""
    assert "Forbidden" in kubectl("get", "secrets", "-n", space, *as_account, fails=True)


async def test_logs_and_exec_go_through_to_the_node(kubectl: Kubectl, agent: Agent, namespace: str) -> None:
    logs = await asyncio.to_thread(kubectl, "logs", "web", "-n", namespace, "--tail=2")
    assert logs == "app 0\napp 1\n"
    said = await asyncio.to_thread(
        kubectl, "exec", "-i", "web", "-n", namespace, "--", "echo ", "x", stdin="input", fails=True
    )
    assert said.startswith("echo  xinput")
    assert "exit code 7" in said
    assert "not found" in await asyncio.to_thread(kubectl, "exec", "nope", "-n", namespace, "--", "x", fails=True)


def test_rights_can_be_asked_for(kubectl: Kubectl, space: str) -> None:
    assert kubectl("auth", "can-i", "create", "deployments", "-n", space).strip() == "yes"
    assert "kubernetes-admin" in kubectl("auth", "whoami")
    assert "*.*" in kubectl("auth", "can-i", "--list", "-n", space)
