"""Nonsense over REST: whatever is sent, the answer is a Status that blames the sender, never a 500.

The server's log is looked at when the tests are over: nothing may have "failed unexpectedly" (conftest.py).
"""

from __future__ import annotations

import json
import secrets
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .cluster import ApiServerProcess
from .rest import Rest

CONFIGS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
PATCHES = ("json-patch+json", "merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml")
PROTOBUF = {"Content-Type": "application/vnd.kubernetes.protobuf"}
EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def rest(server: ApiServerProcess) -> Iterator[Rest]:
    client = Rest(server)
    yield client
    client.close()


@pytest.fixture(scope="module")
def config(rest: Rest) -> str:
    """The path of a ConfigMap."""
    name = f"fuzz-{secrets.token_hex(4)}"
    assert rest.json("POST", CONFIGS, {"metadata": {"name": name}, "data": {"a": "b"}})[0] == 201
    return f"{CONFIGS}/{name}"


@pytest.fixture(scope="module")
def deployment(rest: Rest) -> str:
    """The path of a Deployment, which has lists with keys, sets, maps and structs."""
    name = f"fuzz-{secrets.token_hex(4)}"
    pod = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": pod}
    assert rest.json("POST", DEPLOYMENTS, {"metadata": {"name": name}, "spec": spec})[0] == 201
    return f"{DEPLOYMENTS}/{name}"


def refused(rest: Rest, method: str, path: str, *, body: bytes | None = None, headers: Any = None, **query: str) -> Any:
    """The Status with which a request is refused."""
    status, _, answer = rest.raw(method, path, body=body, headers=headers, **query)
    assert 400 <= status < 500, (status, answer[:300])
    tree = json.loads(answer)
    assert (tree["kind"], tree["status"], tree["code"]) == ("Status", "Failure", status)
    return tree


_LONE = rb"\ud800"
_DEEP = b'{"a":' * 5000 + b"1" + b"}" * 5000


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"3", b"[]", b"{", b"\0\0", b"\xff\xfe", b"{}{}", b'{"metadata": 3}', b"[" * 100_000, _DEEP,
        b'{"metadata": {"name": "%b"}}' % _LONE, b'{"metadata": {"name": "a"}, "data": {"%b": "x"}}' % _LONE,
        b'{"apiVersion": "%b", "kind": "%b"}' % (_LONE, _LONE), b'{"metadata": {"generation": %b}}' % (b"9" * 5000),
        b'{"metadata": {"name": "a", "generation": 1e999}}', b'{"metadata": {"name": "a", "generation": NaN}}',
        b'{"metadata": {"name": "a", "creationTimestamp": "99999-01-01T00:00:00Z"}}', b"a: &a [*a]",
        b'!!python/object/apply:os.system ["true"]', b'{"metadata": {"name": "%b"}}' % (b"x" * 10_000),
    ],
    ids=lambda body: repr(body[:40]),
)  # fmt: skip
def test_a_body_that_is_no_object_is_refused(rest: Rest, body: bytes) -> None:
    refused(rest, "POST", CONFIGS, body=body)


@pytest.mark.parametrize("raw", [b"", b"k8s", b"k8s\0\xff", b"k8s\0\x0a\xff\xff", b"k8s\0\x12\x05abc",
                                 b"k8s\0\x12\x04\x0a\x02\xff\xff", b"k8s\0\x12\x02\x0b\x0b"])  # fmt: skip
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", CONFIGS), ("PUT", f"{DEPLOYMENTS}/x/scale"), ("POST", "/api/v1/namespaces/default/pods/x/binding"),
        ("POST", "/api/v1/namespaces/default/serviceaccounts/x/token"),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"), ("DELETE", f"{CONFIGS}/x"),
    ],
)  # fmt: skip
def test_a_torn_envelope_is_refused(rest: Rest, method: str, path: str, raw: bytes) -> None:
    refused(rest, method, path, body=raw, headers=PROTOBUF)


@pytest.mark.parametrize(
    ("form", "patch"),
    [
        ("json-patch+json", b'[{"op": "remove", "path": ""}]'),
        ("json-patch+json", b'[{"op": "add", "path": "/data/%b", "value": "%b"}]' % (_LONE, _LONE)),
        ("json-patch+json", b'[{"op": "add", "path": "/data", "value": %b}]' % (b"[" * 900 + b"]" * 900)),
        ("merge-patch+json", b'{"data": NaN}'),
        ("merge-patch+json", _DEEP),
        ("strategic-merge-patch+json", b'{"data":' * 900 + b"1" + b"}" * 900),
        ("apply-patch+yaml", b'{"apiVersion": "v1", "kind": "ConfigMap", "data": [[]]}'),
        ("apply-patch+yaml", b'{"apiVersion": "v1", "kind": "ConfigMap", "metadata": 3}'),
        ("apply-patch+yaml", b'{"apiVersion": "v1", "kind": "ConfigMap", "data": {"x": {"y": 1}}}'),
    ],
)
def test_a_patch_that_cannot_be_is_refused(rest: Rest, config: str, form: str, patch: bytes) -> None:
    headers = {"Content-Type": f"application/{form}"}
    refused(rest, "PATCH", config, body=patch, headers=headers, fieldManager="fuzz", dryRun="All")


_NAMES = st.sampled_from(
    ["metadata", "labels", "finalizers", "ownerReferences", "managedFields", "fieldsV1", "uid", "name", "spec",
     "replicas", "template", "selector", "matchLabels", "containers", "ports", "containerPort", "protocol", "resources",
     "requests", "env", "strategy", "status", "conditions", "type", "tolerations", "volumes", "$patch", "$retainKeys",
     "$setElementOrder/containers", "$deleteFromPrimitiveList/finalizers"]
)  # fmt: skip
_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
_TREES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4), max_leaves=12
)
_OPERATIONS = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"])},
        optional={
            "path": st.lists(_NAMES | st.sampled_from(["0", "-", "1"]), max_size=4).map(
                lambda way: "/" + "/".join(way)
            ),
            "from": st.sampled_from(["", "/", "/metadata", "/spec/template", "/spec/template/spec/containers/0"]),
            "value": _TREES,
        },
    ),
    max_size=4,
)


@EXAMPLES
@given(form=st.sampled_from(PATCHES), tree=st.dictionaries(_NAMES, _TREES, min_size=1), operations=_OPERATIONS)
def test_no_patch_makes_the_server_fail(
    rest: Rest, deployment: str, form: str, tree: dict[str, Any], operations: list[Any]
) -> None:
    body: Any = operations if form == "json-patch+json" else tree
    if form == "apply-patch+yaml":
        body = {**tree, "apiVersion": "apps/v1", "kind": "Deployment"}
    headers = {"Content-Type": f"application/{form}"}
    status, answer = rest.json("PATCH", deployment, body, headers=headers, fieldManager="fuzz", dryRun="All")
    assert status == 200 or 400 <= status < 500, answer


@EXAMPLES
@given(raw=st.binary(max_size=60))
def test_no_protobuf_makes_the_server_fail(rest: Rest, raw: bytes) -> None:
    field = b"\x12" + bytes((len(raw),)) + raw
    status, _, answer = rest.raw("POST", CONFIGS, body=b"k8s\0" + field, headers=PROTOBUF, dryRun="All")
    assert status == 201 or 400 <= status < 500, answer


@pytest.mark.parametrize(
    "query",
    [
        "limit=x", "limit=%C2%B2", "continue=%ff", "resourceVersion=x", "resourceVersion=-1", "labelSelector=((",
        "fieldSelector=x", "sendInitialEvents=true", "resourceVersionMatch=Exact", "watch=zz",
        "watch=1&timeoutSeconds=z", "watch=1&resourceVersion=-4", "watch=1&labelSelector=((", "watch=1&fieldSelector=(",
        "watch=1&sendInitialEvents=1", "watch=1&resourceVersionMatch=Exact",
    ],
)  # fmt: skip
def test_a_query_that_makes_no_sense_is_refused(rest: Rest, query: str) -> None:
    refused(rest, "GET", f"{CONFIGS}?{query}")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "?force=true", b"{}"), ("PATCH", "?dryRun=x", b"{}"), ("PATCH", "?fieldValidation=x", b"{}"),
        ("PATCH", "?fieldManager=%0a", b"{}"), ("DELETE", "?gracePeriodSeconds=-5", None), ("DELETE", "", b"[]"),
        ("DELETE", "", b'{"dryRun": ["All"]}{"dryRun": ["All"]}'), ("DELETE", "", b'{"dryRun": "All"}'),
        ("DELETE", "", b'{"preconditions": {"uid": 3}}'), ("GET", "/status/x", None), ("GET", "%2F%00", None),
        ("GET", "/" + "x" * 60_000, None), ("OPTIONS", "", None),
    ],
    ids=lambda value: repr(value[:40]) if value else "nothing",
)  # fmt: skip
def test_a_write_that_makes_no_sense_is_refused(rest: Rest, config: str, method: str, path: str, body: Any) -> None:
    refused(rest, method, config + path, body=body, headers={"Content-Type": "application/merge-patch+json"})


@pytest.mark.parametrize("path", ["/openapi/v3/x", "/openapi/v3/apis/none", "/apis/apps/v2", "/%zz"])
def test_what_is_not_there_is_not_found(rest: Rest, path: str) -> None:
    assert refused(rest, "GET", path)["reason"] == "NotFound"


def test_the_old_paths_of_watches_take_nothing_but_watches(rest: Rest, config: str) -> None:
    path = config.replace("/api/v1/", "/api/v1/watch/")
    assert refused(rest, "DELETE", path)["code"] == 405
    assert refused(rest, "DELETE", CONFIGS.replace("/api/v1/", "/api/v1/watch/"))["code"] == 405
    assert rest.raw("GET", config)[0] == 200


@pytest.mark.parametrize(
    "accept", ["*", ";;;", "application/json;q=nan", "x" * 30_000, "\xff", "application/yaml;as=Table", "a/b;q=1e999"]
)
def test_an_absurd_accept_is_406(rest: Rest, config: str, accept: str) -> None:
    assert refused(rest, "GET", config, headers={"Accept": accept})["code"] == 406


def test_a_group_with_a_comma_is_one_group(rest: Rest) -> None:
    headers = {"Impersonate-User": "jane", "Impersonate-Group": "dev,system:masters"}
    _, who = rest.json("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, headers=headers)
    assert who["status"]["userInfo"]["groups"] == ["dev,system:masters", "system:authenticated"]
    assert rest.json("GET", CONFIGS, headers=headers)[0] == 403


ASK = b"GET /version HTTP/1.1\r\nHost: x\r\n"
SMUGGLED = b"GET /apis HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def exchanged(server: ApiServerProcess, *pieces: bytes) -> bytes:
    """What the server says to the pieces, sent one by one, until it hangs up."""
    context = ssl.create_default_context(cafile=server.authority.ca)
    context.check_hostname = False
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), 10) as plain, context.wrap_socket(plain) as secure:
        for piece in pieces:
            secure.sendall(piece)
            time.sleep(0.02)
        while data := secure.recv(65536):
            answer += data
    return answer


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 3\r\nContent-Length: 9\r\n\r\n",
        b"Content-Length: -1\r\n\r\n", b"Content-Length: +3\r\n\r\n", b"Content-Length: 0x3\r\n\r\n",
        b"Content-Length: \xb2\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Transfer-Encoding : chunked\r\n\r\n",
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", b"X: y\r\n z\r\n\r\n",
        b"X\0: y\r\n\r\n", b"no colon\r\n\r\n",
    ],
)  # fmt: skip
def test_a_request_without_a_certain_end_is_refused_and_nothing_behind_it_is_read(
    server: ApiServerProcess, framing: bytes
) -> None:
    answer = exchanged(server, ASK + framing + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_body_in_chunks_is_one_body(server: ApiServerProcess) -> None:
    head = ASK + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert exchanged(server, head, b"5\r\nhel", b"lo\r\n0\r", b"\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert exchanged(server, head + (b"fff0\r\n" + b"x" * 0xFFF0 + b"\r\n") * 49).startswith(b"HTTP/1.1 413 ")


def test_what_cannot_be_parsed_is_refused_after_what_was_asked_before_it(server: ApiServerProcess) -> None:
    answer = exchanged(server, ASK + b"\r\n" + b"\x00\x01garbage\r\n\r\n" + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.index(b"gitVersion") < answer.index(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 2
