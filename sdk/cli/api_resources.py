"""`api-resources` and `api-versions`: the kinds that are served, and their groups and versions."""

from __future__ import annotations

import sys

import click
from raftsman import custom, resources
from raftsman.printers import Writer
from raftsman.resources import Resource

from .session import Session
from .verb import flag, verb


@verb("api-resources")
@flag("--no-headers", help="Without the line of headers.")
@click.option("--namespaced", type=bool, default=None, help="Only those with, or without, namespaces.")
@click.option("--api-group", default=None, help="Only of this group.")
@click.option("-o", "--output", type=click.Choice(["", "wide", "name"]), default="", help="wide or name.")
async def api_resources(
    session: Session, no_headers: bool, namespaced: bool | None, api_group: str | None, output: str
) -> None:
    """Print the kinds that are served, with their short names."""
    await custom.learn(session.client)
    found = [
        r for r in sorted((*resources.served(), *resources.custom()), key=lambda r: (r.group, r.name))
        if namespaced in (None, r.namespaced) and api_group in (None, r.group)
    ]  # fmt: skip
    if output == "name":
        for resource in found:
            session.say(resource.qualified)
        return
    wide = output == "wide"
    head = ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND", *(["VERBS", "CATEGORIES"] if wide else [])]
    Writer(sys.stdout).write([*([] if no_headers else [head]), *(_row(r, wide) for r in found)])


def _row(resource: Resource, wide: bool) -> list[str]:
    facts = resource.facts
    row = [resource.name, ",".join(facts.short_names), resource.api_version, str(resource.namespaced).lower(),
           resource.kind]  # fmt: skip
    return [*row, ",".join(facts.verbs), ",".join(facts.categories)] if wide else row


@verb("api-versions")
async def api_versions(session: Session) -> None:
    """Print the groups and versions that are served."""
    for version in sorted({resource.api_version for resource in resources.served()}):
        session.say(version)
