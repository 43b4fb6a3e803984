"""Credential plug-ins: run when needed, kept until they expire or are refused, and told by name what is wrong."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from raftsman import ClientConfig, ConfigError
from raftsman.client.config import Impersonation, Interactive, Plugin
from raftsman.client.credentials import Credentials

VERSION = "client.authentication.k8s.io/v1"
Make = Callable[..., Credentials]


class Script:
    """A plug-in that prints `status` and counts its runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "plugin"
        self.path.write_text(f'#!/bin/sh\necho x >> {folder}/runs\nprintf %s "$KUBERNETES_EXEC_INFO" > {folder}/info\n'
                             f"cat {folder}/printed\nexit $(cat {folder}/code)\n")  # fmt: skip
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)
        self.prints({"token": "t1"})

    def prints(self, status: Any, *, code: int = 0, **extra: Any) -> None:
        body = {"apiVersion": VERSION, "kind": "ExecCredential", "status": status, **extra}
        (self.folder / "printed").write_text(json.dumps(body))
        (self.folder / "code").write_text(str(code))

    @property
    def runs(self) -> int:
        return len((self.folder / "runs").read_text().splitlines())

    def credentials(self, **plugin: Any) -> Credentials:
        plugin = {"api_version": VERSION, "command": str(self.path), "interactive": Interactive.NEVER, **plugin}
        return Credentials(ClientConfig(target="t", plugin=Plugin(**plugin), impersonate=Impersonation(user="jane")))


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


async def test_a_token_is_kept_until_it_is_refused(script: Script) -> None:
    credentials = script.credentials(cluster={"server": "https://s"})
    first, _ = await asyncio.gather(credentials.identity(), credentials.identity())
    assert first.metadata == (("authorization", "Bearer t1"), ("impersonate-user", "jane"))
    assert (script.runs, credentials.at_hand) == (1, first)
    info = json.loads((script.folder / "info").read_text())
    assert (info["apiVersion"], info["spec"]) == (VERSION, {"interactive": False, "cluster": {"server": "https://s"}})
    script.prints({"token": "t2"})
    assert credentials.refused(first)
    assert (await credentials.identity()).metadata[0] == ("authorization", "Bearer t2")


async def test_what_has_expired_is_asked_for_again(script: Script) -> None:
    credentials = script.credentials()
    script.prints({"token": "old", "expirationTimestamp": "2020-01-01T00:00:00Z"})
    await credentials.identity()
    assert credentials.at_hand is None
    script.prints({"token": "new", "expirationTimestamp": "2120-01-01T00:00:00Z"})
    await credentials.identity()
    assert credentials.at_hand is not None
    assert script.runs == 2


async def test_a_certificate_is_for_the_channel(script: Script) -> None:
    script.prints({"clientCertificateData": "CERT", "clientKeyData": "KEY"})
    found = await script.credentials().identity()
    assert (found.certificate, found.key) == (b"CERT", b"KEY")


@pytest.mark.parametrize(
    ("status", "extra", "said"),
    [
        ({}, {}, "neither a token nor a certificate"),
        ({"clientKeyData": "K"}, {}, "go together"),
        (None, {}, "has no status"),
        ({"token": "t"}, {"apiVersion": "client.authentication.k8s.io/v1beta1"}, "it printed apiVersion"),
        ({"token": "t"}, {"kind": "Token"}, "is no ExecCredential"),
        ({"token": "t", "expirationTimestamp": "soon"}, {}, "expirationTimestamp"),
        ({"token": "t"}, {"code": 3}, "failed with exit code 3"),
    ],
)
async def test_what_is_wrong_with_a_plug_in_is_said(script: Script, status: Any, extra: Any, said: str) -> None:
    script.prints(status, **extra)
    with pytest.raises(ConfigError, match=said):
        await script.credentials().identity()


async def test_a_program_that_is_not_there_comes_with_its_hint(script: Script) -> None:
    with pytest.raises(ConfigError, match="No such file or directory\nget it at home"):
        await script.credentials(command="/none/there", install_hint="get it at home").identity()


async def test_one_that_must_talk_to_somebody_needs_a_terminal(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(ConfigError, match="needs a terminal"):
        await script.credentials(interactive=Interactive.ALWAYS).identity()


async def test_a_token_file_is_read_again_when_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("a\n")
    credentials = Credentials(ClientConfig(target="t", token_file=path))
    first = await credentials.identity()
    path.write_text("b\n")
    assert credentials.at_hand == first
    assert credentials.refused(first)
    assert (await credentials.identity()).metadata == (("authorization", "Bearer b"),)


def test_nothing_secret_is_printed(script: Script) -> None:
    assert "secret" not in repr(Plugin(api_version=VERSION, command="c", environment=(("TOKEN", "secret"),)))
