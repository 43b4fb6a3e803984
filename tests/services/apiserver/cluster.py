"""A store and an API server as real processes on free loopback ports, and clients of them.

`RAFTSMAN_TEST_STORE=etcd` runs them on the etcd binary of the machine instead of Raftsman's own store.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
from raftsman import errors, resources
from raftsman.meta import v1 as meta

from .certificates import Authority

START_S = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _started(arguments: list[str], log: Path, *, scratch: str | None = None) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "TMPDIR": scratch} if scratch else None
    with log.open("ab") as out:
        return subprocess.Popen(arguments, stdout=out, stderr=out, start_new_session=True, env=environment)


def _await_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"{url} is not ready:\n{log.read_text()[-4000:]}")


class StoreProcess:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port, self.peer_port, self.health_port = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        data, log = self._folder / "store", self._folder / "store.log"
        if os.environ.get("RAFTSMAN_TEST_STORE") == "etcd":
            peer = f"http://127.0.0.1:{self.peer_port}"
            arguments = [
                "etcd", "--data-dir", str(data), "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster",
                f"default={peer}", "--unsafe-no-fsync",
            ]  # fmt: skip
            health = f"{self.url}/health"
        else:
            arguments = [
                sys.executable, "-m", "raftsman.store", "--listen-client-urls", self.url, "--data-dir", str(data),
                "--listen-metrics-urls", f"http://127.0.0.1:{self.health_port}", "--listen-peer-urls",
                f"http://127.0.0.1:{self.peer_port}",
            ]  # fmt: skip
            health = f"http://127.0.0.1:{self.health_port}/readyz"
        self._process = _started(arguments, log)
        _await_ready(self._process, health, log)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: int) -> None:
        """Freeze it (SIGSTOP) or let it go on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


def front_proxies(folder: Path) -> Authority:
    """The authority of servers that say whom a request is from: one for each folder."""
    path = str(folder / "front-proxies")
    if path not in _FRONT_PROXIES:
        Path(path).mkdir()
        _FRONT_PROXIES[path] = Authority(Path(path), name="front-proxies")
    return _FRONT_PROXIES[path]


_FRONT_PROXIES: dict[str, Authority] = {}


class ApiServerProcess:
    def __init__(self, folder: Path, store: StoreProcess, authority: Authority, *, port: int = 0) -> None:
        self.folder, self.authority = folder, authority
        self.port, self.health_port = port or free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.log = folder / f"apiserver-{self.port}-{self.health_port}.log"
        cert, key = authority.issue("kube-apiserver", file="apiserver")
        kubelet_cert, kubelet_key = authority.issue(
            "kube-apiserver-kubelet-client", groups=("system:masters",), file="kubelet-client"
        )
        proxies = front_proxies(folder)
        proxy_cert, proxy_key = proxies.issue("front-proxy-client")
        account_key = folder / "sa.key"
        if not account_key.exists():
            authority.private_key("sa")
            (folder / "encryption.key").write_bytes(os.urandom(32))
        self._arguments = [
            sys.executable, "-m", "raftsman.services.apiserver", "--bind-address", "127.0.0.1", "--secure-port",
            str(self.port), "--advertise-address", "127.0.0.1", "--etcd-servers", store.url, "--client-ca-file",
            authority.ca, "--tls-cert-file", cert, "--tls-private-key-file", key, "--service-account-key-file",
            str(account_key), "--service-account-signing-key-file", str(account_key), "--encryption-key-file",
            str(folder / "encryption.key"), "--health-address", f"127.0.0.1:{self.health_port}",
            "--kubelet-certificate-authority", authority.ca, "--kubelet-client-certificate", kubelet_cert,
            "--kubelet-client-key", kubelet_key, "--root-ca-file", authority.ca,
            "--requestheader-client-ca-file", proxies.ca, "--requestheader-allowed-names", "front-proxy-client",
            "--proxy-client-cert-file", proxy_cert, "--proxy-client-key-file", proxy_key,
        ]  # fmt: skip
        # Its socket is gone with this object, also when the process is killed; a test's own folder is too long for it.
        self._scratch = tempfile.TemporaryDirectory(prefix="rm-apiserver-")
        self.process = _started(self._arguments, self.log, scratch=self._scratch.name)
        _await_ready(self.process, f"http://127.0.0.1:{self.health_port}/readyz", self.log)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(15)
        self._scratch.cleanup()

    def client(
        self, name: str = "kubernetes-admin", *, groups: tuple[str, ...] = ("system:masters",), token: str = ""
    ) -> Api:
        if name:
            cert, key = self.authority.issue(name, groups=groups)
            return Api(self.address, ca=self.authority.ca, cert=cert, key=key)
        return Api(self.address, ca=self.authority.ca, token=token)


class Api:
    """The thinnest possible client: messages in, messages out, errors.ApiError on failure."""

    def __init__(self, address: str, *, ca: str, cert: str = "", key: str = "", token: str = "") -> None:
        pems = [Path(path).read_bytes() if path else None for path in (ca, key, cert)]
        options = (("grpc.use_local_subchannel_pool", 1),)
        self._channel = grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(*pems), options=options)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    async def __aenter__(self) -> Api:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def call(self, service: str, verb: str, request: Any, answer: type[Any], *, timeout: float = 15) -> Any:
        method = self._channel.unary_unary(
            f"/{service}/{verb}", request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=answer.FromString,
        )  # fmt: skip
        try:
            return await method(request, timeout=timeout, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc(error) from None

    async def of(self, message: type[Any], verb: str, request: Any, answer: type[Any] | None = None) -> Any:
        return await self.call(resources.by_message(message).service, verb, request, answer or message)

    async def create(self, obj: Any, *, dry_run: bool = False) -> Any:
        return await self._write(obj, "Create", dry_run=dry_run)

    async def update(self, obj: Any) -> Any:
        return await self._write(obj, "Update")

    async def update_status(self, obj: Any) -> Any:
        return await self._write(obj, "UpdateStatus")

    async def _write(self, obj: Any, verb: str, *, dry_run: bool = False) -> Any:
        request = meta.WriteRequest(object=obj.SerializeToString(), options=meta.WriteOptions(dry_run=dry_run))
        return await self.of(type(obj), verb, request)

    async def manifest(self, message: type[Any], text: str, *, verb: str = "Create", namespace: str = "") -> Any:
        return await self.of(message, verb, meta.WriteRequest(manifest=text.encode(), namespace=namespace))

    async def get(self, message: type[Any], name: str, namespace: str = "default", **extra: Any) -> Any:
        return await self.of(message, "Get", meta.GetRequest(name=name, namespace=namespace, **extra))

    async def list(self, message: type[Any], **request: Any) -> Any:
        answer = resources.by_message(message).list_message
        return await self.of(message, "List", meta.ListRequest(**request), answer)

    async def patch(
        self, message: type[Any], name: str, body: bytes, *, namespace: str = "default", **extra: Any
    ) -> Any:
        extra.setdefault("type", meta.PATCH_TYPE_MERGE)
        request = meta.PatchRequest(name=name, namespace=namespace, patch=body, **extra)
        return await self.of(message, "Patch", request)

    async def delete(self, message: type[Any], name: str, namespace: str = "default", **options: Any) -> Any:
        request = meta.DeleteRequest(name=name, namespace=namespace, options=meta.DeleteOptions(**options))
        return await self.of(message, "Delete", request)

    async def watch(self, message: type[Any], **request: Any) -> AsyncIterator[tuple[int, Any]]:
        """(event type, object) one by one."""
        method = self._channel.unary_stream(
            f"/{resources.by_message(message).service}/Watch",
            request_serializer=lambda m: m.SerializeToString(), response_deserializer=meta.WatchResponse.FromString,
        )  # fmt: skip
        call = method(meta.WatchRequest(**request), metadata=self._metadata)
        try:
            async for answer in call:
                for event in answer.events:
                    yield event.type, message.FromString(event.object)
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc(error) from None
        finally:
            call.cancel()

    async def stream(self, message: type[Any], verb: str, request: Any, answer: type[Any]) -> AsyncIterator[Any]:
        """The answers to one request, or to an iterator of requests."""
        many = hasattr(request, "__aiter__")
        method = (self._channel.stream_stream if many else self._channel.unary_stream)(
            f"/{resources.by_message(message).service}/{verb}",
            request_serializer=lambda m: m.SerializeToString(), response_deserializer=answer.FromString,
        )  # fmt: skip
        try:
            async for one in method(request, metadata=self._metadata):
                yield one
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc(error) from None
