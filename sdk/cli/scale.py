"""`scale`: set how many pods a deployment or replica set has."""

from __future__ import annotations

import click
from raftsman import errors

from . import failure, output, targets
from .session import Session
from .targets import Target
from .verb import Duration, Failure, flag, verb
from .writing import suffix


@verb()
@click.argument("words", nargs=-1, metavar="TYPE[/NAME] [NAME]…")
@targets.with_files
@targets.with_selection
@output.with_dry_run
@flag("--all", help="All objects of the kind in the namespace.")
@click.option("--replicas", type=click.IntRange(0), required=True, help="The new number.")
@click.option("--current-replicas", type=int, default=-1, help="Only if it is this number now.")
@click.option("--resource-version", default="", help="Only if the object is at this version.")
@click.option("--timeout", type=Duration(), default=0.0, help="Wait so long until it is done; 0: do not wait.")
async def scale(
    session: Session, words: tuple[str, ...], filenames: tuple[str, ...], recursive: bool, selector: str,
    field_selector: str, dry_run: str, all: bool, replicas: int, current_replicas: int, resource_version: str,
    timeout: float,
) -> None:  # fmt: skip
    """Set the number of replicas: `scale deploy/web --replicas=3`."""
    found = await targets.selected(
        session, words, filenames, recursive=recursive, selector=selector, field_selector=field_selector, every=all
    )
    for target, _ in found:
        try:
            await _scale(session, target, replicas, current_replicas, resource_version, dry_run)
        except errors.ApiError as error:
            session.fail(failure.text(error))
            continue
        except Failure as error:
            session.fail(f"error: {error.message}")
            continue
        session.say(f"{target} scaled{suffix(dry_run)}")
        if timeout and dry_run == "none":
            await session.client.wait(
                target.resource.message, target.name,
                lambda obj: obj is None or (obj.status.observed_generation >= obj.metadata.generation
                                            and obj.status.replicas == replicas == obj.status.ready_replicas),
                namespace=target.namespace, timeout_s=timeout,
            )  # fmt: skip


async def _scale(
    session: Session, target: Target, replicas: int, expected: int, resource_version: str, dry_run: str
) -> None:
    message = target.resource.message
    current = await session.client.get_scale(message, target.name, namespace=target.namespace)
    if expected >= 0 and current.spec.replicas != expected:
        raise Failure(f"Expected replicas to be {expected}, was {current.spec.replicas}")
    if resource_version:
        current.metadata.resource_version = resource_version
    current.spec.replicas = replicas
    if dry_run != "client":
        await session.client.update_scale(message, current, dry_run=dry_run == "server")
