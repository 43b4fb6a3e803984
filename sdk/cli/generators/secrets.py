"""`create secret tls` and `create secret docker-registry`."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import click

from .. import output  # noqa: TID252
from ..create import described, made  # noqa: TID252
from ..session import Session  # noqa: TID252
from ..verb import Failure, Group, verb  # noqa: TID252


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Failure(f"error reading {path}: {(error.strerror or '').lower()}") from None


@verb("tls")
@click.argument("name")
@click.option("--cert", required=True, metavar="FILE", help="The certificate, PEM.")
@click.option("--key", required=True, metavar="FILE", help="Its key, PEM.")
@output.with_output
@output.with_dry_run
async def tls(session: Session, name: str, cert: str, key: str, output: str, dry_run: str) -> None:
    """A certificate and its key."""
    data = {"tls.crt": _encoded(_read(cert)), "tls.key": _encoded(_read(key))}
    value = described("v1", "Secret", name, type="kubernetes.io/tls", data=data)
    await made(session, value, (output, dry_run))


@verb("docker-registry")
@click.argument("name")
@click.option("--docker-server", default="https://index.docker.io/v1/", help="The registry.")
@click.option("--docker-username", default="", help="Who logs in.")
@click.option("--docker-password", default="", help="With which password.")
@click.option("--docker-email", default="", help="And address.")
@click.option("--from-file", default="", metavar="FILE", help="A config.json of one's own instead.")
@output.with_output
@output.with_dry_run
async def docker_registry(
    session: Session, name: str, docker_server: str, docker_username: str, docker_password: str, docker_email: str,
    from_file: str, output: str, dry_run: str,
) -> None:  # fmt: skip
    """What pulls images from a registry."""
    if from_file:
        config = _read(from_file)
    elif docker_username and docker_password:
        login = {"username": docker_username, "password": docker_password}
        if docker_email:
            login["email"] = docker_email
        login["auth"] = _encoded(f"{docker_username}:{docker_password}".encode())
        config = json.dumps({"auths": {docker_server: login}}).encode()
    else:
        raise Failure("either --from-file or the combination of --docker-username and --docker-password is required")
    data = {".dockerconfigjson": _encoded(config)}
    value = described("v1", "Secret", name, type="kubernetes.io/dockerconfigjson", data=data)
    await made(session, value, (output, dry_run))


def add(create: click.Group, secret: Group) -> None:
    secret.add_command(tls)
    secret.add_command(docker_registry)
