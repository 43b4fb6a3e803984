"""`events`: what happened, oldest first."""

from __future__ import annotations

import contextlib
import sys
from datetime import UTC, datetime

import click
from raftsman.core import v1 as core
from raftsman.printers import Writer, cluster

from . import targets
from .session import Session
from .verb import flag, verb

_HEADERS = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]


@verb()
@flag("-A", "--all-namespaces", help="In all namespaces.")
@flag("-w", "--watch", help="Then print what happens.")
@flag("--no-headers", help="Without the line of headers.")
@click.option("--for", "about", default="", metavar="TYPE/NAME", help="Only what is about this object.")
@click.option("--types", default="", help="Only these types: Normal,Warning.")
async def events(session: Session, all_namespaces: bool, watch: bool, no_headers: bool, about: str, types: str) -> None:
    """Print events, the last one last."""
    namespace = "" if all_namespaces else session.namespace
    fields = ""
    if about:
        target = targets.one((about,), namespace)
        fields = f"involvedObject.kind={target.resource.kind},involvedObject.name={target.name}"
    kinds = {word.strip().lower() for word in types.split(",") if word.strip()}
    listed = await session.client.list(core.Event, namespace=namespace, field_selector=fields)
    found = sorted((e for e in listed.items if _wanted(e, kinds)), key=cluster.event_time_s)
    writer = Writer(sys.stdout)
    head = ["NAMESPACE", *_HEADERS] if all_namespaces else _HEADERS
    if found or watch:
        rows = [_row(event, all_namespaces) for event in found]
        writer.write([*([] if no_headers else [head]), *rows])
    else:
        session.note("No events found." if all_namespaces else f"No events found in {session.namespace} namespace.")
    if not watch:
        return
    stream = session.client.watch(
        core.Event, namespace=namespace, field_selector=fields, resource_version=listed.metadata.resource_version
    )
    async with contextlib.aclosing(stream):
        async for change in stream:
            if change.type.name != "DELETED" and _wanted(change.object, kinds):
                writer.write([_row(change.object, all_namespaces)])


def _wanted(event: core.Event, kinds: set[str]) -> bool:
    return not kinds or event.type.lower() in kinds


def _row(event: core.Event, with_namespace: bool) -> list[str]:
    now = datetime.now(UTC)
    count = event.series.count if event.HasField("series") else event.count
    seen = cluster.event_last_seen(event, now)
    if count > 1 and event.first_timestamp.seconds:
        seen += f" (x{count} over {cluster.event_first_seen(event, now)})"
    head = [event.metadata.namespace] if with_namespace else []
    return [*head, seen, event.type, event.reason, f"{event.involved_object.kind}/{event.involved_object.name}",
            event.message.strip()]  # fmt: skip
