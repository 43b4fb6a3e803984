"""Version, health, metrics, and how requests are answered whatever they are about."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from .cluster import ApiServerProcess
from .rest import Rest


@pytest.fixture
def rest(server: ApiServerProcess) -> Iterator[Rest]:
    client = Rest(server)
    yield client
    client.close()


@pytest.fixture
def nobody(server: ApiServerProcess) -> Iterator[Rest]:
    client = Rest(server, name="")
    yield client
    client.close()


def text(rest: Rest, path: str, **query: str) -> tuple[int, str]:
    status, _, body = rest.raw("GET", path, **query)
    return status, body.decode()


def test_everybody_may_know_the_version_and_the_health(nobody: Rest) -> None:
    _, version = nobody.json("GET", "/version")
    assert (version["major"], version["minor"], version["gitVersion"]) == ("1", "36", "v1.36.0")
    assert re.fullmatch(r"linux/\w+", version["platform"])
    for path in ("/livez", "/readyz", "/healthz"):
        assert text(nobody, path) == (200, "ok")
    assert nobody.raw("GET", "/metrics")[0] == 403


def test_checks_are_listed_left_out_and_run_alone(rest: Rest) -> None:
    status, said = text(rest, "/readyz", verbose="")
    assert status == 200
    assert said.splitlines() == [
        "[+]ping ok", "[+]etcd ok", "[+]informer-sync ok", "[+]shutdown ok", "readyz check passed",
    ]  # fmt: skip
    _, said = text(rest, "/readyz", verbose="", exclude="etcd")
    assert "[+]etcd excluded: ok" in said.splitlines()
    _, said = text(rest, "/livez", verbose="", exclude="nonsense")
    assert 'warn: some health checks cannot be excluded: no matches for "nonsense"' in said.splitlines()
    assert "shutdown" not in said
    assert text(rest, "/readyz/etcd") == (200, "ok")
    assert text(rest, "/readyz/nonsense")[0] == 404


def test_metrics_have_kubernetes_names_and_labels(rest: Rest) -> None:
    rest.json("GET", "/api/v1/namespaces/default/configmaps")
    rest.json("GET", "/apis/apps/v1/namespaces/default/deployments/none")
    _, said = text(rest, "/metrics")
    what = 'component="apiserver",group="",resource="configmaps",scope="namespace",subresource="",verb="LIST"'
    assert re.search(rf'apiserver_request_total{{code="200",{what},version="v1"}} \d', said)
    assert re.search(r'apiserver_request_total{code="404",.*resource="deployments",.*verb="GET"', said)
    assert re.search(rf"apiserver_request_duration_seconds_count{{{what}", said)
    assert 'apiserver_current_inflight_requests{request_kind="mutating"} 0.0' in said
    assert re.search(r'apiserver_storage_objects{resource="namespaces"} \d', said)
    assert re.search(r'kubernetes_build_info{git_version="v1.36.0",major="1",minor="36"', said)


def test_json_is_pretty_for_who_says_so_and_for_people(rest: Rest) -> None:
    def lines(path: str, agent: str = "", **query: str) -> int:
        _, _, body = rest.raw("GET", path, headers={"User-Agent": agent or "client"}, **query)
        assert json.loads(body)
        return body.count(b"\n")

    for path in ("/api/v1/namespaces/default", "/version"):
        assert lines(path) == 0
        assert lines(path, pretty="true") > 5
        assert lines(path, "curl/8") > 5
        assert lines(path, "curl/8", pretty="false") == 0


def test_a_request_that_cannot_be_done_in_its_time_says_so(rest: Rest) -> None:
    status, answer = rest.json("GET", "/api/v1/namespaces/default", timeout="soon")
    assert (status, answer["reason"]) == (400, "BadRequest")
    assert "invalid timeout" in answer["message"]
    assert rest.json("GET", "/api/v1/namespaces/default", timeout="1m30s")[0] == 200
    status, answer = rest.json("GET", "/api/v1/namespaces", timeout="1ns")
    assert (status, answer["reason"]) == (504, "Timeout")


def test_parameters_that_mean_nothing_are_ignored(rest: Rest) -> None:
    assert rest.json("GET", "/api/v1/namespaces/default", nonsense="1")[0] == 200


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND"])
def test_other_methods_are_refused_by_name(rest: Rest, method: str) -> None:
    for path in ("/api/v1/namespaces/default", "/api/v1/namespaces", "/version", "/apis"):
        status, answer = rest.json(method, path)
        assert (status, answer["reason"]) == (405, "MethodNotAllowed")


def test_head_says_what_get_would_without_the_body(rest: Rest) -> None:
    for path in ("/api/v1/namespaces/default", "/version", "/apis", "/readyz"):
        _, asked, _ = rest.raw("GET", path)
        status, headers, body = rest.raw("HEAD", path)
        assert (status, body) == (200, b"")
        assert headers["content-length"] == asked["content-length"]


def test_the_root_names_what_can_be_asked_for(rest: Rest) -> None:
    _, found = rest.json("GET", "/")
    assert {"/api", "/api/v1", "/apis/apps/v1", "/openapi/v2", "/version", "/readyz/etcd"} <= set(found["paths"])
