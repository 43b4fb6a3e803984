"""kubectl reads: every output of get, pages, sorting, selectors, watches, raw paths, describe, explain, discovery."""

from __future__ import annotations

import json
import subprocess

import pytest

from ..services.apiserver.rest import Kubectl  # noqa: TID252
from .manifests import WEB

pytestmark = pytest.mark.kubectl


@pytest.fixture(scope="module")
def web(admin: Kubectl) -> Kubectl:
    """A namespace with a deployment that has been rolled out; nobody changes it."""
    admin("create", "namespace", "reading")
    kubectl = admin.within("reading")
    kubectl("apply", "-f", "-", stdin=WEB)
    kubectl("expose", "deploy/web", "--port=80")
    kubectl("create", "secret", "generic", "key", "--from-literal=token=hunter2")
    kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    return kubectl


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("name", "deployment.apps/web\n"),
        ("jsonpath={.items[*].metadata.name}", "web"),
        ("jsonpath-as-json={.items[*].spec.replicas}", "[\n    2\n]\n"),
        ("custom-columns=N:.metadata.name,R:.spec.replicas", "N     R\nweb   2\n"),
        ("go-template={{range .items}}{{.metadata.name}}{{end}}", "web"),
    ],
)
def test_parts_of_a_list_are_printed(web: Kubectl, output: str, expected: str) -> None:
    assert web("get", "deploy", "-o", output) == expected


def test_whole_objects_are_printed_as_json_and_yaml(web: Kubectl) -> None:
    found = json.loads(web("get", "deploy,svc", "-o", "json"))
    assert [item["kind"] for item in found["items"]] == ["Deployment", "Service"]
    assert "apiVersion: apps/v1" in web("get", "deploy/web", "-o", "yaml")
    assert json.loads(web("get", "deploy/web", "--subresource=scale", "-o", "json"))["kind"] == "Scale"
    assert "web" in web("get", "deploy/web", "--subresource=status")


def test_tables_have_the_columns_that_were_asked_for(web: Kubectl) -> None:
    head = web("get", "deploy", "-o", "wide").splitlines()[0].split()
    assert head == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert web("get", "deploy", "--show-labels", "--no-headers").split()[-1] == "app=web"
    assert web("get", "deploy", "-L", "app").splitlines()[0].split()[-1] == "APP"
    assert "pod/web-" in web("get", "all")
    assert web("get", "deploy", "--show-kind", "--no-headers").startswith("deployment.apps/web")
    assert web("get", "pods", "-A").splitlines()[0].startswith("NAMESPACE")


def test_lists_come_in_pages_sorted_and_selected(web: Kubectl) -> None:
    names = web("get", "pods", "--chunk-size=1", "-o", "name").split()
    assert len(names) == 2
    assert sorted(web("get", "pods", "--sort-by=.metadata.uid", "-o", "name").split()) == sorted(names)
    running = ("--field-selector=status.phase=Running,spec.nodeName=n1", "-l", "app in (web),!nothing")
    assert web("get", "pods", *running, "-o", "name").split() == names
    assert "spec.nothing" in web("get", "pods", "--field-selector=spec.nothing=x", fails=True)
    assert web("get", "deploy/nope", "--ignore-not-found") == ""


def test_a_watch_prints_what_there_is_and_then_each_change(web: Kubectl) -> None:
    process = subprocess.Popen(
        ["kubectl", "-n", "reading", "get", "cm", "-l", "seen=yes", "-w", "-o", "name"], stdout=subprocess.PIPE,
        text=True, env={"PATH": "/usr/bin:/bin", "KUBECONFIG": str(web.config), "HOME": str(web.home)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        web("create", "cm", "first")
        web("label", "cm", "first", "seen=yes")
        assert process.stdout.readline() == "configmap/first\n"
        web("annotate", "cm", "first", "a=b")
        assert process.stdout.readline() == "configmap/first\n"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize(
    "path", ["/api", "/apis", "/apis/apps/v1/", "/version", "/livez?verbose", "/readyz?verbose", "/openapi/v3",
             "/api/v1/namespaces/reading/pods?limit=1"],
)  # fmt: skip
def test_raw_paths_are_served(web: Kubectl, path: str) -> None:
    assert web("get", "--raw", path)


def test_objects_are_described_with_their_events_and_without_secrets(web: Kubectl) -> None:
    said = web("describe", "deploy/web")
    assert "2 desired | 2 updated | 2 total | 2 available" in said
    assert "ScalingReplicaSet" in said
    assert "Scheduled" in web("describe", "pods", "-l", "app=web")
    assert "hunter2" not in web("describe", "secret", "key")
    assert "Allocated resources" in web("describe", "node", "n1")
    assert "Active" in web("describe", "ns", "reading")
    for kind in ("svc", "cm", "sa", "rs", "endpoints", "endpointslices"):
        web("describe", kind)
    web("describe", "clusterrole", "view")
    web("describe", "clusterrolebinding", "cluster-admin")


def test_events_are_listed_and_belong_to_objects(web: Kubectl) -> None:
    assert "ScalingReplicaSet" in web("events", "--for", "deployment/web")
    assert "Scheduled" in web("get", "events", "--field-selector=reason=Scheduled")
    assert "LAST SEEN" in web("events", "-A")


def test_every_field_is_explained(web: Kubectl) -> None:
    assert "FIELDS:" in web("explain", "deploy.spec")
    assert "imagePullPolicy" in web("explain", "pod", "--recursive")
    assert "KIND:       Pod" in web("explain", "pod.spec.containers.resources.limits")
    assert "containers\t<[]Object>" in web("explain", "pod.spec", "--output=plaintext-openapiv2")
    assert 'field "nothing" does not exist' in web("explain", "pod.nothing", fails=True)


def test_every_kind_that_can_be_listed_is_printed_described_and_explained(web: Kubectl) -> None:
    kinds = web("api-resources", "--verbs=list", "-o", "name").split()
    assert len(kinds) > 40
    web("get", ",".join(kinds), "-A", "--ignore-not-found")
    web("get", ",".join(kinds), "-A", "-o", "name")
    for kind in {kind.partition(".")[0] for kind in kinds}:
        assert "VERSION:" in web("explain", kind)
    # kubectl 1.32 describes addresses and service CIDRs by a version that was served before v1.
    described = [kind for kind in kinds if not kind.startswith(("events", "ipaddresses", "servicecidrs"))]
    web("describe", ",".join(described), "-A", "--show-events=false")


def test_kinds_and_versions_are_discovered(web: Kubectl) -> None:
    assert {"v1", "apps/v1", "rbac.authorization.k8s.io/v1"} <= set(web("api-versions").split())
    wide = web("api-resources", "-o", "wide", "--api-group=apps", "--no-headers")
    row = next(line for line in wide.splitlines() if line.startswith("deployments "))
    assert "create,delete,deletecollection,get,list,patch,update,watch" in row.replace(" ", "")
    assert "namespaces" in web("api-resources", "--namespaced=false", "--verbs=list", "-o", "name")
    assert "Server Version: v1." in web("version")


def test_a_kind_that_nobody_knows_leaves_the_cached_discovery_whole(web: Kubectl) -> None:
    """kubectl asks again with If-None-Match; what a 304 says of its type replaces what was kept."""
    assert "doesn't have a resource type" in web("get", "frobs", fails=True)
    assert "doesn't have a resource type" in web("get", "frobs", fails=True)
    assert web("get", "deploy", "-o", "name") == "deployment.apps/web\n"


def test_the_cluster_is_described_and_dumped(web: Kubectl) -> None:
    assert "control plane" in web("cluster-info")
    assert '"kind": "PodList"' in web("cluster-info", "dump", "--namespaces=reading")
    assert "Metrics API not available" in web("top", "pods", fails=True)
