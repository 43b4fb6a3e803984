"""Certificates that are replaced while the process runs: every handshake uses the files as they are then.

Files are replaced one after another, so for a moment a certificate and a key may not fit each other; until they do, the
last ones that did stay in use. Connections that stand are not touched.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import grpc
from raftsman import logs
from raftsman.store import flags

T = TypeVar("T")
log = logs.get(__name__)


class Replaceable(Generic[T]):
    """What `make` made of files, made again when one of them changed."""

    def __init__(self, paths: Sequence[Path], make: Callable[[], T]) -> None:
        self._paths = paths
        self._make = make
        self._stamp = self._look()
        self.current = make()

    def refresh(self) -> bool:
        """Look at the files; whether `current` is another one than before."""
        stamp = self._look()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self.current = self._make()
        except (OSError, ValueError) as error:
            log.warning("new certificates cannot be used, the last ones stay", paths=self._paths, error=error)
            return False
        log.info("certificates replaced", paths=", ".join(map(str, self._paths)))
        return True

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        found = []
        for path in self._paths:
            try:
                status = path.stat()
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((status.st_ino, status.st_mtime_ns, status.st_size))
        return tuple(found)


class _Context(ssl.SSLContext):
    """Stands for a context that changes: asyncio and uvloop ask it for one connection at a time."""

    _source: Replaceable[ssl.SSLContext]

    def wrap_bio(self, *arguments: Any, **more: Any) -> ssl.SSLObject:
        self._source.refresh()
        return self._source.current.wrap_bio(*arguments, **more)


def context(tls: flags.Tls, purpose: ssl.Purpose, *, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """A context for asyncio that follows its files. Both sides are verified where `tls` says so."""

    def make() -> ssl.SSLContext:
        made = ssl.create_default_context(purpose, cafile=str(tls.ca) if tls.ca else None)
        made.minimum_version = version
        if tls.client_certificates:
            made.verify_mode = ssl.CERT_REQUIRED
        made.load_cert_chain(tls.cert, tls.key)
        return made

    server = purpose is ssl.Purpose.CLIENT_AUTH
    following = _Context(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    following._source = Replaceable(_paths(tls), make)
    return following


def grpc_credentials(tls: flags.Tls) -> grpc.ServerCredentials:
    """Credentials of a gRPC server that follow their files. Raises ValueError when they do not fit."""

    def make() -> grpc.ServerCertificateConfiguration:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.cert, tls.key)  # gRPC would crash instead
        return grpc.ssl_server_certificate_configuration(
            [(tls.key.read_bytes(), tls.cert.read_bytes())], root_certificates=tls.ca.read_bytes() if tls.ca else None
        )

    source = Replaceable(_paths(tls), make)

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        return source.current if source.refresh() else None

    return grpc.dynamic_ssl_server_credentials(
        source.current, fetch, require_client_authentication=tls.client_certificates
    )


def _paths(tls: flags.Tls) -> tuple[Path, ...]:
    return tuple(path for path in (tls.cert, tls.key, tls.ca) if path is not None)
