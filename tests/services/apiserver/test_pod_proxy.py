"""HTTP through the API server: whose paths are whose, and who is not reached."""

from __future__ import annotations

import pytest
from raftsman.services.apiserver.rest.pod_proxy import Place, place

from .cluster import Api, ApiServerProcess
from .rest import Rest
from .test_objects import a_pod


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/api/v1/namespaces/a/pods/web/proxy", Place("pods", "a", "web", "/")),
        ("/api/v1/namespaces/a/pods/https:web:443/proxy/x/y/", Place("pods", "a", "https:web:443", "/x/y/")),
        ("/api/v1/namespaces/a/services/web:http/proxy/", Place("services", "a", "web:http", "/")),
        ("/api/v1/nodes/n1/proxy/stats", Place("nodes", "", "n1", "/stats")),
        ("/api/v1/namespaces/a/pods/web/log", None),
        ("/api/v1/namespaces/a/configmaps/web/proxy", None),
        ("/api/v1/nodes/n1", None),
        ("/", None),
    ],
)
def test_paths(path: str, found: Place | None) -> None:
    assert place(path) == found


async def test_what_cannot_be_reached_is_said(server: ApiServerProcess, api: Api, namespace: str) -> None:
    stored = await api.create(a_pod(namespace))
    rest, nobody = Rest(server), Rest(server, name="somebody", groups=())
    path = f"/api/v1/namespaces/{namespace}/pods"
    assert nobody.json("GET", f"{path}/web/proxy/")[0] == 403
    assert rest.json("GET", f"{path}/nope/proxy/")[0] == 404
    assert rest.json("GET", f"{path}/web/proxy/")[1]["message"] == "pod web has no address yet"
    stored.status.pod_ip = "127.0.0.1"
    await api.update_status(stored)
    assert rest.json("GET", f"{path}/web:80/proxy/")[1]["message"] == "address not allowed: 127.0.0.1"
    assert rest.json("GET", f"{path}/web:http/proxy/")[0] == 400
    assert rest.json("GET", f"{path}/ftp:web:80/proxy/")[0] == 400
    assert "nodes/proxy is not served" in rest.json("GET", "/api/v1/nodes/n1/proxy/healthz")[1]["message"]
    rest.close()
    nobody.close()
