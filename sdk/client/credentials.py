"""What proves who we are: a certificate for the channel, a token with each call, both perhaps from a plug-in.

A token file is read again every TOKEN_REREAD_S. A credential plug-in (ExecCredential, `client.authentication.k8s.io`)
runs when the first call needs it, again when what it gave has expired, and once more when the server refuses it; calls
that wait for it share one run of at most PLUGIN_MAX_S. Its stderr is ours. Nothing that it prints is ever logged.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

import orjson
from raftsman import times

from .config import ClientConfig, ConfigError, Interactive, Plugin

TOKEN_REREAD_S = 60.0
PLUGIN_MAX_S = 300.0
API_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """What the channel shows and what each call carries."""

    certificate: bytes | None = None
    key: bytes | None = None
    metadata: Metadata = ()


class Credentials:
    """The current identity of one client."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._extra = config.impersonate.metadata() if config.impersonate else ()
        self._identity = self._with_token(config.token)
        self._reread_at = 0.0
        self._expires_at = 0.0
        self._lock = asyncio.Lock()

    def _with_token(self, token: str) -> Identity:
        return Identity(self._config.certificate, self._config.key, _bearer(token) + self._extra)

    @property
    def at_hand(self) -> Identity | None:
        """The identity, if it is known without waiting."""
        if self._config.plugin is not None:
            return self._identity if time.time() < self._expires_at else None
        if self._config.token_file is not None and time.monotonic() >= self._reread_at:
            self._read_token()
        return self._identity

    def _read_token(self) -> None:
        file = self._config.token_file
        assert file is not None
        try:
            self._identity = self._with_token(file.read_text().strip())
        except OSError as error:
            if not self._reread_at:
                raise ConfigError(f"token file {file}: {error.strerror}") from error
        self._reread_at = time.monotonic() + TOKEN_REREAD_S

    async def identity(self) -> Identity:
        """The identity; runs the plug-in if need be. Raises ConfigError."""
        async with self._lock:
            found = self.at_hand
            if found is None:
                assert self._config.plugin is not None
                status = await _run(self._config.plugin)
                self._expires_at = _expiry(status)
                found = self._identity = Identity(
                    _pem(status, "clientCertificateData") or self._config.certificate,
                    _pem(status, "clientKeyData") or self._config.key,
                    _bearer(str(status.get("token") or "")) + self._extra,
                )
            return found

    def refused(self, identity: Identity) -> bool:
        """The server did not know `identity`: forget it, if another may be had. Whether that is so."""
        if self._config.plugin is None and self._config.token_file is None:
            return False
        if identity is self._identity:
            self._expires_at, self._reread_at = 0.0, min(self._reread_at, time.monotonic())
        return True


def _bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),) if token else ()


def _pem(status: dict[str, Any], field: str) -> bytes | None:
    value = status.get(field)
    return str(value).encode() if value else None


async def _run(plugin: Plugin) -> dict[str, Any]:
    """The status of the ExecCredential that the plug-in prints."""
    terminal = sys.stdin is not None and sys.stdin.isatty()
    if plugin.interactive is Interactive.ALWAYS and not terminal:
        raise ConfigError(f"credential plug-in {plugin.command}: it needs a terminal on stdin, and there is none")
    interactive = terminal and plugin.interactive is not Interactive.NEVER
    try:
        process = await asyncio.create_subprocess_exec(
            plugin.command, *plugin.arguments, env=_environment(plugin, interactive), stdout=asyncio.subprocess.PIPE,
            stdin=None if interactive else asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    except OSError as error:
        hint = f"\n{plugin.install_hint}" if plugin.install_hint else ""
        raise ConfigError(f"credential plug-in {plugin.command}: {error.strerror}{hint}") from None
    printed = await _printed(plugin, process)
    if process.returncode:
        raise ConfigError(f"credential plug-in {plugin.command} failed with exit code {process.returncode}")
    return _status(plugin, printed)


def _environment(plugin: Plugin, interactive: bool) -> dict[str, str]:
    spec: dict[str, Any] = {"interactive": interactive}
    if plugin.cluster is not None:
        spec["cluster"] = dict(plugin.cluster)
    info = {"kind": "ExecCredential", "apiVersion": plugin.api_version, "spec": spec}
    return {**os.environ, **dict(plugin.environment), "KUBERNETES_EXEC_INFO": orjson.dumps(info).decode()}


async def _printed(plugin: Plugin, process: asyncio.subprocess.Process) -> bytes:
    try:
        async with asyncio.timeout(PLUGIN_MAX_S):
            printed, _ = await process.communicate()
            return printed
    except TimeoutError:
        raise ConfigError(f"credential plug-in {plugin.command}: not done after {PLUGIN_MAX_S:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _status(plugin: Plugin, printed: bytes) -> dict[str, Any]:
    """Checked: of the version that was asked for, with something in it, certificate and key together."""
    where = f"credential plug-in {plugin.command}"
    try:
        found = orjson.loads(printed)
    except orjson.JSONDecodeError:
        raise ConfigError(f"{where}: what it printed is not JSON") from None
    if not isinstance(found, dict) or found.get("kind") != "ExecCredential":
        raise ConfigError(f"{where}: what it printed is no ExecCredential")
    if found.get("apiVersion") != plugin.api_version:
        raise ConfigError(f"{where}: it printed apiVersion {found.get('apiVersion')!r}, not {plugin.api_version}")
    status = found.get("status")
    if not isinstance(status, dict):
        raise ConfigError(f"{where}: the ExecCredential has no status")
    if bool(status.get("clientCertificateData")) != bool(status.get("clientKeyData")):
        raise ConfigError(f"{where}: status.clientCertificateData and status.clientKeyData go together")
    if not status.get("token") and not status.get("clientKeyData"):
        raise ConfigError(f"{where}: the status has neither a token nor a certificate")
    return status


def _expiry(status: dict[str, Any]) -> float:
    """Seconds since 1970; without one, a credential is good until the server refuses it."""
    text = status.get("expirationTimestamp")
    if not text:
        return float("inf")
    try:
        return float(times.parse_rfc3339(str(text))[0])
    except ValueError as error:
        raise ConfigError(f"status.expirationTimestamp of the ExecCredential: {error}") from None
