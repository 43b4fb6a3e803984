"""kubectl on a custom resource, from its definition to its end."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..cluster import ApiServerProcess  # noqa: TID252
from ..rest import Kubectl, kubeconfig  # noqa: TID252
from .definitions import SCHEMA, crontab, definition

COLUMNS = [
    {"name": "Spec", "type": "string", "jsonPath": ".spec.cronSpec"},
    {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]
CONDITIONS = {
    "type": "array",
    "items": {"type": "object", "properties": {"type": {"type": "string"}, "status": {"type": "string"}}},
}


@pytest.fixture
def kubectl(server: ApiServerProcess, tmp_path: Path) -> Kubectl:
    return Kubectl(kubeconfig(server, tmp_path), tmp_path)


@pytest.fixture
def group(kubectl: Kubectl) -> Iterator[str]:
    schema = json.loads(json.dumps(SCHEMA))
    schema["properties"]["status"]["properties"]["conditions"] = CONDITIONS
    scale = {
        "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }  # fmt: skip
    tree = definition(
        schema, subresources={"status": {}, "scale": scale}, additionalPrinterColumns=COLUMNS,
        selectableFields=[{"jsonPath": ".spec.image"}],
    )  # fmt: skip
    tree["spec"]["names"] |= {"shortNames": ["ct"], "categories": ["all"]}
    name = tree["metadata"]["name"]
    kubectl("apply", "-f", "-", stdin=json.dumps(tree))
    kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")
    yield tree["spec"]["group"]
    kubectl("delete", "crd", name)


def test_kubectl_works_with_it_as_with_any_other(kubectl: Kubectl, group: str) -> None:
    space = f"k-{secrets.token_hex(4)}"
    kubectl("create", "namespace", space)
    kind, named = f"crontabs.{group}", f"crontab.{group}/my"
    manifest = json.dumps(crontab(group, "my", space))
    assert kubectl("apply", "-f", "-", stdin=manifest) == f"{named} created\n"
    assert kubectl("apply", "-f", "-", stdin=manifest) == f"{named} unchanged\n"
    table = kubectl("get", kind, "-n", space).splitlines()
    assert table[0].split() == ["NAME", "SPEC", "REPLICAS", "READY", "AGE"]
    assert table[1].split()[0] == "my"
    assert "When" not in kubectl("explain", f"{kind}.spec.cronSpec")
    assert "cronSpec\t<string> -required-" in kubectl("explain", f"{kind}.spec")
    assert kubectl("api-resources", "--api-group", group, "-o", "name") == f"{kind}\n"
    assert kubectl("patch", kind, "my", "-n", space, "--type=merge", "-p", '{"spec":{"replicas":2}}').startswith(named)
    assert kubectl("scale", kind, "my", "-n", space, "--replicas=3") == f"{named} scaled\n"
    assert kubectl("get", kind, "my", "-n", space, "-o", "jsonpath={.spec.replicas}") == "3"
    status = '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}'
    kubectl("patch", kind, "my", "-n", space, "--subresource=status", "--type=merge", "-p", status)
    kubectl("wait", "--for=condition=Ready", named, "-n", space, "--timeout=30s")
    kubectl("label", kind, "my", "-n", space, "color=red")
    assert kubectl("get", kind, "-n", space, "-l", "color=red", "-o", "name") == f"{named}\n"
    assert kubectl("get", kind, "-n", space, "--field-selector", "spec.image=busybox", "-o", "name") == f"{named}\n"
    assert kubectl("get", kind, "-n", space, "--field-selector", "spec.image=none", "-o", "name") == ""
    assert "Cron Spec:" in kubectl("describe", kind, "my", "-n", space)
    assert "Invalid value" in kubectl("patch", kind, "my", "-n", space, "--type=merge", "-p",
                                      '{"spec":{"replicas":0}}', fails=True)  # fmt: skip
    wrong = crontab(group, "other", space, nonsense=1)
    assert 'unknown field "spec.nonsense"' in kubectl("apply", "-f", "-", stdin=json.dumps(wrong), fails=True)
    config = json.dumps({**json.loads(manifest), "spec": {"cronSpec": "1 1 1 1 1"}})
    said = kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=config)
    assert said == f"{named} serverside-applied\n"
    assert kubectl("delete", kind, "--all", "-n", space).startswith("crontab")
    assert kubectl("get", "crd", kind).splitlines()[0].split() == ["NAME", "CREATED", "AT"]
