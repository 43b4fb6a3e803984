"""Which definitions are refused, and what of one may not change."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from ..cluster import ApiServerProcess  # noqa: TID252
from ..rest import Rest  # noqa: TID252
from .conftest import DEFINITIONS, Customs
from .definitions import SCHEMA, definition

Change = Callable[[dict[str, Any]], Any]
PATH = "spec.versions[0].schema.openAPIV3Schema"


def put(path: str, value: Any) -> Change:
    """Set what stands at a path such as `spec.versions.0.name`."""

    def change(tree: dict[str, Any]) -> None:
        *above, last = path.split("/")
        found: Any = tree
        for step in above:
            found = found[int(step)] if isinstance(found, list) else found.setdefault(step, {})
        found[last] = value

    return change


def field(name: str, schema: dict[str, Any]) -> Change:
    return put(f"spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/{name}", schema)


SPEC = f"{PATH}.properties[spec].properties"
WRONG: list[tuple[Change, str, str]] = [
    (put("metadata/name", "x.example.com"), "metadata.name", "must be spec.names.plural"),
    (put("spec/scope", "Galaxy"), "spec.scope", "Unsupported value"),
    (put("spec/names/kind", "no kind"), "spec.names.kind", "may have mixed case, but should otherwise match"),
    (put("spec/names/listKind", "CronTab"), "spec.names.listKind", "may not be the same"),
    (put("spec/versions/0/storage", False), "spec.versions", "exactly one version marked as storage version"),
    (put("spec/versions/0/name", "V 1"), "spec.versions[0].name", "DNS-1035"),
    (put("spec/versions/0/schema", None), f"{PATH}", "schemas are required"),
    (put("spec/versions/0/schema/openAPIV3Schema/type", "string"), f"{PATH}.type", "must be object at the root"),
    (put("spec/versions/0/schema/openAPIV3Schema/type", ""), f"{PATH}.type", "must not be empty at the root"),
    (put("spec/preserveUnknownFields", True), "spec.preserveUnknownFields", "must be false"),
    (field("x", {}), f"{SPEC}[x].type", "must not be empty for specified object fields"),
    (field("x", {"type": "list"}), f"{SPEC}[x].type", "Unsupported value"),
    (field("x", {"type": "array"}), f"{SPEC}[x].items", "must be specified"),
    (field("x", {"type": "string", "pattern": "(a"}), f"{SPEC}[x].pattern", "must be a valid regular expression"),
    (field("x", {"type": "string", "$ref": "#/y"}), f"{SPEC}[x].$ref", "is not supported"),
    (field("x", {"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
     f"{SPEC}[x].uniqueItems", "quadratic"),
    (field("x", {"type": "object", "additionalProperties": False}),
     f"{SPEC}[x].additionalProperties", "cannot be set to false"),
    (field("x", {"type": "integer", "default": "y"}), f"{SPEC}[x].default", "must be of type integer"),
    (field("x", {"type": "object", "properties": {"a": {"type": "string"}}, "default": {"b": 1}}),
     f"{SPEC}[x].default", "must not have unknown fields"),
    (field("x", {"type": "string", "anyOf": [{"type": "string"}]}),
     f"{SPEC}[x].anyOf[0].type", "must be empty to be structural"),
    (field("x", {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "set"}),
     f"{SPEC}[x].items.x-kubernetes-map-type", "must be atomic"),
    (field("x", {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"}),
     f"{SPEC}[x].x-kubernetes-list-map-keys", "must not be empty"),
    (field("x", {"type": "string", "x-kubernetes-validations": [{"rule": "self.y"}]}),
     f"{SPEC}[x].x-kubernetes-validations[0].rule", "compilation failed"),
    (put("spec/versions/0/subresources", {"scale": {"specReplicasPath": ".status.x", "statusReplicasPath": ".status"}}),
     "spec.versions[0].subresources.scale.specReplicasPath", "should be a json path under .spec"),
    (put("spec/versions/0/additionalPrinterColumns", [{"name": "x", "type": "money", "jsonPath": ".spec"}]),
     "spec.versions[0].additionalPrinterColumns[0].type", "must be one of"),
    (put("spec/versions/0/selectableFields", [{"jsonPath": ".spec.steps"}]),
     "spec.versions[0].selectableFields[0].jsonPath", "must point to a field of type"),
    (put("spec/conversion", {"strategy": "Webhook"}), "spec.conversion.webhook.clientConfig", "required when strategy"),
    (put("spec/conversion", {"strategy": "Webhook", "webhook": {"clientConfig": {"url": "http://x"}}}),
     "spec.conversion.webhook.clientConfig.url", "'https' is the only allowed URL scheme"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "where", "why"), WRONG, ids=[f"{one[1]} {one[2]}" for one in WRONG])
def test_what_is_wrong_with_a_definition_is_named(rest: Rest, change: Change, where: str, why: str) -> None:
    tree = copy.deepcopy(definition(copy.deepcopy(SCHEMA)))
    change(tree)
    status, answer = rest.json("POST", DEFINITIONS, tree)
    assert status == 422, answer
    assert any(one["field"] == where and why in one["message"] for one in answer["details"]["causes"]), answer


def test_groups_of_kubernetes_own_need_an_approval(rest: Rest) -> None:
    status, answer = rest.json("POST", DEFINITIONS, definition(group="things.k8s.io"))
    assert status == 422
    assert "api-approved.kubernetes.io" in answer["message"]


def test_names_of_built_in_kinds_are_taken(customs: Customs) -> None:
    tree = definition(plural="roles", kind="Rolle", group="rbac.authorization.k8s.io")
    tree["metadata"]["annotations"] = {"api-approved.kubernetes.io": "https://example.com"}
    assert customs.rest.json("POST", DEFINITIONS, tree)[0] == 201
    customs.made.append(tree["metadata"]["name"])
    url = f"{DEFINITIONS}/{tree['metadata']['name']}"
    customs.until(lambda: customs.rest.json("GET", url)[1]["status"]["conditions"])
    found = {one["type"]: one for one in customs.rest.json("GET", url)[1]["status"]["conditions"]}
    assert found["NamesAccepted"]["reason"] == "PluralConflict"
    assert found["Established"]["status"] == "False"
    assert customs.rest.json("GET", "/apis/rbac.authorization.k8s.io/v1/roles")[1]["kind"] == "RoleList"


def test_what_an_established_definition_is_about_does_not_change(customs: Customs) -> None:
    tree = definition()
    customs.define(tree)
    url = f"{DEFINITIONS}/{tree['metadata']['name']}"
    headers = {"Content-Type": "application/merge-patch+json"}
    for patch, where in (
        ({"spec": {"scope": "Cluster"}}, "spec.scope"),
        ({"spec": {"names": {"kind": "Other"}}}, "spec.names.kind"),
    ):
        status, answer = customs.rest.json("PATCH", url, patch, headers=headers)
        assert status == 422
        assert where in [one["field"] for one in answer["details"]["causes"]]


def test_embedded_resources_are_resources(customs: Customs, namespace: str) -> None:
    schema = copy.deepcopy(SCHEMA)
    schema["properties"]["spec"]["properties"]["template"] = {
        "type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True,
    }  # fmt: skip
    crontabs = customs.crontabs(namespace, definition(schema))
    template = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "labels": {"a": "b"}}, "spec": {"any": 1}}
    assert crontabs.make("a", template=template)["spec"]["template"] == template
    status, answer = crontabs.rest.json("POST", crontabs.path, crontabs.tree("b", template={"metadata": {"labels": 7}}))
    assert status == 422
    assert {"spec.template.apiVersion", "spec.template.kind", "spec.template.metadata.labels"} <= {
        one["field"] for one in answer["details"]["causes"]
    }


def test_resources_of_the_whole_cluster_have_no_namespace(customs: Customs) -> None:
    tree = definition(scope="Cluster")
    path = customs.define(tree)
    made = {"apiVersion": path.removeprefix("/apis/").rpartition("/")[0], "kind": "CronTab", "metadata": {"name": "a"},
            "spec": {"cronSpec": "* * * * *"}}  # fmt: skip
    status, answer = customs.rest.json("POST", path, made)
    assert status == 201, answer
    assert "namespace" not in answer["metadata"]
    assert customs.rest.json("DELETE", f"{path}/a")[0] == 200


def test_a_watch_list_ends_its_beginning_with_a_bookmark(
    customs: Customs, namespace: str, server: ApiServerProcess
) -> None:
    crontabs = customs.crontabs(namespace)
    crontabs.make("a")
    watcher = Rest(server)
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    watcher.connection.request("GET", f"{crontabs.path}?{query}")
    response = watcher.connection.getresponse()
    events = [json.loads(response.readline()) for _ in range(2)]
    assert [one["type"] for one in events] == ["ADDED", "BOOKMARK"]
    assert events[1]["object"]["kind"] == "CronTab"
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    watcher.close()


def test_dry_runs_names_that_are_made_and_collections(customs: Customs, namespace: str) -> None:
    crontabs = customs.crontabs(namespace)
    sent = crontabs.tree("")
    sent["metadata"] = {"generateName": "made-", "labels": {"a": "b"}}
    assert crontabs.rest.json("POST", crontabs.path, sent, dryRun="All")[0] == 201
    assert crontabs.rest.json("GET", crontabs.path)[1]["items"] == []
    names = [crontabs.rest.json("POST", crontabs.path, sent)[1]["metadata"]["name"] for _ in range(2)]
    assert len(set(names)) == 2
    status, gone = crontabs.rest.json("DELETE", crontabs.path, labelSelector="a=b")
    assert status == 200
    assert crontabs.rest.json("GET", crontabs.path)[1]["items"] == []
    assert gone["kind"] in ("Status", "CronTabList")


def test_who_may_do_nothing_with_it_may_not(customs: Customs, namespace: str, server: ApiServerProcess) -> None:
    crontabs = customs.crontabs(namespace)
    crontabs.make("a")
    nobody = Rest(server, name="nobody", groups=())
    status, answer = nobody.json("GET", f"{crontabs.path}/a")
    assert status == 403
    assert f'cannot get resource "crontabs" in API group "{crontabs.group}"' in answer["message"]
    nobody.close()


def test_a_number_beyond_all_bounds_is_a_bad_request(customs: Customs, namespace: str) -> None:
    crontabs = customs.crontabs(namespace)
    body = json.dumps(crontabs.tree("a", free={"n": "N"})).replace('"N"', "1" + "0" * 400)
    status, _, answer = crontabs.rest.raw("POST", crontabs.path, body=body)
    assert status == 400, answer
