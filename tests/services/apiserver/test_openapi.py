"""OpenAPI as clients use it: to look up kinds, to merge lists, to explain fields."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from raftsman.openapi import v2 as openapi
from raftsman.services.apiserver.rest import builtin
from raftsman.services.apiserver.rest.catalog import GroupVersion
from raftsman.services.apiserver.rest.openapi import pages, swagger

from .cluster import ApiServerProcess
from .rest import Rest

V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


@pytest.fixture
def rest(server: ApiServerProcess) -> Iterator[Rest]:
    client = Rest(server)
    yield client
    client.close()


def document(rest: Rest, path: str) -> Any:
    status, found = rest.json("GET", f"/openapi/v3/{path}")
    assert status == 200
    return found


def references(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        if isinstance(tree.get("$ref"), str):
            yield tree["$ref"]
        tree = list(tree.values())
    if isinstance(tree, list):
        for inner in tree:
            yield from references(inner)


def test_the_index_names_documents_that_may_be_kept_for_ever(rest: Rest) -> None:
    _, index = rest.json("GET", "/openapi/v3")
    assert {"api", "api/v1", "apis", "apis/apps", "apis/apps/v1", "version"} <= set(index["paths"])
    url = index["paths"]["apis/apps/v1"]["serverRelativeURL"]
    status, headers, body = rest.raw("GET", url)
    assert (status, headers["cache-control"]) == (200, "public, immutable")
    assert headers["etag"] == f'"{url.partition("hash=")[2]}"'
    assert json.loads(body)["openapi"] == "3.0.0"
    assert rest.raw("GET", url, headers={"If-None-Match": headers["etag"]})[0] == 304


def test_an_old_hash_leads_to_the_new_one(rest: Rest) -> None:
    status, headers, _ = rest.raw("GET", "/openapi/v3/apis/apps/v1?hash=OLD")
    assert status == 301
    assert rest.raw("GET", headers["location"])[0] == 200


def test_documents_are_compressed_for_who_takes_that(rest: Rest) -> None:
    _, plain, body = rest.raw("GET", "/openapi/v3/apis/apps/v1")
    _, headers, packed = rest.raw("GET", "/openapi/v3/apis/apps/v1", headers={"Accept-Encoding": "deflate, gzip"})
    assert (headers["content-encoding"], headers["vary"]) == ("gzip", "Accept")
    assert gzip.decompress(packed) == body
    assert "content-encoding" not in plain


def test_every_reference_leads_somewhere(rest: Rest) -> None:
    _, index = rest.json("GET", "/openapi/v3")
    for path in index["paths"]:
        found = document(rest, path)
        names = {f"#/components/schemas/{name}" for name in found["components"]["schemas"]}
        assert set(references(found)) <= names, path


def test_operation_names_are_unique(rest: Rest) -> None:
    _, found = rest.json("GET", "/openapi/v2")
    names = [
        operation["operationId"]
        for item in found["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict)
    ]
    assert len(names) == len(set(names))
    assert {"readCoreV1NamespacedPod", "listCoreV1PodForAllNamespaces", "deleteCoreV1CollectionNamespacedPod",
            "replaceAppsV1NamespacedDeploymentScale", "createRbacAuthorizationV1ClusterRole"} <= set(names)  # fmt: skip


def test_a_kind_is_found_under_kubernetes_name_with_how_its_lists_merge(rest: Rest) -> None:
    found = document(rest, "apis/apps/v1")["components"]["schemas"]
    deployment = found["io.k8s.api.apps.v1.Deployment"]
    assert deployment["x-kubernetes-group-version-kind"] == [{"group": "apps", "kind": "Deployment", "version": "v1"}]
    containers = found["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert (containers["x-kubernetes-patch-merge-key"], containers["x-kubernetes-patch-strategy"]) == ("name", "merge")
    assert containers["x-kubernetes-list-map-keys"] == ["name"]
    volumes = found["io.k8s.api.core.v1.PodSpec"]["properties"]["volumes"]
    assert volumes["x-kubernetes-patch-strategy"] == "merge,retainKeys"
    assert found["io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"]["x-kubernetes-map-type"] == "atomic"


def test_fields_with_few_values_name_them(rest: Rest) -> None:
    found = document(rest, "api/v1")["components"]["schemas"]
    port = found["io.k8s.api.core.v1.ServicePort"]["properties"]["protocol"]
    assert (port["enum"], port["default"]) == (["SCTP", "TCP", "UDP"], "TCP")
    modes = found["io.k8s.api.core.v1.PersistentVolumeClaimSpec"]["properties"]["accessModes"]
    assert "ReadWriteOncePod" in modes["items"]["enum"]


def test_patches_know_field_validation_and_who_they_are_for(rest: Rest) -> None:
    """kubectl looks for exactly this before it lets the server validate."""
    item = document(rest, "apis/apps/v1")["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    patch = item["patch"]
    assert "fieldValidation" in {one["name"] for one in patch["parameters"]}
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "kind": "Deployment", "version": "v1"}
    assert "application/apply-patch+yaml" in patch["requestBody"]["content"]
    assert {one["name"] for one in item["parameters"]} == {"name", "namespace", "pretty"}


def test_every_path_that_is_served_is_described(rest: Rest) -> None:
    _, found = rest.json("GET", "/openapi/v2")
    for one in builtin.group_versions():
        for resource in one.resources:
            inside = "/namespaces/{namespace}" if resource["scope"] == "Namespaced" else ""
            path = f"/{one.path}{inside}/{resource['resource']}"
            assert path in found["paths"]
            for part in resource.get("subresources", ()):
                assert f"{path}/{{name}}/{part['subresource']}" in found["paths"]


def test_version_two_comes_in_the_protobuf_form_of_older_clients(rest: Rest) -> None:
    status, headers, body = rest.raw("GET", "/openapi/v2", headers={"Accept": V2_PROTOBUF})
    # Go's clients cannot read the @ in an answer.
    assert (status, headers["content-type"]) == (200, V2_PROTOBUF.replace("@", "."))
    found = openapi.Document.FromString(body)
    definitions = {one.name: one.value for one in found.definitions.additional_properties}
    _, tree = rest.json("GET", "/openapi/v2")
    assert set(definitions) == set(tree["definitions"])
    pod = definitions["io.k8s.api.core.v1.Pod"]
    kinds = next(one for one in pod.vendor_extension if one.name == "x-kubernetes-group-version-kind")
    assert json.loads(kinds.value.yaml) == [{"group": "", "kind": "Pod", "version": "v1"}]
    assert rest.raw("GET", "/openapi/v2", headers={"Accept": "text/html"})[0] == 406


def test_version_two_has_no_alternatives_and_no_references_out_of_itself(rest: Rest) -> None:
    _, found = rest.json("GET", "/openapi/v2")
    assert set(references(found)) <= {f"#/definitions/{name}" for name in found["definitions"]}
    port = found["definitions"]["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]
    assert (port["type"], port["format"]) == ("string", "int-or-string")


def test_a_schema_of_two_documents_is_of_all_their_kinds() -> None:
    def one(group: str) -> dict[str, Any]:
        kinds = [{"group": group, "kind": "DeleteOptions", "version": "v1"}]
        return {"components": {"schemas": {"Options": {"x-kubernetes-group-version-kind": kinds}}}}

    found = swagger.document([one("a"), one("b"), one("a")], version="v1")["definitions"]["Options"]
    assert [kind["group"] for kind in found["x-kubernetes-group-version-kind"]] == ["a", "b"]


@pytest.mark.parametrize(
    "broken",
    [
        {"paths": {"/x": []}}, {"paths": {"/x": {"get": {"parameters": [{"name": 3, "in": "query"}]}}}},
        {"components": {"schemas": {"A": {"type": ["string"], "properties": []}}}}, {"components": []},
        {"components": {"schemas": {"A": {"type": "string", "maxLength": "many"}}}},
        {"paths": {"/x": {"get": {"requestBody": {"$ref": "#/a"}}}}},
        {"paths": {"/x": {"get": {"requestBody": {"content": {}}}}}},
    ],
)  # fmt: skip
def test_what_another_server_says_breaks_and_replaces_nothing(broken: dict[str, Any]) -> None:
    pod = "io.k8s.api.core.v1.Pod"
    lies = {"components": {"schemas": {pod: {"type": "string"}, "B": {"type": "object"}}}}
    versions = (
        GroupVersion("bad", "v1", 20000, 1, (), lambda: broken, foreign=True),
        GroupVersion("lies", "v1", 20000, 1, (), lambda: lies, foreign=True),
        *builtin.group_versions(),
    )
    found = json.loads(pages._v2(versions, "application/json").body)
    assert found["definitions"][pod]["type"] == "object"
    assert "B" in found["definitions"]
    assert pages._v2(versions, V2_PROTOBUF).body
