"""Several versions of one custom resource, with and without a webhook that converts between them."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ..certificates import Authority  # noqa: TID252
from ..cluster import ApiServerProcess  # noqa: TID252
from ..rest import Rest  # noqa: TID252
from .conftest import DEFINITIONS, Customs
from .definitions import definition

V1 = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {"host": {"type": "string"}, "size": {"type": "integer", "default": 1}},
        },
    },
}
V2 = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {"host": {"type": "string"}, "color": {"type": "string", "default": "red"}},
        },
    },
}


def two_versions(**spec: Any) -> dict[str, Any]:
    """v1 is stored, v2 is served too."""
    tree = definition(V1)
    old = tree["spec"]["versions"][0]
    new = {"name": "v2", "served": True, "storage": False, "schema": {"openAPIV3Schema": V2}}
    tree["spec"]["versions"] = [{**old, "deprecated": True, "deprecationWarning": "use v2"}, new]
    tree["spec"] |= spec
    return tree


def paths_of(tree: dict[str, Any], namespace: str) -> tuple[str, str]:
    root = f"/apis/{tree['spec']['group']}"
    return f"{root}/v1/namespaces/{namespace}/crontabs", f"{root}/v2/namespaces/{namespace}/crontabs"


def thing(tree: dict[str, Any], version: str, name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": f"{tree['spec']['group']}/{version}", "kind": "CronTab", "metadata": {"name": name}, "spec": spec,
    }  # fmt: skip


def test_an_object_is_seen_in_every_version_by_that_versions_schema(customs: Customs, namespace: str) -> None:
    tree = two_versions()
    customs.define(tree)
    v1, v2 = paths_of(tree, namespace)
    status, made = customs.rest.json("POST", v2, thing(tree, "v2", "a", host="h", color="blue"))
    assert status == 201, made
    assert made["spec"] == {"host": "h", "color": "blue"}
    status, headers, body = customs.rest.raw("GET", f"{v1}/a")
    seen = json.loads(body)
    assert seen["apiVersion"].endswith("/v1")
    assert seen["spec"] == {"host": "h", "size": 1}
    assert "use v2" in headers["warning"]
    # What the stored version's schema does not know was not stored.
    assert customs.rest.json("GET", f"{v2}/a")[1]["spec"] == {"host": "h", "color": "red"}
    assert [one["apiVersion"] for one in customs.rest.json("GET", v2)[1]["items"]] == [made["apiVersion"]]


def test_a_watch_shows_objects_in_the_version_that_it_asks_for(
    customs: Customs, namespace: str, server: ApiServerProcess
) -> None:
    tree = two_versions()
    customs.define(tree)
    v1, v2 = paths_of(tree, namespace)
    customs.rest.json("POST", v1, thing(tree, "v1", "a", host="h"))
    watcher = Rest(server)
    watcher.connection.request("GET", f"{v2}?watch=1")
    response = watcher.connection.getresponse()
    customs.rest.json("POST", v1, thing(tree, "v1", "b", host="i", size=4))
    customs.rest.json("DELETE", f"{v1}/a")
    events = [json.loads(response.readline()) for _ in range(3)]
    assert [(one["type"], one["object"]["metadata"]["name"]) for one in events] == [
        ("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a"),
    ]  # fmt: skip
    assert all(one["object"]["apiVersion"].endswith("/v2") for one in events)
    assert events[1]["object"]["spec"] == {"host": "i", "color": "red"}
    watcher.close()


def test_the_version_that_is_stored_changes_and_objects_move_when_they_are_written(
    customs: Customs, namespace: str
) -> None:
    tree = two_versions()
    customs.define(tree)
    v1, v2 = paths_of(tree, namespace)
    customs.rest.json("POST", v1, thing(tree, "v1", "a", host="h"))
    url = f"{DEFINITIONS}/{tree['metadata']['name']}"
    _, found = customs.rest.json("GET", url)
    for version in found["spec"]["versions"]:
        version["storage"] = version["name"] == "v2"
    status, found = customs.rest.json("PUT", url, found)
    assert status == 200, found
    assert found["status"]["storedVersions"] == ["v1", "v2"]
    found["status"]["storedVersions"] = ["v1"]
    assert customs.rest.json("PUT", f"{url}/status", found)[0] == 422
    found["spec"]["versions"] = [one for one in found["spec"]["versions"] if one["name"] == "v2"]
    found["status"]["storedVersions"] = ["v1", "v2"]
    status, answer = customs.rest.json("PUT", url, found)
    assert status == 422, answer
    assert answer["details"]["causes"][0]["field"] == "status.storedVersions[0]"

    def version() -> str:
        return str(customs.rest.json("GET", f"{v1}/a")[1]["metadata"]["resourceVersion"])

    before = version()
    merge = {"Content-Type": "application/merge-patch+json"}

    def moved() -> bool:
        """A write that changes nothing stores the object anew, in the new version."""
        assert customs.rest.json("PATCH", f"{v2}/a", {}, headers=merge)[0] == 200
        return version() != before

    customs.until(moved)
    after = version()
    customs.rest.json("PATCH", f"{v2}/a", {}, headers=merge)
    assert version() == after


def test_objects_from_before_a_default_have_it_when_they_are_read(customs: Customs, namespace: str) -> None:
    tree = two_versions()
    customs.define(tree)
    v1, _ = paths_of(tree, namespace)
    customs.rest.json("POST", v1, thing(tree, "v1", "a", host="h"))
    url = f"{DEFINITIONS}/{tree['metadata']['name']}"
    _, found = customs.rest.json("GET", url)
    spec = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"] = {"size": {"type": "integer"}, "extra": {"type": "string", "default": "new"}}
    assert customs.rest.json("PUT", url, found)[0] == 200
    customs.until(lambda: customs.rest.json("GET", f"{v1}/a")[1]["spec"] == {"size": 1, "extra": "new"})
    assert customs.rest.json("GET", v1)[1]["items"][0]["spec"] == {"size": 1, "extra": "new"}


class Converter(http.server.BaseHTTPRequestHandler):
    """host: "a:1" in v1 is host "a" and color "1" in v2."""

    broken = ""

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        wanted = request["desiredAPIVersion"]
        objects = [self.converted(one, wanted) for one in request["objects"]]
        result = {"status": "Failed", "message": self.broken} if self.broken else {"status": "Success"}
        review = {
            "apiVersion": review["apiVersion"], "kind": review["kind"],
            "response": {"uid": request["uid"], "result": result, "convertedObjects": objects},
        }  # fmt: skip
        body = json.dumps(review).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @staticmethod
    def converted(one: dict[str, Any], wanted: str) -> dict[str, Any]:
        spec = one["spec"]
        if wanted.endswith("/v2"):
            host, _, color = spec["host"].partition(":")
            spec = {"host": host, "color": color}
        else:
            spec = {"host": f"{spec['host']}:{spec['color']}"}
        return {**one, "apiVersion": wanted, "spec": spec}

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def converter(authority: Authority) -> Iterator[http.server.HTTPServer]:
    cert, key = authority.issue("converter")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Converting", (Converter,), {}))
    served.socket = context.wrap_socket(served.socket, server_side=True)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield served
    served.shutdown()
    thread.join()
    served.server_close()


def converting(authority: Authority, converter: http.server.HTTPServer) -> dict[str, Any]:
    import base64
    from pathlib import Path

    bundle = base64.b64encode(Path(authority.ca).read_bytes()).decode()
    client = {"url": f"https://127.0.0.1:{converter.server_address[1]}/convert", "caBundle": bundle}
    webhook = {"clientConfig": client, "conversionReviewVersions": ["v1"]}
    return {"conversion": {"strategy": "Webhook", "webhook": webhook}}


def test_a_webhook_converts_what_is_read_written_and_watched(
    customs: Customs, namespace: str, authority: Authority, converter: http.server.HTTPServer, server: ApiServerProcess
) -> None:
    tree = two_versions(**converting(authority, converter))
    customs.define(tree)
    v1, v2 = paths_of(tree, namespace)
    status, made = customs.rest.json("POST", v2, thing(tree, "v2", "a", host="h", color="blue"))
    assert status == 201, made
    assert made["spec"] == {"host": "h", "color": "blue"}
    assert customs.rest.json("GET", f"{v1}/a")[1]["spec"] == {"host": "h:blue", "size": 1}
    merge = {"Content-Type": "application/merge-patch+json"}
    status, answer = customs.rest.json("PATCH", f"{v2}/a", {"spec": {"color": "green"}}, headers=merge)
    assert (status, answer["spec"]) == (200, {"host": "h", "color": "green"})
    assert customs.rest.json("GET", f"{v1}/a")[1]["spec"]["host"] == "h:green"
    assert [one["spec"]["color"] for one in customs.rest.json("GET", v2)[1]["items"]] == ["green"]
    watcher = Rest(server)
    watcher.connection.request("GET", f"{v2}?watch=1")
    response = watcher.connection.getresponse()
    assert json.loads(response.readline())["object"]["spec"]["color"] == "green"
    customs.rest.json("PATCH", f"{v1}/a", {"spec": {"host": "h:black"}}, headers=merge)
    assert json.loads(response.readline())["object"]["spec"]["color"] == "black"
    watcher.close()


def test_what_a_webhook_says_is_told_when_it_fails(
    customs: Customs, namespace: str, authority: Authority, converter: http.server.HTTPServer
) -> None:
    tree = two_versions(**converting(authority, converter))
    customs.define(tree)
    v1, v2 = paths_of(tree, namespace)
    customs.rest.json("POST", v1, thing(tree, "v1", "a", host="h:1"))
    converter.RequestHandlerClass.broken = "out of paint"  # type: ignore[attr-defined]
    status, answer = customs.rest.json("GET", f"{v2}/a")
    assert status == 500
    assert "conversion webhook for" in answer["message"]
    assert "out of paint" in answer["message"]
    assert customs.rest.json("GET", f"{v1}/a")[0] == 200
    converter.RequestHandlerClass.broken = ""  # type: ignore[attr-defined]
    assert customs.rest.json("GET", f"{v2}/a")[0] == 200
