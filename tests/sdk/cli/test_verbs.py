"""Every verb on a real API: what it prints and what it does."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .conftest import CommandLine

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: app
        image: localhost/demo:1
        resources: {requests: {cpu: 0.05}}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {token: hunter2}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80}]
"""


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "web.yaml"
    path.write_text(DEPLOYMENT)
    return path


@pytest.fixture
def web(cli: CommandLine, manifest: Path) -> CommandLine:
    """A namespace with the manifest applied and rolled out."""
    cli.ok("apply", "-f", str(manifest))
    cli.ok("rollout", "status", "deploy/web", "--timeout=30s")
    return cli


def test_apply_creates_then_changes_nothing_then_what_changed(cli: CommandLine, manifest: Path) -> None:
    assert cli.ok("apply", "-f", str(manifest), "--dry-run=server") == (
        "deployment.apps/web created (server dry run)\nsecret/key created (server dry run)\n"
        "service/web created (server dry run)\n"
    )
    assert cli.ok("apply", "-f", str(manifest)) == (
        "deployment.apps/web created\nsecret/key created\nservice/web created\n"
    )
    unchanged = "deployment.apps/web unchanged\nsecret/key unchanged\nservice/web unchanged\n"
    assert cli.ok("apply", "-f", str(manifest)) == unchanged
    cli.ok("label", "deploy/web", "by=somebody")
    manifest.write_text(DEPLOYMENT.replace("demo:1", "demo:2").replace("  labels: {app: web}\n", "", 1))
    assert "deployment.apps/web configured" in cli.ok("apply", "-f", str(manifest))
    found = json.loads(cli.ok("get", "deploy/web", "-o", "json"))
    assert found["metadata"]["labels"] == {"by": "somebody"}
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "localhost/demo:2"


def test_bad_manifests_are_answered_with_every_cause(cli: CommandLine, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        DEPLOYMENT.split("---")[0].replace("replicas: 2", "replicas: two").replace("image:", "imag:")
        + "---\napiVersion: x/v1\nkind: Foo\nmetadata: {name: f}\n"
        + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: twice, name: twice}\n"
        + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\n"
    )
    found = cli("apply", "-f", str(bad))
    assert found.code == 1
    assert found.out == "configmap/good created\n"
    for part in (
        "spec.replicas",
        "spec.template.spec.containers[0].imag: unknown field",
        'no matches for kind "Foo" in version "x/v1"',
        "metadata.name: the key is there more than once",
    ):
        assert part in found.err, part


def test_invalid_objects_are_listed_cause_by_cause(cli: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 0}, {port: 99999}]}\n")
    err = cli.fails("apply", "-f", str(path))
    assert err.startswith('The Service "s" is invalid: \n* spec.ports[0]')


def test_get_prints_tables_documents_and_parts(web: CommandLine) -> None:
    table = web.ok("get", "deploy").splitlines()
    assert table[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert table[1].split()[:4] == ["web", "2/2", "2", "2"]
    pods = web.ok("get", "pods", "-o", "wide", "-l", "app=web", "--no-headers").splitlines()
    assert len(pods) == 2
    assert all("n1" in line and "Running" in line for line in pods)
    assert "pod/web-" in web.ok("get", "all")
    assert web.ok("get", "svc", "-o", "name") == "service/web\n"
    assert web.ok("get", "deploy", "web", "-o=jsonpath={.spec.replicas}") == "2"
    listed = yaml.safe_load(web.ok("get", "deploy,svc", "-o", "yaml"))
    assert [item["kind"] for item in listed["items"]] == ["Deployment", "Service"]
    columns = web.ok("get", "deploy", "-o", "custom-columns=N:.metadata.name,X:.spec.nothing")
    assert columns.split() == ["N", "X", "web", "<none>"]
    assert "NAMESPACE" in web.ok("get", "pods", "-A")
    assert web.ok("get", "pods", "--field-selector=status.phase=Failed") == ""
    assert 'pods "nope" not found' in web.fails("get", "pod", "nope")
    assert web.ok("get", "pod", "nope", "--ignore-not-found") == ""


def test_describe_tells_about_an_object_but_not_its_secrets(web: CommandLine) -> None:
    out = web.ok("describe", "deploy", "web")
    assert "2 desired | 2 updated | 2 total | 2 available" in out
    assert "NewReplicaSet:" in out
    assert "ScalingReplicaSet" in out
    secret = web.ok("describe", "secret", "key")
    assert "token:  7 bytes" in secret
    assert "hunter2" not in secret
    assert "Node:" in web.ok("describe", "pods", "-l", "app=web")
    assert "Allocated resources:" in web.ok("describe", "node", "n1")
    assert "Endpoints:" in web.ok("describe", "svc")
    for kind in ("sa", "cm", "endpoints", "endpointslices", "rs"):
        web.ok("describe", kind)


def test_scale_and_wait(web: CommandLine) -> None:
    assert web.ok("scale", "deploy", "web", "--replicas=3", "--timeout=20s") == "deployment.apps/web scaled\n"
    assert web.ok("get", "deploy/web", "-o", "jsonpath={.status.readyReplicas}") == "3"
    assert "error: Expected replicas to be 7, was 3" in web.fails(
        "scale", "deploy/web", "--replicas=1", "--current-replicas=7"
    )
    assert web.ok("wait", "--for=condition=Available", "deploy/web") == "deployment.apps/web condition met\n"
    assert 'pods "nope" not found' in web.fails("wait", "--for=condition=Ready", "pod/nope")
    err = web.fails("wait", "--for=condition=Sunny", "deploy/web", "--timeout=300ms")
    assert err == "error: timed out waiting for the condition on deployments/web\n"


def test_a_rollout_is_followed_listed_undone_and_restarted(web: CommandLine) -> None:
    assert web.ok("set", "image", "deploy/web", "app=localhost/demo:2") == "deployment.apps/web image updated\n"
    assert web.ok("rollout", "status", "deploy/web", "--timeout=30s").endswith(
        'deployment "web" successfully rolled out\n'
    )
    assert web.ok("rollout", "history", "deploy/web").split() == [
        "deployment.apps/web", "REVISION", "CHANGE-CAUSE", "1", "<none>", "2", "<none>",
    ]  # fmt: skip
    assert "localhost/demo:1" in web.ok("rollout", "history", "deploy/web", "--revision=1")
    assert web.ok("rollout", "undo", "deploy/web") == "deployment.apps/web rolled back\n"
    assert "demo:1" in web.ok("get", "deploy/web", "-o", "wide")
    assert "skipped rollback" in web.ok("rollout", "undo", "deploy/web", "--to-revision=3")
    assert web.ok("rollout", "restart", "deploy/web") == "deployment.apps/web restarted\n"
    assert web.ok("rollout", "pause", "deploy/web") == "deployment.apps/web paused\n"
    assert 'deployments.apps "web" is already paused' in web.fails("rollout", "pause", "deploy/web")
    assert web.ok("rollout", "resume", "deploy/web") == "deployment.apps/web resumed\n"


def test_labels_annotations_environment_and_patches(web: CommandLine) -> None:
    assert web.ok("label", "deploy", "web", "tier=a") == "deployment.apps/web labeled\n"
    assert "--overwrite is false" in web.fails("label", "deploy", "web", "tier=b")
    assert web.ok("label", "deploy", "web", "tier=b", "--overwrite") == "deployment.apps/web labeled\n"
    assert web.ok("label", "deploy", "web", "tier-") == "deployment.apps/web unlabeled\n"
    assert web.ok("annotate", "deploy/web", "note=x y") == "deployment.apps/web annotated\n"
    assert web.ok("set", "env", "deploy/web", "MODE=fast") == "deployment.apps/web env updated\n"
    assert "MODE=fast" in web.ok("set", "env", "deploy/web", "--list")
    web.ok("set", "env", "deploy/web", "MODE-")
    assert "MODE" not in web.ok("set", "env", "deploy/web", "--list")
    web.ok("rollout", "status", "deploy/web", "--timeout=60s")
    assert web.ok("patch", "deploy", "web", "-p", "spec: {replicas: 1}") == "deployment.apps/web patched\n"
    assert "(no change)" in web.ok("patch", "deploy", "web", "-p", "spec: {replicas: 1}")
    operations = '[{"op": "replace", "path": "/spec/replicas", "value": "x"}]'
    assert "spec.replicas" in web.fails("patch", "deploy/web", "--type=json", "-p", operations)


def test_signing_requests_are_approved_and_denied(admin: CommandLine, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "jane")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    body = base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()
    path = tmp_path / "csr.yaml"
    for name in ("one", "two"):
        path.write_text(
            f"apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {{name: {name}}}\n"
            f"spec: {{request: {body}, signerName: example.com/x, usages: [client auth]}}\n"
        )
        admin.ok("create", "-f", str(path))
    said = "certificatesigningrequest.certificates.k8s.io/one approved\n"
    assert admin.ok("certificate", "approve", "one") == said
    assert admin.ok("certificate", "approve", "one", "--force") == said
    assert "denied" in admin.ok("certificate", "deny", "csr/two")
    assert "mutually exclusive" in admin.fails("certificate", "deny", "one")
    assert 'certificatesigningrequests.certificates.k8s.io "three" not found' in admin.fails(
        "certificate", "approve", "three"
    )
    states = [line.split()[-1] for line in admin.ok("get", "csr", "--no-headers").splitlines()]
    assert states == ["Approved", "Denied"]
    assert "jane" in admin.ok("describe", "csr", "one")


def test_nodes_are_cordoned_and_tainted(admin: CommandLine) -> None:
    assert admin.ok("cordon", "n1") == "node/n1 cordoned\n"
    assert admin.ok("cordon", "n1") == "node/n1 already cordoned\n"
    assert "Ready,SchedulingDisabled" in admin.ok("get", "nodes")
    assert admin.ok("uncordon", "n1") == "node/n1 uncordoned\n"
    assert admin.ok("taint", "nodes", "n1", "a=b:PreferNoSchedule") == "node/n1 tainted\n"
    assert admin.ok("taint", "nodes", "n1", "a-") == "node/n1 untainted\n"


def test_delete_waits_until_objects_are_gone(web: CommandLine, manifest: Path) -> None:
    pod = web.ok("get", "pods", "-o", "name").split()[0].removeprefix("pod/")
    assert web.ok("delete", "pod", pod, "--now") == f'pod "{pod}" deleted\n'
    assert pod not in web.ok("get", "pods")
    assert web.ok("delete", "-f", str(manifest)).splitlines()[0] == 'deployment.apps "web" deleted'
    assert "not found" in web.fails("delete", "-f", str(manifest))
    assert web("delete", "-f", str(manifest), "--ignore-not-found").code == 0
    web.ok("delete", "pods", "--all", "--force")


def test_create_replace_and_edit(
    cli: CommandLine, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "deployment.apps/web created" in cli.ok("create", "-f", str(manifest))
    assert "AlreadyExists" in cli.fails("create", "-f", str(manifest))
    cli.ok("create", "configmap", "c", "--from-literal=a=b")
    path = tmp_path / "c.yaml"
    path.write_text(cli.ok("get", "cm", "c", "-o", "yaml").replace("a: b", "a: c"))
    assert cli.ok("replace", "-f", str(path)) == "configmap/c replaced\n"
    monkeypatch.setenv("EDITOR", "sed -i s/a:.c/a:\\ d/")
    assert cli.ok("edit", "cm/c") == "configmap/c edited\n"
    assert cli.ok("get", "cm/c", "-o", "jsonpath={.data.a}") == "d"
    monkeypatch.setenv("EDITOR", "true")
    assert "no changes made" in cli.ok("edit", "cm/c")
    assert cli.ok("create", "token", "default").count(".") == 2


def test_the_server_says_who_we_are_and_what_it_is(cli: CommandLine) -> None:
    assert "kubernetes-admin" in cli.ok("auth", "whoami")
    assert "Server Version: v" in cli.ok("version")
    assert "deployments" in cli.ok("api-resources")
    assert "LAST SEEN" in cli.ok("events", "-A")


def test_a_watch_ends_with_a_forbidden_user(cli: CommandLine, tmp_path: Path) -> None:
    """Somebody without any right is told so, by name."""
    token = cli.ok("create", "token", "default").strip()
    config = yaml.safe_load(Path(cli._before[1]).read_text())
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    err = cli.fails("get", "pods", "-w", "--kubeconfig", str(path))
    assert "Error from server (Forbidden)" in err
