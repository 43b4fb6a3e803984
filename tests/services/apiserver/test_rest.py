"""The REST API as HTTP clients see it: paths, verbs, media types, watches, errors."""

from __future__ import annotations

import json
import secrets
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from raftsman.core import v1 as core
from raftsman.runtime import v1 as runtime

from .cluster import ApiServerProcess
from .rest import Rest

CONFIGS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def rest(server: ApiServerProcess) -> Iterator[Rest]:
    client = Rest(server)
    yield client
    client.close()


def a_config(**data: str) -> dict[str, Any]:
    name = f"c-{secrets.token_hex(4)}"
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_an_object_is_created_read_changed_and_deleted_on_one_connection(rest: Rest) -> None:
    sent = a_config(a="b")
    status, made = rest.json("POST", CONFIGS, sent)
    assert status == 201
    assert (made["kind"], made["metadata"]["namespace"], made["data"]) == ("ConfigMap", "default", {"a": "b"})
    path = f"{CONFIGS}/{sent['metadata']['name']}"
    assert rest.json("GET", path) == (200, made)
    made["data"]["c"] = "d"
    status, changed = rest.json("PUT", path, made)
    assert (status, changed["data"]) == (200, {"a": "b", "c": "d"})
    status, stale = rest.json("PUT", path, made)
    assert (status, stale["kind"], stale["reason"]) == (409, "Status", "Conflict")
    status, gone = rest.json("DELETE", path)
    assert (status, gone["status"], gone["details"]["name"]) == (200, "Success", sent["metadata"]["name"])
    status, missing = rest.json("GET", path)
    assert (status, missing["reason"], missing["code"]) == (404, "NotFound", 404)


def test_each_patch_type_has_its_own_meaning(rest: Rest) -> None:
    sent = a_config(a="b")
    path = f"{CONFIGS}/{sent['metadata']['name']}"
    rest.json("POST", CONFIGS, sent)
    for media, patch, wanted in (
        ("merge-patch", {"data": {"a": None, "m": "1"}}, {"m": "1"}),
        ("strategic-merge-patch", {"data": {"s": "2"}}, {"m": "1", "s": "2"}),
        ("json-patch", [{"op": "remove", "path": "/data/m"}], {"s": "2"}),
    ):
        status, answer = rest.json("PATCH", path, patch, headers={"Content-Type": f"application/{media}+json"})
        assert (status, answer["data"]) == (200, wanted), media
    status, refused = rest.json("PATCH", path, {}, headers={"Content-Type": "text/x-diff"})
    assert (status, refused["reason"]) == (415, "UnsupportedMediaType")


def test_protobuf_goes_both_ways_in_kubernetes_envelope(rest: Rest) -> None:
    config = core.ConfigMap(data={"a": "b"})
    config.metadata.name = f"c-{secrets.token_hex(4)}"
    envelope = runtime.Unknown(raw=config.SerializeToString())
    envelope.type_meta.api_version, envelope.type_meta.kind = "v1", "ConfigMap"
    form = "application/vnd.kubernetes.protobuf"
    status, headers, body = rest.raw(
        "POST", CONFIGS, body=b"k8s\0" + envelope.SerializeToString(), headers={"Content-Type": form, "Accept": form}
    )
    assert (status, headers["content-type"], body[:4]) == (201, form, b"k8s\0")
    answered = runtime.Unknown.FromString(body[4:])
    assert (answered.type_meta.kind, answered.type_meta.api_version) == ("ConfigMap", "v1")
    assert core.ConfigMap.FromString(answered.raw).data == {"a": "b"}


def test_yaml_is_taken_and_given(rest: Rest) -> None:
    name = f"c-{secrets.token_hex(4)}"
    body = f"metadata:\n  name: {name}\ndata:\n  a: b\n"
    status, headers, answer = rest.raw(
        "POST", CONFIGS, body=body, headers={"Content-Type": "application/yaml", "Accept": "application/yaml"}
    )
    assert (status, headers["content-type"]) == (201, "application/yaml")
    assert b"kind: ConfigMap" in answer
    assert f"name: {name}".encode() in answer


def test_an_accept_that_cannot_be_met_is_406(rest: Rest) -> None:
    status, answer = rest.json("GET", CONFIGS, headers={"Accept": "text/html"})
    assert (status, answer["reason"]) == (406, "NotAcceptable")


def test_a_list_comes_in_pages_at_one_revision(rest: Rest) -> None:
    label = secrets.token_hex(4)
    for _ in range(5):
        sent = a_config()
        sent["metadata"]["labels"] = {"page": label}
        rest.json("POST", CONFIGS, sent)
    found: list[str] = []
    status, page = rest.json("GET", CONFIGS, limit="2", labelSelector=f"page={label}")
    revision = page["metadata"]["resourceVersion"]
    while True:
        assert (status, page["metadata"]["resourceVersion"]) == (200, revision)
        found += [item["metadata"]["name"] for item in page["items"]]
        token = page["metadata"].get("continue", "")
        if not token:
            break
        status, page = rest.json("GET", CONFIGS, **{"limit": "2", "labelSelector": f"page={label}", "continue": token})
    assert len(found) == len(set(found)) == 5


def test_a_table_has_the_columns_of_get(rest: Rest) -> None:
    form = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    status, table = rest.json("GET", "/api/v1/namespaces", headers={"Accept": form})
    assert (status, table["kind"], table["apiVersion"]) == (200, "Table", "meta.k8s.io/v1")
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Status", "Age"]
    row = next(row for row in table["rows"] if row["cells"][0] == "default")
    assert row["cells"][1] == "Active"
    assert (row["object"]["kind"], row["object"]["metadata"]["name"]) == ("PartialObjectMetadata", "default")


def test_metadata_alone_can_be_asked_for(rest: Rest) -> None:
    form = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    status, found = rest.json("GET", "/api/v1/namespaces", headers={"Accept": form})
    assert (status, found["kind"]) == (200, "PartialObjectMetadataList")
    assert all(set(item) == {"kind", "apiVersion", "metadata"} for item in found["items"])


def test_a_watch_sends_events_a_line_each_until_its_time_is_over(rest: Rest, server: ApiServerProcess) -> None:
    _, before = rest.json("GET", CONFIGS)
    sent = a_config(a="b")
    rest.json("POST", CONFIGS, sent)
    rest.json("DELETE", f"{CONFIGS}/{sent['metadata']['name']}")
    revision = before["metadata"]["resourceVersion"]
    status, _, body = rest.raw("GET", CONFIGS, watch="1", resourceVersion=revision, timeoutSeconds="1")
    events = [json.loads(line) for line in body.splitlines()]
    mine = [event["type"] for event in events if event["object"]["metadata"]["name"] == sent["metadata"]["name"]]
    assert (status, mine) == (200, ["ADDED", "DELETED"])


def test_a_watch_list_ends_its_initial_events_with_a_bookmark(rest: Rest) -> None:
    _, _, body = rest.raw(
        "GET", "/api/v1/namespaces", watch="true", sendInitialEvents="true", allowWatchBookmarks="true",
        resourceVersionMatch="NotOlderThan", timeoutSeconds="1",
    )  # fmt: skip
    events = [json.loads(line) for line in body.splitlines()]
    assert [event["type"] for event in events[:-1]] == ["ADDED"] * (len(events) - 1)
    assert events[-1]["type"] == "BOOKMARK"
    assert events[-1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_an_unknown_field_is_refused_warned_of_or_ignored(rest: Rest) -> None:
    sent = a_config() | {"tada": 1}
    status, refused = rest.json("POST", CONFIGS, sent, fieldValidation="Strict")
    assert (status, refused["reason"]) == (400, "BadRequest")
    assert "tada" in refused["message"]
    status, headers, _ = rest.raw("POST", CONFIGS, body=json.dumps(sent))
    assert status == 201
    assert headers["warning"].startswith('299 - "')
    assert "tada" in headers["warning"]
    sent["metadata"]["name"] += "-2"
    status, headers, _ = rest.raw("POST", CONFIGS, body=json.dumps(sent), fieldValidation="Ignore")
    assert status == 201
    assert "warning" not in headers


def test_a_dry_run_stores_nothing(rest: Rest) -> None:
    sent = a_config()
    assert rest.json("POST", CONFIGS, sent, dryRun="All")[0] == 201
    assert rest.json("GET", f"{CONFIGS}/{sent['metadata']['name']}")[0] == 404
    status, refused = rest.json("POST", CONFIGS, sent, dryRun="Some")
    assert (status, refused["reason"]) == (400, "BadRequest")


def test_the_name_in_the_path_and_in_the_object_must_agree(rest: Rest) -> None:
    sent = a_config()
    rest.json("POST", CONFIGS, sent)
    status, refused = rest.json("PUT", f"{CONFIGS}/other", sent)
    assert (status, refused["reason"]) == (400, "BadRequest")
    assert "does not match the name on the URL" in refused["message"]


def test_discovery_in_both_forms_says_the_same_and_is_not_sent_twice(rest: Rest) -> None:
    form = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    status, headers, body = rest.raw("GET", "/apis", headers={"Accept": form})
    assert status == 200
    assert "as=APIGroupDiscoveryList" in headers["content-type"]
    aggregated = json.loads(body)
    apps = next(item for item in aggregated["items"] if item["metadata"]["name"] == "apps")
    _, legacy = rest.json("GET", "/apis/apps/v1")
    plain = {entry["name"] for entry in legacy["resources"] if "/" not in entry["name"]}
    assert {one["resource"] for one in apps["versions"][0]["resources"]} == plain
    again = rest.raw("GET", "/apis", headers={"Accept": form, "If-None-Match": headers["etag"]})
    assert (again[0], again[2]) == (304, b"")
    # A client's cache takes the headers of a 304 over into what it has kept.
    assert again[1]["content-type"] == headers["content-type"]
    assert "content-length" not in again[1]


def test_openapi_knows_how_lists_are_merged_and_that_patches_validate_fields(rest: Rest) -> None:
    _, index = rest.json("GET", "/openapi/v3")
    path = index["paths"]["api/v1"]["serverRelativeURL"]
    _, document = rest.json("GET", path)
    containers = document["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    patch = document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == {"group": "", "kind": "Pod", "version": "v1"}
    assert "fieldValidation" in {parameter["name"] for parameter in patch["parameters"]}


def test_nobody_sees_the_version_and_little_else(server: ApiServerProcess) -> None:
    nobody = Rest(server, name="")
    try:
        assert nobody.json("GET", "/version")[1]["major"] == "1"
        assert nobody.raw("GET", "/readyz")[2] == b"ok"
        assert nobody.json("GET", "/apis")[0] == 403
        status, refused = nobody.json("GET", CONFIGS)
        assert (status, refused["reason"]) == (403, "Forbidden")
        status, _, _ = nobody.raw("GET", CONFIGS, headers={"Authorization": "Bearer nonsense"})
        assert status == 401
    finally:
        nobody.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/apis/nope/v1/things", 404),
        ("GET", "/api/v1/namespaces/default/pods/x/nope", 404),
        ("POST", "/api/v1/namespaces/default/pods/x/proxy", 404),
        ("PUT", CONFIGS, 405),
        ("GET", "/api/v1/namespaces/default/configmaps?limit=many", 400),
        ("GET", "/api/v1/namespaces/default/configmaps?fieldSelector=data.a%3Db", 400),
        ("GET", "/api/v1/namespaces/default/configmaps?watch=perhaps", 400),
        ("DELETE", f"{CONFIGS}/x?propagationPolicy=Sideways", 400),
    ],
)
def test_what_makes_no_sense_is_a_status(rest: Rest, method: str, path: str, status: int) -> None:
    found, answer = rest.json(method, path)
    assert (found, answer["kind"], answer["status"]) == (status, "Status", "Failure")


def exchanged(server: ApiServerProcess, data: bytes) -> bytes:
    """What the server says to bytes on a connection of nobody's."""
    context = ssl.create_default_context(cafile=server.authority.ca)
    context.check_hostname = False
    with socket.create_connection(("127.0.0.1", server.port), 10) as plain, context.wrap_socket(plain) as secure:
        secure.sendall(data)
        answer = b""
        while piece := secure.recv(65536):
            answer += piece
    return answer


def test_what_is_no_http_or_too_much_is_refused_and_hung_up_on(server: ApiServerProcess) -> None:
    assert exchanged(server, b"\x00\x01garbage\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    head = b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\n"
    assert exchanged(server, head + b"Content-Length: 99999999\r\n\r\n").startswith(b"HTTP/1.1 413 ")
    assert exchanged(server, b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431 ")


def test_requests_sent_ahead_are_answered_in_their_order(server: ApiServerProcess) -> None:
    ask = b"GET /%b HTTP/1.1\r\nHost: x\r\n%b\r\n"
    answer = exchanged(
        server, ask % (b"version", b"") + ask % (b"readyz", b"") + ask % (b"nope", b"Connection: close\r\n")
    )
    assert answer.index(b"gitVersion") < answer.index(b"\r\n\r\nok") < answer.index(b"forbidden")


REVIEWS = "/apis/authorization.k8s.io/v1"


def test_a_user_may_ask_what_they_may(server: ApiServerProcess, rest: Rest) -> None:
    somebody = Rest(server, name="somebody", groups=("some",))
    try:
        asked = {"spec": {"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "default"}}}
        path = f"{REVIEWS}/selfsubjectaccessreviews"
        assert somebody.json("POST", path, asked)[1]["status"] == {"allowed": False}
        status, answer = rest.json("POST", path, asked)
        assert (status, answer["status"]) == (201, {"allowed": True})
        asked = {"spec": {"nonResourceAttributes": {"verb": "get", "path": "/api/v1"}}}
        assert somebody.json("POST", path, asked)[1]["status"]["allowed"] is True
        status, refused = somebody.json("POST", path, {"spec": {}})
        assert (status, refused["reason"]) == (422, "Invalid")
        other = {"spec": {"user": "x", "resourceAttributes": {"verb": "get", "resource": "pods"}}}
        assert somebody.json("POST", f"{REVIEWS}/subjectaccessreviews", other)[0] == 403
        assert rest.json("POST", f"{REVIEWS}/subjectaccessreviews", other)[1]["status"]["allowed"] is False
        _, rules = somebody.json("POST", f"{REVIEWS}/selfsubjectrulesreviews", {"spec": {"namespace": "default"}})
        granted = [rule["resources"] for rule in rules["status"]["resourceRules"]]
        assert ["selfsubjectreviews"] in granted
        _, who = somebody.json("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
        assert who["status"]["userInfo"]["username"] == "somebody"
        assert somebody.json("GET", path)[0] == 405
    finally:
        somebody.close()


def test_a_token_is_reviewed_for_its_audience(rest: Rest) -> None:
    path, name = "/api/v1/namespaces/default/serviceaccounts", f"sa-{secrets.token_hex(4)}"
    rest.json("POST", path, {"metadata": {"name": name}})
    status, made = rest.json("POST", f"{path}/{name}/token", {"spec": {"audiences": ["vault"]}})
    assert status == 201
    asked = {"spec": {"token": made["status"]["token"], "audiences": ["vault", "other"]}}
    _, good = rest.json("POST", "/apis/authentication.k8s.io/v1/tokenreviews", asked)
    assert (good["status"]["authenticated"], good["status"]["audiences"]) == (True, ["vault"])
    assert good["status"]["user"]["username"] == f"system:serviceaccount:default:{name}"
    asked["spec"]["audiences"] = ["other"]
    _, bad = rest.json("POST", "/apis/authentication.k8s.io/v1/tokenreviews", asked)
    assert "authenticated" not in bad["status"]
    assert bad["status"]["error"]


def test_who_may_impersonate_acts_as_somebody_else(server: ApiServerProcess, rest: Rest) -> None:
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    headers = {"Impersonate-User": "jane", "Impersonate-Group": "dev", "Impersonate-Extra-scope": "x"}
    _, who = rest.json("POST", path, {}, headers=headers)
    assert who["status"]["userInfo"] == {
        "username": "jane", "groups": ["dev", "system:authenticated"], "extra": {"scope": ["x"]},
    }  # fmt: skip
    assert rest.json("GET", CONFIGS, headers=headers)[0] == 403
    account = {"Impersonate-User": "system:serviceaccount:default:default"}
    _, who = rest.json("POST", path, {}, headers=account)
    assert "system:serviceaccounts:default" in who["status"]["userInfo"]["groups"]
    assert rest.json("POST", path, {}, headers={"Impersonate-Group": "dev"})[0] == 400
    somebody = Rest(server, name="somebody", groups=("some",))
    try:
        status, refused = somebody.json("POST", path, {}, headers=headers)
        assert (status, refused["reason"]) == (403, "Forbidden")
        assert "cannot impersonate" in refused["message"]
    finally:
        somebody.close()
