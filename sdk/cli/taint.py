"""`taint`: keep pods off nodes unless they tolerate it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from raftsman import codec, errors, selectors
from raftsman.core import v1 as core

from . import failure
from .output import with_dry_run
from .session import Session
from .verb import Failure, flag, verb
from .writing import options_of, suffix

ATTEMPTS_MAX = 5
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@verb()
@click.argument("words", nargs=-1, metavar="node NAME… KEY=VALUE:EFFECT… KEY[:EFFECT]-…")
@click.option("-l", "--selector", default="", help="The nodes with these labels.")
@flag("--all", help="All nodes.")
@flag("--overwrite", help="Also change a taint that has another value.")
@with_dry_run
async def taint(
    session: Session, words: tuple[str, ...], selector: str, all: bool, overwrite: bool, dry_run: str
) -> None:
    """Set and remove taints: `taint nodes n1 dedicated=db:NoSchedule`, `taint nodes n1 dedicated-`."""
    names = [word for word in words if not _is_change(word)]
    if not names or names[0] not in ("node", "nodes", "no"):
        raise Failure("taints are of nodes: `taint nodes NAME KEY=VALUE:EFFECT`")
    changes = [_parsed(word) for word in words if _is_change(word)]
    if not changes:
        raise Failure("at least one taint update is required")
    if selector or all:
        names = [n.metadata.name for n in (await session.client.list(core.Node, label_selector=selector)).items]
    else:
        names = names[1:]
    for name in names:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                await _taint(session, name, changes, dry_run, overwrite=overwrite)
            except errors.ApiError as error:
                # A node's status changes all the time; the list of taints is replaced as a whole and must be current.
                if isinstance(error, errors.Conflict) and attempt < ATTEMPTS_MAX:
                    continue
                session.fail(failure.text(error))
            break


def _is_change(word: str) -> bool:
    return ":" in word or "=" in word or word.endswith("-")


def _parsed(word: str) -> tuple[str, str, str, bool]:
    """(key, value, effect, whether it is removed)."""
    removed = word.endswith("-")
    body, _, effect = word.removesuffix("-").partition(":")
    key, _, value = body.partition("=")
    problem = selectors.key_problem(key) or selectors.value_problem(value)
    if problem:
        raise Failure(f"invalid taint spec: {word}: {problem}")
    if effect not in EFFECTS and not (removed and not effect):
        raise Failure(f"invalid taint spec: {word}: the effect must be one of {', '.join(EFFECTS)}")
    return key, value, effect, removed


async def _taint(
    session: Session, name: str, changes: Sequence[tuple[str, str, str, bool]], dry_run: str, *, overwrite: bool
) -> None:
    node = await session.client.get(core.Node, name)
    taints: list[dict[str, Any]] = [codec.to_json(t) for t in node.spec.taints]
    for key, value, effect, removed in changes:
        same = [t for t in taints if t["key"] == key and effect in ("", t["effect"])]
        if removed and not same:
            session.fail(f'error: taint "{key}{":" + effect if effect else ""}" not found')
            return
        if not removed and any(t.get("value", "") != value for t in same) and not overwrite:
            session.fail(f"error: node {name} already has the taint {key} and --overwrite is false")
            return
        taints = [t for t in taints if t not in same]
        if not removed:
            taints.append({"key": key, "effect": effect, **({"value": value} if value else {})})
    if dry_run != "client":
        change = {"metadata": {"resourceVersion": node.metadata.resource_version}, "spec": {"taints": taints or None}}
        await session.client.patch(core.Node, name, change, options=options_of(dry_run))
    only_removed = all(change[3] for change in changes)
    session.say(f"node/{name} {'untainted' if only_removed else 'tainted'}{suffix(dry_run)}")
