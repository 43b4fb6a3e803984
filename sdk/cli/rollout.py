"""`rollout`: follow, inspect and steer the rollouts of deployments."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
from raftsman import codec, errors, selectors
from raftsman.apps import v1 as apps
from raftsman.metadata import is_controlled_by

from . import failure, targets
from .output import with_dry_run
from .session import Session
from .targets import Target
from .verb import Duration, Failure, flag, group, verb
from .writing import options_of, suffix

REVISION = "deployment.kubernetes.io/revision"
CHANGE_CAUSE = "kubernetes.io/change-cause"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
HASH_LABEL = "pod-template-hash"

rollout = group("rollout", "Follow and steer the rollouts of deployments.")


async def _deployments(
    session: Session, words: Sequence[str], filenames: Sequence[str] = (), selector: str = "", *,
    recursive: bool = False,
) -> list[tuple[Target, Any]]:  # fmt: skip
    every = bool(selector)
    found = await targets.selected(session, words, filenames, recursive=recursive, selector=selector, every=every)
    for target, _ in found:
        if target.resource.message is not apps.Deployment:
            raise Failure(f"{target} has no rollouts: only deployments have them")
    return found


@rollout.add
@verb()
@click.argument("words", nargs=-1, metavar="deployment/NAME")
@targets.with_files
@click.option("-l", "--selector", default="", help="Of the deployments with these labels.")
@click.option("--timeout", type=Duration(), default=0.0, help="How long to wait; 0: as long as it takes.")
@click.option("--revision", type=int, default=0, help="Fail if another revision has begun.")
@flag("-w", "--watch", default=True, help="Follow until the rollout is done.")
async def status(
    session: Session, words: tuple[str, ...], filenames: tuple[str, ...], recursive: bool, selector: str,
    timeout: float, revision: int, watch: bool,
) -> None:  # fmt: skip
    """Follow a rollout until it is done."""
    for target, obj in await _deployments(session, words, filenames, selector, recursive=recursive):
        try:
            async with asyncio.timeout(timeout or None):
                await _follow(session, target, obj, revision, watch=watch)
        except TimeoutError:
            session.fail(f"error: timed out waiting for the rollout of {target}")


async def _follow(session: Session, target: Target, obj: Any, revision: int, *, watch: bool) -> None:
    done, said = progress(obj, revision)
    session.say(said)
    if done or not watch:
        return
    events = session.client.watch(
        apps.Deployment, namespace=target.namespace, field_selector=f"metadata.name={target.name}",
        resource_version=obj.metadata.resource_version,
    )  # fmt: skip
    async with contextlib.aclosing(events):
        async for event in events:
            if event.type.name == "DELETED":
                raise Failure("object has been deleted")
            done, now = progress(event.object, revision)
            if now != said:
                session.say(now)
                said = now
            if done:
                return


def progress(obj: apps.Deployment, revision: int = 0) -> tuple[bool, str]:
    """(whether the rollout is done, the sentence that says how far it is). Failure if it will not be done."""
    name, status = obj.metadata.name, obj.status
    at = int(obj.metadata.annotations.get(REVISION) or 0)
    if revision and at and revision != at:
        raise Failure(f"desired revision ({revision}) is different from the running revision ({at})")
    if obj.metadata.generation > status.observed_generation:
        return False, "Waiting for deployment spec update to be observed..."
    if any(c.type == "Progressing" and c.reason == "ProgressDeadlineExceeded" for c in status.conditions):
        raise Failure(f'deployment "{name}" exceeded its progress deadline')
    wanted = obj.spec.replicas if obj.spec.HasField("replicas") else 1
    waiting = f'Waiting for deployment "{name}" rollout to finish: '
    if status.updated_replicas < wanted:
        return False, f"{waiting}{status.updated_replicas} out of {wanted} new replicas have been updated..."
    if status.replicas > status.updated_replicas:
        return False, f"{waiting}{status.replicas - status.updated_replicas} old replicas are pending termination..."
    if status.available_replicas < status.updated_replicas:
        return False, (
            f"{waiting}{status.available_replicas} of {status.updated_replicas} updated replicas are available..."
        )
    return True, f'deployment "{name}" successfully rolled out'


async def revisions(session: Session, obj: apps.Deployment) -> dict[int, apps.ReplicaSet]:
    """The replica sets of a deployment by revision, oldest first."""
    listed = await session.client.list(
        apps.ReplicaSet, namespace=obj.metadata.namespace,
        label_selector=str(selectors.from_label_selector(obj.spec.selector)),
    )  # fmt: skip
    owned = [rs for rs in listed.items if is_controlled_by(rs, obj)]
    found = {int(rs.metadata.annotations.get(REVISION) or 0): rs for rs in owned}
    return dict(sorted(found.items()))


@rollout.add
@verb()
@click.argument("words", nargs=-1, metavar="deployment/NAME")
@targets.with_files
@click.option("-l", "--selector", default="", help="Of the deployments with these labels.")
@click.option("--revision", type=int, default=0, help="Print what this revision consists of.")
async def history(
    session: Session, words: tuple[str, ...], filenames: tuple[str, ...], recursive: bool, selector: str, revision: int
) -> None:
    """Print a deployment's revisions."""
    import sys

    from raftsman.printers import Writer

    for target, obj in await _deployments(session, words, filenames, selector, recursive=recursive):
        found = await revisions(session, obj)
        if revision:
            _say_revision(session, target, found, revision)
            continue
        session.say(f"{target} ")
        causes = [[str(n), rs.metadata.annotations.get(CHANGE_CAUSE) or "<none>"] for n, rs in found.items()]
        writer = Writer(sys.stdout, [len("REVISION") - 1])
        writer.write([["REVISION", "CHANGE-CAUSE"], *causes])
        session.say("")


def _say_revision(session: Session, target: Target, found: dict[int, apps.ReplicaSet], revision: int) -> None:
    from .describe import templates

    if revision not in found:
        raise Failure(f"unable to find the specified revision {revision}")
    session.say(f"{target} with revision #{revision}")
    session.say(templates.pod_template(found[revision].spec.template))


@rollout.add
@verb()
@click.argument("words", nargs=-1, metavar="deployment/NAME")
@targets.with_files
@click.option("-l", "--selector", default="", help="Of the deployments with these labels.")
@click.option("--to-revision", type=int, default=0, help="The revision to go back to; 0: the one before.")
@with_dry_run
async def undo(
    session: Session, words: tuple[str, ...], filenames: tuple[str, ...], recursive: bool, selector: str,
    to_revision: int, dry_run: str,
) -> None:  # fmt: skip
    """Go back to an earlier revision."""
    for target, obj in await _deployments(session, words, filenames, selector, recursive=recursive):
        if obj.spec.paused:
            raise Failure(f'you cannot rollback a paused deployment; resume it first with "rollout resume {target}"')
        found = await revisions(session, obj)
        number = to_revision or _previous(found)
        if number not in found:
            raise Failure(f"unable to find specified revision {number} in history")
        template = codec.to_json(found[number].spec.template)
        template.get("metadata", {}).get("labels", {}).pop(HASH_LABEL, None)
        if template == codec.to_json(obj.spec.template):
            session.say(f"{target} skipped rollback (current template already matches revision {number})")
            continue
        # The template as a whole goes back: a merge would keep what was added since.
        change = [{"op": "replace", "path": "/spec/template", "value": template}]
        cause = found[number].metadata.annotations.get(CHANGE_CAUSE)
        if cause:
            change.append({"op": "add", "path": "/metadata/annotations/kubernetes.io~1change-cause", "value": cause})
        await _patch(session, target, change, "JSON", dry_run)
        session.say(f"{target} rolled back{suffix(dry_run)}")


def _previous(found: dict[int, Any]) -> int:
    numbers = list(found)
    if len(numbers) < 2:
        raise Failure("no rollout history found")
    return numbers[-2]


async def _patch(session: Session, target: Target, change: Any, kind: str, dry_run: str) -> Any:
    from raftsman.client import PatchType

    if dry_run == "client":
        return None
    return await session.client.patch(
        target.resource.message, target.name, change, namespace=target.namespace, type=PatchType[kind],
        options=options_of(dry_run),
    )  # fmt: skip


async def _each(
    session: Session, words: Sequence[str], selector: str, change: dict[str, Any], done: str, *, refuse: Any = None
) -> None:
    for target, obj in await _deployments(session, words, (), selector):
        refused = refuse(obj) if refuse else ""
        if refused:
            session.fail(f'error: {target.resource.qualified} "{target.name}" {refused}')
            continue
        try:
            await _patch(session, target, change, "STRATEGIC", "none")
        except errors.ApiError as error:
            session.fail(failure.text(error))
        else:
            session.say(f"{target} {done}")


@rollout.add
@verb()
@click.argument("words", nargs=-1, metavar="deployment/NAME")
@click.option("-l", "--selector", default="", help="Of the deployments with these labels.")
async def restart(session: Session, words: tuple[str, ...], selector: str) -> None:
    """Replace all pods by new ones."""
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    change = {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: stamp}}}}}
    await _each(session, words, selector, change, "restarted",
                refuse=lambda d: "can't be restarted while it is paused" if d.spec.paused else "")  # fmt: skip


@rollout.add
@verb()
@click.argument("words", nargs=-1, metavar="deployment/NAME")
@click.option("-l", "--selector", default="", help="Of the deployments with these labels.")
async def pause(session: Session, words: tuple[str, ...], selector: str) -> None:
    """Let changes of the template wait."""
    await _each(session, words, selector, {"spec": {"paused": True}}, "paused",
                refuse=lambda d: "is already paused" if d.spec.paused else "")  # fmt: skip


@rollout.add
@verb()
@click.argument("words", nargs=-1, metavar="deployment/NAME")
@click.option("-l", "--selector", default="", help="Of the deployments with these labels.")
async def resume(session: Session, words: tuple[str, ...], selector: str) -> None:
    """Roll changes out again."""
    await _each(session, words, selector, {"spec": {"paused": None}}, "resumed",
                refuse=lambda d: "" if d.spec.paused else "is not paused")  # fmt: skip
