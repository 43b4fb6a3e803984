"""A registry on loopback with one image of one small layer, and a password if it is given one."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Registry:
    """Serves `name:tag` under `address`; `requests` counts manifests that were asked for."""

    def __init__(self, *, password: str = "") -> None:
        self.requests = 0
        self.password = password
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("file"), io.BytesIO(b""))
        packed = gzip.compress(layer.getvalue())
        config = json.dumps({
            "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/x"], "User": "65532"},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer.getvalue())]},
        }).encode()  # fmt: skip
        kind = "application/vnd.oci.image"
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": f"{kind}.manifest.v1+json",
            "config": {"mediaType": f"{kind}.config.v1+json", "size": len(config), "digest": digest(config)},
            "layers": [{"mediaType": f"{kind}.layer.v1.tar+gzip", "size": len(packed), "digest": digest(packed)}],
        }).encode()  # fmt: skip
        self.blobs = {digest(data): data for data in (config, packed)}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def allows(self, header: str) -> bool:
        expected = base64.b64encode(f"user:{self.password}".encode()).decode()
        return not self.password or header == f"Basic {expected}"

    def _handler(registry) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if not registry.allows(self.headers.get("Authorization", "")):
                    self.answer(401, b"{}", **{"WWW-Authenticate": 'Basic realm="r"'})
                elif self.path == "/v2/":
                    self.answer(200, b"{}")
                elif "/manifests/" in self.path and "/app/" in self.path:
                    registry.requests += 1
                    self.answer(
                        200, registry.manifest, **{"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
                    )
                elif "/blobs/" in self.path and self.path.rpartition("/")[2] in registry.blobs:
                    self.answer(200, registry.blobs[self.path.rpartition("/")[2]])
                else:
                    self.answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')

            do_HEAD = do_GET

            def answer(self, status: int, body: bytes, **headers: str) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
