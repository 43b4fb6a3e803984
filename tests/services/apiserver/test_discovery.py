"""What the server says it serves, in each form that clients ask for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from raftsman import resources
from raftsman.apidiscovery import v2 as apidiscovery
from raftsman.meta import v1 as meta
from raftsman.runtime import v1 as runtime
from raftsman.services.apiserver.rest import builtin, discovery, media
from raftsman.services.apiserver.rest.catalog import Catalog, GroupVersion

from .cluster import ApiServerProcess
from .rest import Rest

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
OLD_AGGREGATED = AGGREGATED.replace("v=v2", "v=v2beta1")


@pytest.fixture
def rest(server: ApiServerProcess) -> Iterator[Rest]:
    client = Rest(server)
    yield client
    client.close()


def aggregated(rest: Rest, root: str, accept: str = AGGREGATED) -> Any:
    status, headers, body = rest.raw("GET", root, headers={"Accept": accept})
    assert status == 200
    return headers["content-type"], json.loads(body)


def test_every_served_kind_is_in_both_forms(rest: Rest) -> None:
    _, core = aggregated(rest, "/api")
    _, groups = aggregated(rest, "/apis")
    new, old = set(), set()
    for group in core["items"] + groups["items"]:
        name = group["metadata"].get("name", "")
        for version in group["versions"]:
            new |= {(name, version["version"], one["resource"]) for one in version["resources"]}
            path = f"/apis/{name}/{version['version']}" if name else f"/api/{version['version']}"
            _, listed = rest.json("GET", path)
            old |= {(name, version["version"], one["name"]) for one in listed["resources"] if "/" not in one["name"]}
    assert new == old == {(one.group, one.version, one.name) for one in resources.served()}


def test_the_best_form_that_a_client_takes_is_answered(rest: Rest) -> None:
    assert aggregated(rest, "/apis", f"{AGGREGATED},{OLD_AGGREGATED},application/json")[0] == AGGREGATED
    media_type, tree = aggregated(rest, "/apis", f"{OLD_AGGREGATED},application/json")
    assert (media_type, tree["apiVersion"]) == (OLD_AGGREGATED, "apidiscovery.k8s.io/v2beta1")
    unknown = AGGREGATED.replace("v=v2", "v=v9")
    assert aggregated(rest, "/apis", f"{unknown},application/json")[1]["kind"] == "APIGroupList"
    assert rest.raw("GET", "/apis", headers={"Accept": unknown})[0] == 406


def test_discovery_comes_as_protobuf_too(rest: Rest) -> None:
    def message(path: str, accept: str, kind: type[Any]) -> Any:
        _, _, body = rest.raw("GET", path, headers={"Accept": accept})
        assert body.startswith(b"k8s\0")
        envelope = runtime.Unknown.FromString(body[4:])
        assert envelope.type_meta.kind == kind.__name__
        return kind.FromString(envelope.raw)

    listed = message("/apis/apps/v1", media.PROTOBUF, meta.APIResourceList)
    assert "deployments" in {one.name for one in listed.resources}
    form = AGGREGATED.replace("application/json", media.PROTOBUF)
    found = message("/apis", form, apidiscovery.APIGroupDiscoveryList)
    assert "apps" in {one.metadata.name for one in found.items}


def test_a_client_that_has_the_document_is_told_so(rest: Rest) -> None:
    _, headers, body = rest.raw("GET", "/apis", headers={"Accept": AGGREGATED})
    assert body
    for tags in (headers["etag"], f'"x", W/{headers["etag"]}', "*"):
        status, again, body = rest.raw("GET", "/apis", headers={"Accept": AGGREGATED, "If-None-Match": tags})
        assert (status, again["etag"], body) == (304, headers["etag"], b"")
    assert rest.raw("GET", "/apis", headers={"Accept": AGGREGATED, "If-None-Match": '"x"'})[0] == 200


def test_groups_stand_in_kubernetes_order_and_resources_by_name(rest: Rest) -> None:
    _, found = rest.json("GET", "/apis")
    names = [group["name"] for group in found["groups"]]
    assert names.index("apps") < names.index("batch") < names.index("rbac.authorization.k8s.io")
    _, listed = rest.json("GET", "/api/v1")
    assert [one["name"] for one in listed["resources"]] == sorted(one["name"] for one in listed["resources"])


def test_a_group_has_a_document_of_its_own(rest: Rest) -> None:
    status, found = rest.json("GET", "/apis/apps/")
    version = {"groupVersion": "apps/v1", "version": "v1"}
    assert status == 200
    assert found["versions"] == [version]
    assert found["preferredVersion"] == version
    assert rest.json("GET", "/apis/no.such.group")[0] == 404


def test_how_pods_are_stored_is_hashed_as_kubernetes_hashes_it(rest: Rest) -> None:
    _, listed = rest.json("GET", "/api/v1")
    pods = next(one for one in listed["resources"] if one["name"] == "pods")
    assert pods["storageVersionHash"] == "xPOwRZ+Yhw8="
    assert (pods["shortNames"], pods["categories"], pods["namespaced"]) == (["po"], ["all"], True)


def test_parts_are_of_their_own_group(rest: Rest) -> None:
    _, listed = rest.json("GET", "/apis/apps/v1")
    scale = next(one for one in listed["resources"] if one["name"] == "deployments/scale")
    assert (scale["group"], scale["version"], scale["kind"]) == ("autoscaling", "v1", "Scale")


def test_every_part_that_discovery_names_is_answered(rest: Rest) -> None:
    """Not with 405 or 404 of the path; that there is no such object is another matter."""
    verbs = {"get": "GET", "update": "PUT", "patch": "PATCH", "create": "POST", "delete": "DELETE"}
    for kind in resources.served():
        for name, _, allowed in builtin.parts(kind):
            root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
            inside = "/namespaces/default" if kind.namespaced else ""
            for verb in allowed:
                path = f"{root}{inside}/{kind.name}/no-such-object/{name}"
                status, answer = rest.json(verbs[verb], path, headers={"Content-Type": "application/json"})
                assert status != 405, (verb, path)
                assert answer.get("message") != "the server could not find the requested resource", (verb, path)


def test_versions_are_preferred_by_priority_then_by_maturity() -> None:
    def version(name: str, *, priority: int = 1) -> GroupVersion:
        return GroupVersion("g", name, 1, priority, (), dict)

    names = ("v1alpha1", "v2", "v1beta1", "v10", "other", "v1beta2")
    catalog = Catalog(lambda: [version(name) for name in names], lambda: [version("v0", priority=9)])
    assert [one.version for one in catalog.versions()] == [
        "v0", "v10", "v2", "v1beta2", "v1beta1", "v1alpha1", "other",
    ]  # fmt: skip


def test_what_a_source_says_is_asked_again_when_it_has_changed() -> None:
    served = [GroupVersion("g", "v1", 1, 1, (), dict)]
    catalog = Catalog(lambda: list(served))
    form = discovery.wanted("application/json")
    first = discovery.document(catalog, "/apis", form)
    served.append(GroupVersion("h", "v1", 1, 1, (), dict))
    assert discovery.document(catalog, "/apis", form) is first
    catalog.forget()
    changed = discovery.document(catalog, "/apis", form)
    assert changed is not None
    assert b'"h"' in changed.body
