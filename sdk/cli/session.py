"""One run of a verb: its client, its namespace, its output."""

from __future__ import annotations

import dataclasses
import sys
from types import TracebackType
from typing import TYPE_CHECKING

import click

from .verb import Globals

if TYPE_CHECKING:
    from raftsman import kubeconfig
    from raftsman.client import Client


class Session:
    """Opens a connection when a verb first asks for one."""

    def __init__(self, flags: Globals) -> None:
        self.flags = flags
        self.failed = False
        self._client: Client | None = None

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()

    @property
    def client(self) -> Client:
        if self._client is None:
            from raftsman import kubeconfig
            from raftsman.client import Client

            config = kubeconfig.load(self.flags.kubeconfig, self.flags.context, overrides=self._overrides())
            config = dataclasses.replace(config, on_warning=self.warn)
            if self.flags.request_timeout_s:
                config = dataclasses.replace(config, timeout_s=self.flags.request_timeout_s)
            self._client = Client(config)
        return self._client

    def _overrides(self) -> kubeconfig.Overrides:
        from raftsman import kubeconfig

        flags = self.flags
        cluster = {
            "server": flags.server, "certificate-authority": flags.certificate_authority,
            "tls-server-name": flags.tls_server_name,
        }  # fmt: skip
        user = {
            "token": flags.token, "client-certificate": flags.client_certificate, "client-key": flags.client_key,
            "as": flags.impersonate, "as-groups": list(flags.impersonate_groups or ()), "as-uid": flags.impersonate_uid,
        }  # fmt: skip
        return kubeconfig.Overrides(
            cluster=flags.cluster or "", user=flags.user or "",
            cluster_fields={key: value for key, value in cluster.items() if value},
            user_fields={key: value for key, value in user.items() if value},
        )  # fmt: skip

    @property
    def namespace(self) -> str:
        """The namespace asked for, else the context's, else (also without a kubeconfig) "default"."""
        if self.flags.namespace:
            return self.flags.namespace
        from raftsman.client import ConfigError

        try:
            return self.client.config.namespace or "default"
        except ConfigError:
            return "default"

    def say(self, line: str) -> None:
        click.echo(line)
        sys.stdout.flush()

    def warn(self, line: str) -> None:
        click.echo(f"Warning: {line}", err=True)

    def note(self, line: str) -> None:
        """Something for people that is no output: to stderr."""
        click.echo(line, err=True)

    def fail(self, line: str) -> None:
        """Say what went wrong with one object and go on to the next; the exit code will be 1."""
        click.echo(line, err=True)
        self.failed = True
