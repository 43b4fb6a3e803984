"""`logs`: print what containers have written, and go on as they write."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from typing import Any

import click
from raftsman import errors, times
from raftsman.core import v1 as core

from . import failure, pods, targets
from .session import Session
from .verb import Duration, Failure, flag, verb

FOLLOWED_MAX = 5
SELECTED_TAIL = 10


@verb()
@click.argument("words", nargs=-1, metavar="POD | TYPE/NAME [CONTAINER]")
@flag("-f", "--follow", help="Go on as more is written.")
@flag("-p", "--previous", help="Of the container's run before this one.")
@flag("--timestamps", help="Begin each line with its time.")
@flag("--all-containers", help="Of all containers of the pod.")
@flag("--prefix", help="Begin each line with its pod and container.")
@flag("--ignore-errors", help="Go on when one container's logs cannot be read.")
@click.option("-c", "--container", default="", help="Of this container.")
@click.option("-l", "--selector", default="", help="Of the pods with these labels.")
@click.option("--tail", type=int, default=-1, help="Only the last lines; -1: all (with a selector: 10).")
@click.option("--since", type=Duration(), help="Only what is younger, as in 5m.")
@click.option("--since-time", default="", help="Only what is younger than this RFC 3339 time.")
@click.option("--limit-bytes", type=int, help="At most so many bytes.")
@click.option("--max-log-requests", default=FOLLOWED_MAX, show_default=True, help="How many containers to follow.")
async def logs(
    session: Session, words: tuple[str, ...], follow: bool, previous: bool, timestamps: bool, all_containers: bool,
    prefix: bool, ignore_errors: bool, container: str, selector: str, tail: int, since: float | None,
    since_time: str, limit_bytes: int | None, max_log_requests: int,
) -> None:  # fmt: skip
    """Print the logs of a pod's container: `logs web-1`, `logs -f deploy/web`, `logs -p -c app web-1`."""
    if since is not None and since_time:
        raise Failure("only one of --since and --since-time may be used")
    if len(words) == 2 and not container and "/" not in words[1]:
        container = words[1]
        words = words[:1]
    found = await _pods(session, words, selector)
    sources = _sources(session, found, container, every=all_containers)
    if follow and len(sources) > max_log_requests:
        raise Failure(
            f"you are attempting to follow {len(sources)} log streams, but maximum allowed concurrency is "
            f"{max_log_requests}, use --max-log-requests to increase the limit"
        )
    options: dict[str, Any] = {
        "follow": follow,
        "previous": previous,
        "timestamps": timestamps,
        "since_s": None if since is None else max(1, int(since)),
        "since_time": _since(since_time),
        "tail_lines": tail if tail >= 0 else SELECTED_TAIL if selector else None,
        "limit_bytes": limit_bytes,
    }
    printers = [_Source(session, pod, name, options, prefix, ignore_errors) for pod, name in sources]
    if not follow or len(printers) == 1:
        for printer in printers:
            await printer.print()
        return
    async with asyncio.TaskGroup() as group:
        for printer in printers:
            group.create_task(printer.print())


def _since(text: str) -> Any:
    if not text:
        return None
    from raftsman.meta import v1 as meta

    try:
        return meta.Time(seconds=times.parse_rfc3339(text)[0])
    except ValueError as error:
        raise Failure(str(error)) from None


async def _pods(session: Session, words: Sequence[str], selector: str) -> list[core.Pod]:
    if selector:
        if words:
            raise Failure("only a selector (-l) or a POD name is allowed")
        listed = await session.client.list(core.Pod, namespace=session.namespace, label_selector=selector)
        if not listed.items:
            session.note(f"No resources found in {session.namespace} namespace.")
        return list(listed.items)
    if not words:
        raise Failure("expected 'logs (POD | TYPE/NAME) [CONTAINER_NAME]'. POD or TYPE/NAME is a required argument")
    target = targets.one(words, session.namespace, default="pod")
    pod, of = await pods.of_target(session, target)
    if of > 1:
        session.note(f"Found {of} pods, using pod/{pod.metadata.name}")
    return [pod]


def _sources(session: Session, found: Sequence[core.Pod], container: str, *, every: bool) -> list[tuple[core.Pod, str]]:
    if every:
        return [(pod, name) for pod in found for name in pods.container_names(pod)]
    return [(pod, pods.container_of(session, pod, container)) for pod in found]


class _Source:
    """One container's output, whole lines at a time when there is a prefix."""

    def __init__(
        self, session: Session, pod: core.Pod, container: str, options: dict[str, Any], prefix: bool, lenient: bool
    ) -> None:
        self.session, self.pod, self.container, self.options = session, pod, container, options
        self.head = f"[pod/{pod.metadata.name}/{container}] ".encode() if prefix else b""
        self.lenient = lenient
        self.rest = b""

    async def print(self) -> None:
        meta = self.pod.metadata
        stream = self.session.client.logs(meta.name, namespace=meta.namespace, container=self.container, **self.options)
        try:
            async with contextlib.aclosing(stream) as pieces:
                async for piece in pieces:
                    self._write(piece)
        except errors.ApiError as error:
            if not self.lenient:
                raise
            self.session.fail(failure.text(error))
        if self.rest:
            _emit(self.head + self.rest + b"\n")

    def _write(self, piece: bytes) -> None:
        if not self.head:
            _emit(piece)
            return
        *lines, self.rest = (self.rest + piece).split(b"\n")
        if lines:
            _emit(b"".join(self.head + line + b"\n" for line in lines))


def _emit(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
