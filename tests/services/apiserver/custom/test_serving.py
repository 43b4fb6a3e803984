"""Custom resources over REST: from the definition to objects, and away again."""

from __future__ import annotations

import json
from typing import Any

from ..cluster import ApiServerProcess  # noqa: TID252
from ..rest import Rest  # noqa: TID252
from .conftest import DEFINITIONS, Crontabs, Customs
from .definitions import definition


def condition(tree: dict[str, Any], type_: str) -> str:
    return next((one["status"] for one in tree["status"]["conditions"] or () if one["type"] == type_), "")


def test_a_definition_is_established_and_its_resource_is_served_and_discovered(customs: Customs) -> None:
    tree = definition()
    path = customs.define(tree)
    _, found = customs.rest.json("GET", f"{DEFINITIONS}/{tree['metadata']['name']}")
    assert condition(found, "Established") == condition(found, "NamesAccepted") == "True"
    assert found["status"]["acceptedNames"] == {
        "plural": "crontabs", "singular": "crontab", "kind": "CronTab", "listKind": "CronTabList",
    }  # fmt: skip
    assert found["status"]["storedVersions"] == ["v1"]
    status, answer = customs.rest.json("GET", path)
    assert (status, answer["kind"], answer["items"]) == (200, "CronTabList", [])
    _, resources = customs.rest.json("GET", path.rpartition("/")[0])
    assert [one["name"] for one in resources["resources"]] == ["crontabs"]
    group = tree["spec"]["group"]
    _, groups = customs.rest.json("GET", "/apis")
    assert group in [one["name"] for one in groups["groups"]]
    accept = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
    _, aggregated = customs.rest.json("GET", "/apis", headers=accept)
    assert group in [one["metadata"]["name"] for one in aggregated["items"]]
    _, document = customs.rest.json("GET", f"/openapi/v3/apis/{group}/v1")
    name = ".".join([*reversed(group.split(".")), "v1", "CronTab"])
    assert document["components"]["schemas"][name]["properties"]["spec"]["properties"]["image"]["default"] == "busybox"


def test_an_object_is_defaulted_pruned_and_stamped(crontabs: Crontabs) -> None:
    sent = crontabs.tree("a", cronSpec="* * * * *", junk=1, free={"any": [1, {"thing": None}]}, note=None, image=None)
    status, headers, body = crontabs.rest.raw("POST", crontabs.path, body=json.dumps(sent), fieldValidation="Warn")
    assert status == 201, body
    assert "spec.junk" in headers["warning"]
    made = json.loads(body)
    assert made["spec"] == {
        "cronSpec": "* * * * *", "image": "busybox", "replicas": 1, "note": None,
        "free": {"any": [1, {"thing": None}]},
    }  # fmt: skip
    assert made["metadata"]["generation"] == 1
    assert made["metadata"]["uid"]
    assert made == crontabs.get("a")


def test_unknown_fields_are_refused_when_that_is_asked_for(crontabs: Crontabs) -> None:
    status, answer = crontabs.rest.json("POST", crontabs.path, crontabs.tree("a", junk=1), fieldValidation="Strict")
    assert status == 400
    assert "spec.junk" in answer["message"]


def test_what_the_schema_does_not_admit_is_named_by_its_path(crontabs: Crontabs) -> None:
    sent = crontabs.tree("a", cronSpec="now", replicas=30, image=7, tags=["x", "x"], port=True)
    sent["spec"]["steps"] = [{"name": "s"}, {"name": "s"}, {}]
    status, answer = crontabs.rest.json("POST", crontabs.path, sent)
    assert status == 422
    causes = {one["field"]: one["message"] for one in answer["details"]["causes"]}
    assert causes == {
        "spec.cronSpec": f"Invalid value: \"now\": spec.cronSpec in body should match '{definition_pattern()}'",
        "spec.replicas": "Invalid value: 30: spec.replicas in body should be less than or equal to 10",
        "spec.image": 'Invalid value: "integer": spec.image in body must be of type string: "integer"',
        "spec.tags[1]": 'Duplicate value: "x"',
        "spec.port": 'Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"',
        "spec.steps[1]": 'Duplicate value: {"name":"s"}',
        "spec.steps[2].name": "Required value",
    }


def definition_pattern() -> str:
    from .definitions import CRON_SPEC

    return CRON_SPEC


def test_status_is_written_apart_and_generation_counts_what_is_wanted(crontabs: Crontabs) -> None:
    made = crontabs.make("a")
    made["status"] = {"replicas": 3}
    made["spec"]["image"] = "other"
    status, answer = crontabs.rest.json("PUT", f"{crontabs.path}/a/status", made)
    assert status == 200, answer
    assert answer["status"] == {"replicas": 3}
    assert answer["spec"]["image"] == "busybox"
    assert answer["metadata"]["generation"] == 1
    status, answer = crontabs.merge("a", {"spec": {"replicas": 2}, "status": {"replicas": 9}})
    assert status == 200
    assert answer["status"] == {"replicas": 3}
    assert answer["metadata"]["generation"] == 2
    status, answer = crontabs.merge("a", {"status": {"replicas": "many"}}, "/status")
    assert status == 422
    assert answer["details"]["causes"][0]["field"] == "status.replicas"


def test_without_a_status_subresource_status_is_a_field_like_others(customs: Customs, namespace: str) -> None:
    crontabs = customs.crontabs(namespace, definition())
    made = crontabs.make("a")
    assert crontabs.rest.json("GET", f"{crontabs.path}/a/status")[0] == 404
    made["status"] = {"replicas": 3}
    status, answer = crontabs.rest.json("PUT", f"{crontabs.path}/a", made)
    assert status == 200
    assert answer["status"] == {"replicas": 3}
    assert answer["metadata"]["generation"] == 2


def test_updates_are_optimistic_and_need_a_version(crontabs: Crontabs) -> None:
    made = crontabs.make("a")
    crontabs.merge("a", {"spec": {"replicas": 2}})
    assert crontabs.rest.json("PUT", f"{crontabs.path}/a", made)[0] == 409
    del made["metadata"]["resourceVersion"]
    status, answer = crontabs.rest.json("PUT", f"{crontabs.path}/a", made)
    assert status == 422
    assert answer["details"]["causes"][0]["field"] == "metadata.resourceVersion"


def test_a_watch_tells_of_objects_as_they_come_and_go(crontabs: Crontabs, server: ApiServerProcess) -> None:
    crontabs.make("a")
    _, listed = crontabs.rest.json("GET", crontabs.path)
    version = listed["metadata"]["resourceVersion"]
    watcher = Rest(server)
    watcher.connection.request("GET", f"{crontabs.path}?watch=1&resourceVersion={version}&labelSelector=team%3Dred")
    response = watcher.connection.getresponse()
    sent = crontabs.tree("b")
    sent["metadata"]["labels"] = {"team": "red"}
    crontabs.rest.json("POST", crontabs.path, sent)
    crontabs.merge("b", {"metadata": {"labels": {"team": "blue"}}})
    events = [json.loads(response.readline()) for _ in range(2)]
    assert [(one["type"], one["object"]["metadata"]["name"]) for one in events] == [("ADDED", "b"), ("DELETED", "b")]
    assert events[0]["object"]["kind"] == "CronTab"
    watcher.close()


def test_lists_come_in_pages_and_as_tables_and_as_metadata(crontabs: Crontabs) -> None:
    for name in "abc":
        crontabs.make(name)
    _, page = crontabs.rest.json("GET", crontabs.path, limit="2")
    assert [one["metadata"]["name"] for one in page["items"]] == ["a", "b"]
    _, rest = crontabs.rest.json("GET", crontabs.path, limit="2", **{"continue": page["metadata"]["continue"]})
    assert [one["metadata"]["name"] for one in rest["items"]] == ["c"]
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    _, table = crontabs.rest.json("GET", crontabs.path, headers=accept)
    assert [one["name"] for one in table["columnDefinitions"]] == ["Name", "Age"]
    assert [row["cells"][0] for row in table["rows"]] == ["a", "b", "c"]
    accept = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
    _, partial = crontabs.rest.json("GET", crontabs.path, headers=accept)
    assert [sorted(one) for one in partial["items"]] == [["apiVersion", "kind", "metadata"]] * 3


def test_patches_of_every_kind_but_strategic_merge(crontabs: Crontabs) -> None:
    crontabs.make("a", tags=["x"])
    url = f"{crontabs.path}/a"
    operations = [
        {"op": "test", "path": "/spec/tags/0", "value": "x"},
        {"op": "add", "path": "/spec/tags/-", "value": "y"},
    ]
    headers = {"Content-Type": "application/json-patch+json"}
    status, answer = crontabs.rest.json("PATCH", url, operations, headers=headers)
    assert status == 200
    assert answer["spec"]["tags"] == ["x", "y"]
    headers = {"Content-Type": "application/strategic-merge-patch+json"}
    assert crontabs.rest.json("PATCH", url, {"spec": {"replicas": 2}}, headers=headers)[0] == 415
    protobuf = {"Content-Type": "application/vnd.kubernetes.protobuf"}
    assert crontabs.rest.raw("PUT", url, body=b"k8s\0", headers=protobuf)[0] == 415


def apply(crontabs: Crontabs, name: str, manager: str, spec: dict[str, Any], **query: str) -> tuple[int, Any]:
    tree = crontabs.tree(name)
    tree["spec"] = spec
    headers = {"Content-Type": "application/apply-patch+yaml"}
    return crontabs.rest.json("PATCH", f"{crontabs.path}/{name}", tree, headers=headers, fieldManager=manager, **query)


def test_server_side_apply_merges_lists_as_the_schema_says(crontabs: Crontabs) -> None:
    first = {"cronSpec": "* * * * *", "tags": ["x"], "steps": [{"name": "one", "run": "a"}]}
    status, answer = apply(crontabs, "a", "alice", first)
    assert status == 201, answer
    status, answer = apply(crontabs, "a", "bob", {"tags": ["y"], "steps": [{"name": "two", "run": "b"}]})
    assert status == 200, answer
    assert sorted(answer["spec"]["tags"]) == ["x", "y"]
    assert [one["name"] for one in answer["spec"]["steps"]] == ["one", "two"]
    status, answer = apply(crontabs, "a", "bob", {"steps": [{"name": "one", "run": "mine"}]})
    assert status == 409
    assert answer["details"]["causes"][0]["field"] == '.spec.steps[name="one"].run'
    status, answer = apply(crontabs, "a", "bob", {"steps": [{"name": "one", "run": "mine"}]}, force="true")
    assert status == 200
    assert answer["spec"]["steps"] == [{"name": "one", "run": "mine"}]
    assert answer["spec"]["tags"] == ["x"]
    owners = {one["manager"]: one["operation"] for one in answer["metadata"]["managedFields"]}
    assert owners == {"alice": "Apply", "bob": "Apply"}


def test_finalizers_hold_an_object_and_a_definition_takes_its_objects_along(customs: Customs, namespace: str) -> None:
    tree = definition()
    crontabs = customs.crontabs(namespace, tree)
    crontabs.make("free")
    sent = crontabs.tree("held")
    sent["metadata"]["finalizers"] = ["example.com/hold"]
    crontabs.rest.json("POST", crontabs.path, sent)
    url = f"{DEFINITIONS}/{tree['metadata']['name']}"
    status, answer = crontabs.rest.json("DELETE", url)
    assert status == 200
    assert answer["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]

    def names() -> list[str]:
        return [one["metadata"]["name"] for one in crontabs.rest.json("GET", crontabs.path)[1]["items"]]

    customs.until(lambda: names() == ["held"])
    assert crontabs.rest.json("POST", crontabs.path, crontabs.tree("late"))[0] == 405
    _, found = crontabs.rest.json("GET", url)
    assert condition(found, "Terminating") == "True"
    crontabs.merge("held", {"metadata": {"finalizers": None}})
    customs.until(lambda: crontabs.rest.json("GET", url)[0] == 404)
    customs.until(lambda: crontabs.rest.json("GET", crontabs.path)[0] == 404)
    _, groups = crontabs.rest.json("GET", "/apis")
    assert crontabs.group not in [one["name"] for one in groups["groups"]]


def test_names_that_another_definition_has_are_refused_until_they_are_free(customs: Customs) -> None:
    first = definition()
    customs.define(first)
    group = first["spec"]["group"]
    second = definition(plural="others", kind="CronTab", group=group)
    status, _ = customs.rest.json("POST", DEFINITIONS, second)
    assert status == 201
    customs.made.append(second["metadata"]["name"])
    url = f"{DEFINITIONS}/{second['metadata']['name']}"
    customs.until(lambda: customs.rest.json("GET", url)[1]["status"]["conditions"])
    _, found = customs.rest.json("GET", url)
    assert condition(found, "NamesAccepted") == condition(found, "Established") == "False"
    reason = next(one for one in found["status"]["conditions"] if one["type"] == "NamesAccepted")
    assert (reason["reason"], reason["message"]) == ("ListKindConflict", '"CronTabList" is already in use')
    customs.rest.json("DELETE", f"{DEFINITIONS}/{first['metadata']['name']}")
    customs.until(lambda: condition(customs.rest.json("GET", url)[1], "Established") == "True")


def test_another_server_of_the_same_store_serves_the_resource_too(
    crontabs: Crontabs, folder: Any, store: Any, authority: Any
) -> None:
    crontabs.make("a")
    other = ApiServerProcess(folder, store, authority)
    try:
        found = Rest(other)
        assert [one["metadata"]["name"] for one in found.json("GET", crontabs.path)[1]["items"]] == ["a"]
        found.close()
    finally:
        other.stop()
