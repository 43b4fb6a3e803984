"""kubectl writes objects: apply in its ways, create, replace, edit, patch, label, delete."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..services.apiserver.rest import Kubectl  # noqa: TID252
from .manifests import KUSTOMIZATION, WEB

pytestmark = pytest.mark.kubectl


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "web.yaml"
    path.write_text(WEB)
    return path


@pytest.fixture
def web(kubectl: Kubectl, manifest: Path) -> Kubectl:
    kubectl("apply", "-f", str(manifest))
    return kubectl


def image(kubectl: Kubectl) -> str:
    return kubectl("get", "deploy/web", "-o", "jsonpath={.spec.template.spec.containers[0].image}")


def test_diff_says_what_apply_would_change(web: Kubectl, manifest: Path) -> None:
    assert web("diff", "-f", str(manifest)) == ""
    manifest.write_text(WEB.replace("demo:1", "demo:2"))
    said = web("diff", "-f", str(manifest), fails=True)
    assert "-      - image: localhost/demo:1" in said
    assert "+      - image: localhost/demo:2" in said
    assert image(web) == "localhost/demo:1"
    assert "demo:2" in web("diff", "--server-side", "--force-conflicts", "-f", str(manifest), fails=True)


def test_a_kustomization_is_built_and_applied(kubectl: Kubectl, manifest: Path) -> None:
    folder = manifest.parent
    (folder / "kustomization.yaml").write_text(KUSTOMIZATION)
    assert "name: k-web" in kubectl("kustomize", str(folder))
    assert "deployment.apps/k-web created" in kubectl("apply", "-k", str(folder))
    assert "configmap/k-cfg-" in kubectl("get", "cm", "-l", "via=kustomize", "-o", "name")
    assert "deployment.apps/k-web unchanged" in kubectl("apply", "-k", str(folder))
    assert 'deployment.apps "k-web" deleted' in kubectl("delete", "-k", str(folder))


def test_server_side_apply_has_owners_conflicts_and_force(kubectl: Kubectl, manifest: Path) -> None:
    apply = ("apply", "--server-side", "-f", str(manifest))
    assert "serverside-applied" in kubectl(*apply, "--field-manager=one")
    manifest.write_text(WEB.replace("demo:1", "demo:2"))
    said = kubectl(*apply, "--field-manager=two", fails=True)
    assert 'conflict with "one"' in said
    assert '.spec.template.spec.containers[name="app"].image' in said
    assert image(kubectl) == "localhost/demo:1"
    kubectl(*apply, "--field-manager=two", "--force-conflicts")
    assert image(kubectl) == "localhost/demo:2"
    owners = json.loads(kubectl("get", "deploy/web", "-o", "json", "--show-managed-fields"))["metadata"]
    assert {entry["manager"] for entry in owners["managedFields"]} >= {"one", "two"}


def test_client_side_apply_moves_over_to_the_server_s_and_its_fields_with_it(web: Kubectl, manifest: Path) -> None:
    manifest.write_text(WEB.replace("labels: {app: web}}\nspec", "labels: {team: a}}\nspec", 1))
    web("apply", "--server-side", "-f", str(manifest))
    found = json.loads(web("get", "deploy/web", "-o", "json", "--show-managed-fields"))["metadata"]
    assert found["labels"] == {"team": "a"}
    assert "kubectl-client-side-apply" not in {entry["manager"] for entry in found["managedFields"]}


def test_what_was_applied_last_is_kept_shown_and_edited(web: Kubectl, manifest: Path) -> None:
    assert "image: localhost/demo:1" in web("apply", "view-last-applied", "deploy/web")
    manifest.write_text(WEB.replace("demo:1", "demo:2"))
    web("apply", "set-last-applied", "-f", str(manifest))
    assert "image: localhost/demo:2" in web("apply", "view-last-applied", "deploy/web")
    web("apply", "edit-last-applied", "deploy/web", editor="sed -i s/demo:2/demo:3/")
    assert "image: localhost/demo:3" in web("apply", "view-last-applied", "deploy/web")


def test_objects_are_replaced_and_edited(web: Kubectl, manifest: Path) -> None:
    manifest.write_text(WEB.replace("demo:1", "demo:2"))
    assert "replaced" in web("replace", "-f", str(manifest))
    assert image(web) == "localhost/demo:2"
    assert "edited" in web("edit", "deploy/web", editor="sed -i s/demo:2/demo:3/")
    assert image(web) == "localhost/demo:3"
    uid = web("get", "deploy/web", "-o", "jsonpath={.metadata.uid}")
    assert "replaced" in web("replace", "--force", "-f", str(manifest))
    assert web("get", "deploy/web", "-o", "jsonpath={.metadata.uid}") != uid


def test_every_patch_type_and_subresource_is_taken(web: Kubectl) -> None:
    web("patch", "deploy/web", "-p", '{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"x:1"}]}}}}')
    assert image(web) == "x:1"
    web("patch", "deploy/web", "--type=merge", "-p", '{"metadata":{"labels":{"app":null,"tier":"a"}}}')
    path = "/spec/template/spec/containers/0/image"
    web("patch", "deploy/web", "--type=json", "-p", f'[{{"op":"replace","path":"{path}","value":"x:2"}}]')
    assert image(web) == "x:2"
    web("patch", "deploy/web", "--subresource=scale", "--type=merge", "-p", '{"spec":{"replicas":3}}')
    found = json.loads(web("get", "deploy/web", "-o", "json"))
    assert (found["metadata"]["labels"], found["spec"]["replicas"]) == ({"tier": "a"}, 3)


def test_labels_and_annotations_are_set_changed_and_taken_away(web: Kubectl) -> None:
    web("label", "deploy", "web", "x=y")
    assert "--overwrite is false" in web("label", "deploy", "web", "x=z", fails=True)
    web("label", "deploy", "-l", "app=web", "x=z", "--overwrite")
    assert web("get", "deploy", "-l", "x=z", "-o", "name") == "deployment.apps/web\n"
    web("annotate", "deploy", "--all", "note=1")
    assert "note=1" in web("annotate", "deploy/web", "--list")
    web("label", "deploy", "web", "x-")
    assert web("get", "deploy", "-l", "x", "-o", "name") == ""


def test_images_environments_limits_accounts_selectors_and_subjects_are_set(web: Kubectl) -> None:
    web("set", "image", "deploy/web", "app=localhost/demo:2")
    web("set", "env", "deploy/web", "A=B")
    assert "A=B" in web("set", "env", "deploy/web", "--list")
    web("set", "resources", "deploy/web", "--limits=cpu=200m,memory=64Mi", "--requests=cpu=100m")
    web("create", "serviceaccount", "other")
    web("set", "serviceaccount", "deploy/web", "other")
    spec = json.loads(web("get", "deploy/web", "-o", "json"))["spec"]["template"]["spec"]
    assert spec["containers"][0]["resources"] == {
        "limits": {"cpu": "200m", "memory": "64Mi"}, "requests": {"cpu": "100m"},
    }  # fmt: skip
    assert spec["serviceAccountName"] == "other"
    web("expose", "deploy/web", "--port=80", "--target-port=8080")
    web("set", "selector", "service/web", "app=else")
    assert web("get", "svc/web", "-o", "jsonpath={.spec.selector}") == '{"app":"else"}'
    web("create", "rolebinding", "reads", "--clusterrole=view", "--user=a")
    web("set", "subject", "rolebinding", "reads", "--user=b")
    assert web("get", "rolebinding/reads", "-o", "jsonpath={.subjects[*].name}") == "a b"


def test_apply_prunes_what_a_manifest_lost(web: Kubectl, manifest: Path) -> None:
    more = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: gone, labels: {app: web}}\n"
    manifest.write_text(WEB + more)
    web("apply", "-f", str(manifest))
    manifest.write_text(WEB)
    kinds = ("--prune-allowlist=core/v1/ConfigMap", "--prune-allowlist=apps/v1/Deployment")
    assert "configmap/gone pruned" in web("apply", "--prune", "-l", "app=web", "-f", str(manifest), *kinds)
    assert web("get", "deploy,cm", "-l", "app=web", "-o", "name") == "deployment.apps/web\n"


def test_an_apply_set_prunes_what_it_lost(kubectl: Kubectl, manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECTL_APPLYSET", "true")
    manifest.write_text(WEB + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: gone}\n")
    words = ("apply", "--server-side", "--prune", "--applyset=secrets/mine", "-f", str(manifest))
    kubectl(*words)
    manifest.write_text(WEB)
    assert "configmap/gone pruned" in kubectl(*words)


@pytest.mark.parametrize("cascade", ["background", "foreground", "orphan"])
def test_a_deployment_takes_what_it_owns_along_unless_told_otherwise(web: Kubectl, cascade: str) -> None:
    web("wait", "--for=condition=Available", "deploy/web", "--timeout=60s")
    web("delete", "deploy/web", f"--cascade={cascade}", "--timeout=60s")
    if cascade != "background":
        left = web("get", "rs", "-l", "app=web", "-o", "name")
        assert bool(left) is (cascade == "orphan")
        return
    web("wait", "--for=delete", "pods", "-l", "app=web", "--timeout=60s")


def test_dry_runs_change_nothing(kubectl: Kubectl, manifest: Path) -> None:
    assert "(dry run)" in kubectl("create", "-f", str(manifest), "--dry-run=client")
    assert "(server dry run)" in kubectl("create", "-f", str(manifest), "--dry-run=server")
    assert "creationTimestamp" in kubectl("apply", "-f", str(manifest), "--dry-run=server", "-o", "yaml")
    assert kubectl("get", "deploy", "-o", "name") == ""


def test_unknown_fields_are_refused_warned_of_or_ignored_as_asked(kubectl: Kubectl, manifest: Path) -> None:
    manifest.write_text(WEB.replace("replicas", "replcas"))
    create = ("create", "-f", str(manifest), "--dry-run=server")
    assert 'strict decoding error: unknown field "spec.replcas"' in kubectl(*create, fails=True)
    said = kubectl(*create, "--validate=warn", "--warnings-as-errors", fails=True)
    assert 'Warning: unknown field "spec.replcas"' in said
    kubectl("create", "-f", str(manifest), "--validate=ignore")
