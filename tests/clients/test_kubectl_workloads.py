"""kubectl looks after workloads and nodes: roll out, scale, wait, run, expose, cordon, taint, drain; and rights."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ..services.apiserver.rest import Kubectl  # noqa: TID252
from .manifests import REQUEST, ROLE, WEB

pytestmark = pytest.mark.kubectl


@pytest.fixture
def web(kubectl: Kubectl) -> Kubectl:
    kubectl("apply", "-f", "-", stdin=WEB)
    kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    return kubectl


def test_a_rollout_is_followed_listed_undone_paused_and_restarted(web: Kubectl) -> None:
    web("set", "image", "deploy/web", "app=localhost/demo:2")
    web("annotate", "deploy/web", "kubernetes.io/change-cause=newer")
    assert "successfully rolled out" in web("rollout", "status", "deploy/web", "--timeout=60s")
    assert "newer" in web("rollout", "history", "deploy/web")
    assert "localhost/demo:1" in web("rollout", "history", "deploy/web", "--revision=1")
    web("rollout", "undo", "deploy/web", "--to-revision=1")
    assert web("get", "deploy/web", "-o", "jsonpath={..image}") == "localhost/demo:1"
    web("rollout", "pause", "deploy/web")
    assert "already paused" in web("rollout", "pause", "deploy/web", fails=True)
    web("rollout", "resume", "deploy/web")
    web("rollout", "restart", "deploy/web")
    web("rollout", "status", "deploy/web", "--timeout=60s")


def test_scaling_is_waited_for_by_condition_path_and_deletion(web: Kubectl) -> None:
    assert "Expected replicas" in web("scale", "deploy/web", "--replicas=3", "--current-replicas=9", fails=True)
    web("scale", "deploy/web", "--replicas=3")
    web("wait", "--for=jsonpath={.status.readyReplicas}=3", "deploy/web", "--timeout=60s")
    web("wait", "--for=condition=Available", "deploy/web", "--timeout=60s")
    assert "timed out" in web("wait", "--for=condition=Sunny", "deploy/web", "--timeout=200ms", fails=True)
    web("scale", "deploy/web", "--replicas=0")
    web("wait", "--for=delete", "pods", "-l", "app=web", "--timeout=60s")
    web("wait", "--for=jsonpath={.spec.replicas}=0", "deploy/web", "--timeout=60s")


def test_a_deployment_is_autoscaled(web: Kubectl, namespace: str) -> None:
    web("autoscale", "deploy/web", "--min=1", "--max=3", "--cpu-percent=50")
    assert "Deployment/web" in web("get", "hpa")
    assert "resource cpu on pods" in web("describe", "hpa", "web")
    path = f"/apis/autoscaling/v1/namespaces/{namespace}/horizontalpodautoscalers/web"
    assert json.loads(web("get", "--raw", path))["spec"]["targetCPUUtilizationPercentage"] == 50


def test_pods_are_run_exposed_and_deleted(kubectl: Kubectl) -> None:
    kubectl("run", "p", "--image=localhost/demo:1", "--env=A=B", "--labels=a=b", "--port=80", "--expose")
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=60s")
    spec = json.loads(kubectl("get", "pod/p", "-o", "json"))["spec"]
    assert spec["containers"][0]["env"] == [{"name": "A", "value": "B"}]
    assert kubectl("get", "svc/p", "-o", "jsonpath={.spec.selector}") == '{"a":"b"}'
    kubectl("expose", "pod/p", "--name=q", "--port=81", "--type=NodePort")
    assert kubectl("get", "svc/q", "-o", "jsonpath={.spec.ports[0].nodePort}").isdigit()
    assert 'pod "p"' in kubectl("delete", "pod/p", "--now")
    kubectl("run", "p", "--image=localhost/demo:1", "--restart=Never")
    kubectl("delete", "pod/p", "--force", "--grace-period=0")
    assert "NotFound" in kubectl("get", "pod/p", fails=True)


def test_nodes_are_cordoned_and_tainted(admin: Kubectl) -> None:
    admin("cordon", "n1")
    assert "Ready,SchedulingDisabled" in admin("get", "nodes")
    admin("uncordon", "n1")
    admin("taint", "node", "n1", "a=b:PreferNoSchedule")
    assert '"key":"a"' in admin("get", "node/n1", "-o", "jsonpath={.spec.taints}")
    admin("taint", "node", "n1", "a-")
    admin("label", "node", "n1", "rack=1", "--overwrite")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("deployment", "d", "--image=localhost/demo:1", "--replicas=2", "--port=80", "--", "sleep", "3"), "deploy"),
        (("configmap", "d", "--from-literal=a=b"), "cm"),
        (("secret", "generic", "d", "--from-literal=a=b"), "secret"),
        (("secret", "docker-registry", "d", "--docker-username=u", "--docker-password=p"), "secret"),
        (("serviceaccount", "d"), "sa"),
        (("service", "clusterip", "d", "--tcp=80:8080"), "svc"),
        (("service", "nodeport", "d", "--tcp=80:8080"), "svc"),
        (("service", "externalname", "d", "--external-name=example.com"), "svc"),
        (("role", "d", "--verb=get,list", "--resource=pods,deployments.apps,pods/log"), "role"),
        (("job", "d", "--image=localhost/demo:1", "--", "true"), "job"),
        (("cronjob", "d", "--image=localhost/demo:1", "--schedule=*/5 * * * *", "--", "true"), "cj"),
        (("quota", "d", "--hard=pods=100,cpu=4"), "quota"),
        (("poddisruptionbudget", "d", "--selector=app=web", "--min-available=50%"), "pdb"),
        (("ingress", "d", "--rule=example.com/path*=web:80,tls=pair"), "ing"),
        (("rolebinding", "d", "--role=d", "--user=u", "--serviceaccount=x:y"), "rolebinding"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else value,
)  # fmt: skip
def test_objects_are_created_from_flags(kubectl: Kubectl, words: tuple[str, ...], kind: str) -> None:
    """kubectl sends these as protobuf."""
    assert "created" in kubectl("create", *words)
    assert kubectl("get", kind, "d", "-o", "name").endswith("/d\n")
    assert "already exists" in kubectl("create", *words, fails=True)
    assert "Name:" in kubectl("describe", kind, "d")


def test_a_job_is_created_from_a_cron_job(kubectl: Kubectl) -> None:
    kubectl("create", "cronjob", "daily", "--image=localhost/demo:1", "--schedule=@daily")
    kubectl("create", "job", "now", "--from=cronjob/daily")
    assert kubectl("get", "job/now", "-o", "jsonpath={.metadata.ownerReferences[0].name}") == "daily"


def test_priority_classes_are_cluster_wide(admin: Kubectl) -> None:
    admin("create", "priorityclass", "c-high", "--value=1000", "--description=more")
    assert "1000" in admin("get", "priorityclass", "c-high", "-o", "jsonpath={.value}")
    assert "more" in admin("describe", "priorityclass", "c-high")
    admin("delete", "priorityclass", "c-high")


def test_a_certificate_and_its_key_become_a_secret(kubectl: Kubectl, tmp_path: Path) -> None:
    key, cert = tmp_path / "key", tmp_path / "cert"
    user = json.loads(kubectl("config", "view", "--raw", "-o", "json"))["users"][0]["user"]
    cert.write_bytes(base64.b64decode(user["client-certificate-data"]))
    key.write_bytes(base64.b64decode(user["client-key-data"]))
    kubectl("create", "secret", "tls", "pair", f"--cert={cert}", f"--key={key}")
    assert kubectl("get", "secret/pair", "-o", "jsonpath={.type}") == "kubernetes.io/tls"


def test_cluster_roles_are_created_and_bound(admin: Kubectl) -> None:
    admin("create", "clusterrole", "c-reader", "--verb=get", "--resource=nodes", "--non-resource-url=/x")
    admin("create", "clusterrolebinding", "c-reads", "--clusterrole=c-reader", "--group=readers")
    assert admin("auth", "can-i", "get", "nodes", "--as=u", "--as-group=readers").strip() == "yes"
    admin("delete", "clusterrole/c-reader", "clusterrolebinding/c-reads")
    assert "no" in admin("auth", "can-i", "get", "nodes", "--as=u", "--as-group=readers", fails=True)


def test_rights_are_asked_for_listed_and_reconciled(kubectl: Kubectl, namespace: str) -> None:
    assert kubectl("auth", "can-i", "create", "deployments").strip() == "yes"
    assert "*.*" in kubectl("auth", "can-i", "--list")
    assert "kubernetes-admin" in kubectl("auth", "whoami")
    role = ROLE.replace("NAMESPACE", namespace)
    assert "reader" in kubectl("auth", "reconcile", "-f", "-", stdin=role.replace("VERBS", "get"))
    assert "reader" in kubectl("auth", "reconcile", "-f", "-", stdin=role.replace("VERBS", "watch"))
    verbs = kubectl("get", "role/reader", "-o", "jsonpath={.rules[*].verbs}")
    assert "get" in verbs
    assert "watch" in verbs


def test_a_signing_request_is_approved_and_its_certificate_is_known(admin: Kubectl, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "c-jane")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    body = base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()
    admin("create", "-f", "-", stdin=REQUEST.replace("REQUEST", body))
    assert "Pending" in admin("get", "csr", "c-jane")
    admin("certificate", "approve", "c-jane")
    admin("wait", "csr/c-jane", "--for=jsonpath={.status.certificate}", "--timeout=60s")
    assert "Approved,Issued" in admin("get", "csr", "c-jane")
    assert "Subject" in admin("describe", "csr", "c-jane")
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    config = json.loads(admin("config", "view", "--raw", "-o", "json"))
    config["users"][0]["user"] = {
        "client-certificate-data": admin("get", "csr", "c-jane", "-o", "jsonpath={.status.certificate}"),
        "client-key-data": base64.b64encode(pem).decode(),
    }
    (tmp_path / "config").write_text(json.dumps(config))
    assert "c-jane" in admin("auth", "whoami", "--kubeconfig", str(tmp_path / "config"))
    admin("delete", "csr", "c-jane")


def test_tokens_are_made_with_audience_duration_and_binding(kubectl: Kubectl) -> None:
    kubectl("create", "secret", "generic", "bound", "--from-literal=a=b")
    token = kubectl("create", "token", "default", "--duration=20m", "--audience=x", "--bound-object-kind=Secret",
                    "--bound-object-name=bound").strip()  # fmt: skip
    assert token.count(".") == 2
