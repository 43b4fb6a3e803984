"""`version`: of this client and of the server."""

from __future__ import annotations

import importlib.metadata

import click

from .session import Session
from .verb import Failure, flag, verb


@verb()
@flag("--client", help="Only this client's, without asking the server.")
@click.option("-o", "--output", type=click.Choice(["", "json", "yaml"]), default="", help="yaml or json.")
async def version(session: Session, client: bool, output: str) -> None:
    """Print the versions of the client and the server."""
    found = {"clientVersion": {"gitVersion": f"v{_own()}"}}
    if not client:
        server = await session.client.version()
        found["serverVersion"] = {
            "gitVersion": server.git_version,
            "raftsmanVersion": server.raftsman_version,
            "platform": server.platform,
            "pythonVersion": server.python_version,
        }
    if output:
        from raftsman.printers import documents

        click.echo(documents.to_yaml(found) if output == "yaml" else documents.to_json(found), nl=False)
        return
    session.say(f"Client Version: v{_own()}")
    if not client:
        session.say(f"Server Version: {server.git_version} (raftsman {server.raftsman_version})")


def _own() -> str:
    try:
        return importlib.metadata.version("raftsman")
    except importlib.metadata.PackageNotFoundError as error:
        raise Failure("raftsman is not installed: its version is unknown") from error
