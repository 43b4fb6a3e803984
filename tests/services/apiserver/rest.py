"""A REST client of the test's API server: bytes over TLS, nothing clever; and kubectl with a kubeconfig."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from .cluster import ApiServerProcess


class Rest:
    """One keep-alive connection of a user's certificate, or of nobody."""

    def __init__(
        self, server: ApiServerProcess, *, name: str = "kubernetes-admin", groups: tuple[str, ...] = ("system:masters",)
    ) -> None:
        context = ssl.create_default_context(cafile=server.authority.ca)
        context.check_hostname = False
        if name:
            context.load_cert_chain(*server.authority.issue(name, groups=groups))
        self.connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=15)

    def raw(
        self, method: str, path: str, *, body: bytes | str | None = None, headers: dict[str, str] | None = None,
        **query: str,
    ) -> tuple[int, dict[str, str], bytes]:  # fmt: skip
        """(status, headers in lower case, body)."""
        target = f"{path}?{urlencode(query)}" if query else path
        self.connection.request(method, target, body, headers or {})
        response = self.connection.getresponse()
        return response.status, {key.lower(): value for key, value in response.getheaders()}, response.read()

    def json(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None, **query: str
    ) -> tuple[int, Any]:
        """(status, the JSON of the answer)."""
        data = None if body is None else json.dumps(body)
        status, _, answer = self.raw(method, path, body=data, headers=headers, **query)
        return status, json.loads(answer)

    def close(self) -> None:
        self.connection.close()


def kubeconfig(server: ApiServerProcess, folder: Path) -> Path:
    """A kubeconfig of the administrator."""
    cert, key = server.authority.issue("kubernetes-admin", groups=("system:masters",))
    cluster = {"server": f"https://{server.address}", "certificate-authority": server.authority.ca}
    path = folder / "kubeconfig"
    tree = {
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "it", "user": {"client-certificate": cert, "client-key": key}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    }  # fmt: skip
    path.write_text(json.dumps(tree))
    return path


class Kubectl:
    """Runs the machine's kubectl, in a namespace if one is given."""

    def __init__(self, config: Path, home: Path, namespace: str = "") -> None:
        self.config, self.home = config, home
        self._before = ("-n", namespace) if namespace else ()

    def __call__(self, *arguments: str, stdin: str = "", fails: bool = False, editor: str = "false") -> str:
        """What it prints; both streams if it should fail."""
        environment = {**os.environ, "KUBECONFIG": str(self.config), "HOME": str(self.home), "KUBE_EDITOR": editor}
        done = subprocess.run(
            ["kubectl", *self._before, *arguments], input=stdin, capture_output=True, text=True, timeout=120,
            env=environment,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert (done.returncode != 0) is fails, f"kubectl {' '.join(arguments)}: {said}"
        return said if fails else done.stdout

    def within(self, namespace: str) -> Kubectl:
        return Kubectl(self.config, self.home, namespace)
