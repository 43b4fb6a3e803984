"""kubectl's verbs that make objects from flags, and those that explain, compare and configure."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import yaml

from .conftest import CommandLine
from .test_verbs import DEPLOYMENT


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("job d --image=localhost/demo:1 -- true", "job"),
        ("cronjob d --image=localhost/demo:1 --schedule=@daily -- true", "cronjob"),
        ("quota d --hard=pods=100,cpu=4", "quota"),
        ("poddisruptionbudget d --selector=app=web --min-available=50%", "pdb"),
        ("ingress d --rule=example.com/path*=web:80,tls=pair --default-backend=web:80", "ingress"),
        ("role d --verb=get,list --resource=pods,deployments.apps,pods/log", "role"),
        ("rolebinding d --clusterrole=view --user=u --group=g --serviceaccount=x:y", "rolebinding"),
        ("service clusterip d --tcp=80:8080", "service"),
        ("service nodeport d --tcp=80", "service"),
        ("service externalname d --external-name=example.com", "service"),
        ("secret docker-registry d --docker-username=u --docker-password=p", "secret"),
    ],
)
def test_objects_are_created_from_flags(cli: CommandLine, words: str, kind: str) -> None:
    assert " created (dry run)" in cli.ok("create", *words.split(" -- ")[0].split(), "--dry-run=client")
    assert cli.ok("create", *words.split()).endswith("/d created\n")
    assert cli.ok("get", kind, "d", "-o", "name").endswith("/d\n")


def test_cluster_wide_objects_are_created_from_flags(admin: CommandLine) -> None:
    admin.ok("create", "clusterrole", "v-reader", "--verb=get", "--resource=nodes", "--non-resource-url=/x")
    admin.ok("create", "clusterrolebinding", "v-reads", "--clusterrole=v-reader", "--group=readers")
    admin.ok("create", "priorityclass", "v-high", "--value=10")
    assert admin.ok("auth", "can-i", "get", "nodes", "--as=u", "--as-group=readers") == "yes\n"
    admin.ok("delete", "clusterrole/v-reader", "clusterrolebinding/v-reads", "priorityclass/v-high")
    found = admin("auth", "can-i", "get", "nodes", "--as=u", "--as-group=readers")
    assert (found.code, found.out.split()[0]) == (1, "no")


def test_a_job_is_made_from_a_cron_job_and_a_secret_from_a_pair(cli: CommandLine, tmp_path: Path) -> None:
    cli.ok("create", "cronjob", "daily", "--image=localhost/demo:1", "--schedule=@daily")
    cli.ok("create", "job", "now", "--from=cronjob/daily")
    assert cli.ok("get", "job/now", "-o", "jsonpath={.metadata.ownerReferences[0].name}") == "daily"
    user = yaml.safe_load(Path(cli._before[1]).read_text())["users"][0]["user"]
    for name, field in (("cert", "client-certificate-data"), ("key", "client-key-data")):
        (tmp_path / name).write_bytes(base64.b64decode(user[field]))
    cli.ok("create", "secret", "tls", "pair", f"--cert={tmp_path}/cert", f"--key={tmp_path}/key")
    assert cli.ok("get", "secret/pair", "-o", "jsonpath={.type}") == "kubernetes.io/tls"


def test_a_pod_is_run_exposed_and_a_deployment_scales_by_itself(cli: CommandLine) -> None:
    said = cli.ok("run", "p", "--image=localhost/demo:1", "--env=A=B", "-l", "a=b", "--port=80", "--expose", "--", "x")
    assert said == "service/p created\npod/p created\n"
    spec = json.loads(cli.ok("get", "pod/p", "-o", "json"))["spec"]["containers"][0]
    assert (spec["env"], spec["args"]) == ([{"name": "A", "value": "B"}], ["x"])
    cli.ok("create", "deployment", "web", "--image=localhost/demo:1", "--port=80")
    assert cli.ok("expose", "deployment/web", "--target-port=http", "--labels=x=y") == "service/web exposed\n"
    service = json.loads(cli.ok("get", "svc/web", "-o", "json"))["spec"]
    assert (service["selector"], service["ports"][0]["targetPort"]) == ({"app": "web"}, "http")
    assert service["ports"][0]["port"] == 80
    assert cli.ok("autoscale", "deploy/web", "--max=3", "--cpu-percent=80").endswith("/web autoscaled\n")
    assert cli.ok("get", "hpa/web", "-o", "jsonpath={.spec.maxReplicas}") == "3"
    assert "cannot autoscale a pods" in cli.fails("autoscale", "pod/p", "--max=3")


def test_differences_are_shown_and_change_nothing(cli: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text(DEPLOYMENT)
    cli.ok("apply", "-f", str(path))
    cli.ok("rollout", "status", "deploy/web", "--timeout=60s")
    path.write_text(DEPLOYMENT.replace("demo:1", "demo:2").replace("hunter2", "hunter3"))
    assert cli("diff", "-f", str(path)).code == 1
    assert cli("diff", "-f", str(path), "--server-side", "--force-conflicts").code == 1
    assert cli.ok("get", "deploy/web", "-o", "jsonpath={..image}") == "localhost/demo:1"
    assert cli("diff", "-f", "/nonexistent").code > 1


def test_apply_prunes_what_the_manifests_lost_and_nothing_else(cli: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    more = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: gone, labels: {app: web}}\n"
    path.write_text(DEPLOYMENT.split("---")[0] + more)
    cli.ok("apply", "-f", str(path))
    cli.ok("create", "configmap", "made")
    cli.ok("label", "cm/made", "app=web")
    path.write_text(DEPLOYMENT.split("---")[0])
    assert "configmap/gone pruned (dry run)" in cli.ok(
        "apply", "--prune", "-l", "app=web", "-f", str(path), "--dry-run=client"
    )
    assert cli.ok("apply", "--prune", "-l", "app=web", "-f", str(path)).splitlines() == [
        "deployment.apps/web unchanged", "configmap/gone pruned",
    ]  # fmt: skip
    assert cli.ok("get", "deploy,cm", "-l", "app=web", "-o", "name").split() == [
        "deployment.apps/web",
        "configmap/made",
    ]


def test_fields_are_explained(bare: CommandLine) -> None:
    out = bare.ok("explain", "deployment.spec.strategy")
    assert out.startswith("GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n\nFIELD: strategy <Deployment")
    assert "  rollingUpdate\t<RollingUpdateDeployment>" in out
    assert "  containers\t<[]Container>" in bare.ok("explain", "pods.spec")
    assert "      imagePullPolicy\t<string>" in bare.ok("explain", "pod", "--recursive")
    assert "<map[string]string>" in bare.ok("explain", "pod.metadata.labels")
    assert 'field "nothing" does not exist' in bare.fails("explain", "pod.spec.nothing")


def test_rights_versions_and_addresses_are_told(cli: CommandLine, tmp_path: Path) -> None:
    assert cli.ok("auth", "can-i", "create", "deployments.apps/web") == "yes\n"
    assert "[*]" in cli.ok("auth", "can-i", "--list")
    assert {"v1", "apps/v1"} <= set(cli.ok("api-versions").split())
    assert "control plane is running at https://" in cli.ok("cluster-info")
    cli.ok("cluster-info", "dump", "--namespaces=default", "--output-directory", str(tmp_path))
    assert json.loads((tmp_path / "nodes.json").read_text())["items"]


def test_a_kubeconfig_is_looked_at_and_changed(bare: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "none"
    at = ("--kubeconfig", str(path))
    bare.ok("config", "set-cluster", "c", "--server=https://h:1", *at)
    bare.ok("config", "set-credentials", "u", "--token=secret", *at)
    assert bare.ok("config", "set-context", "x", "--cluster=c", "--user=u", *at) == 'Context "x" created.\n'
    assert bare.ok("config", "use-context", "x", *at) == 'Switched to context "x".\n'
    assert bare.ok("config", "set-context", "--current", "-n", "shop", *at) == 'Context "x" modified.\n'
    assert path.stat().st_mode & 0o777 == 0o600
    assert bare.ok("config", "current-context", *at) == "x\n"
    assert bare.ok("config", "get-contexts", "--no-headers", *at).split() == ["*", "x", "c", "u", "shop"]
    assert "secret" not in bare.ok("config", "view", *at)
    assert "secret" in bare.ok("config", "view", "--raw", "--minify", *at)
    assert bare.ok("config", "get-users", *at).split() == ["NAME", "u"]
    bare.ok("config", "delete-context", "x", *at)
    assert "no context exists" in bare.fails("config", "use-context", "x", *at)
