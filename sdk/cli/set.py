"""`set`: change one thing of the pods that an object makes: images, environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from raftsman import errors
from raftsman.core import v1 as core

from . import failure, targets
from .output import with_dry_run
from .session import Session
from .targets import Target
from .verb import Failure, flag, group, verb
from .writing import options_of, suffix

set = group("set", "Change one thing of an object.")


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """(words that name objects, words that say a change): `deploy/web app=image KEY-`."""
    at = next((i for i, w in enumerate(words) if "=" in w or (w.endswith("-") and "/" not in w)), len(words))
    return list(words[:at]), list(words[at:])


def pod_spec(obj: Any) -> core.PodSpec:
    """The pod spec of a pod or of what has a template."""
    if isinstance(obj, core.Pod):
        return obj.spec
    template = getattr(getattr(obj, "spec", None), "template", None)
    if template is None:
        raise Failure(f"{obj.DESCRIPTOR.name} {obj.metadata.name} has no pod template")
    found: core.PodSpec = template.spec
    return found


def in_template(obj: Any, spec: dict[str, Any]) -> dict[str, Any]:
    """A patch of a pod's spec, where the object keeps one."""
    return {"spec": spec} if isinstance(obj, core.Pod) else {"spec": {"template": {"spec": spec}}}


async def change(session: Session, target: Target, patch: dict[str, Any], dry_run: str, done: str) -> None:
    """Send a strategic merge patch and say what it did."""
    from raftsman.client import PatchType

    if dry_run != "client":
        try:
            await session.client.patch(
                target.resource.message, target.name, patch, namespace=target.namespace, type=PatchType.STRATEGIC,
                options=options_of(dry_run),
            )  # fmt: skip
        except errors.ApiError as error:
            session.fail(failure.text(error))
            return
    session.say(f"{target} {done}{suffix(dry_run)}")


@set.add
@verb()
@click.argument("words", nargs=-1, metavar="TYPE/NAME CONTAINER=IMAGE…")
@click.option("-l", "--selector", default="", help="Of the objects with these labels.")
@flag("--all", help="Of all objects of the kind.")
@with_dry_run
async def image(session: Session, words: tuple[str, ...], selector: str, all: bool, dry_run: str) -> None:
    """Change the images of containers: `set image deploy/web app=shop:2`; * is every container."""
    names, assignments = split(words)
    images = dict(_pairs(assignments))
    if not images:
        raise Failure("at least one image update is required, as CONTAINER=IMAGE")
    for target, obj in await targets.selected(session, names, (), selector=selector, every=all):
        spec = pod_spec(obj)
        patch: dict[str, Any] = {}
        for field, containers in (("containers", spec.containers), ("initContainers", spec.init_containers)):
            changed = [
                {"name": c.name, "image": wanted}
                for c in containers
                if (wanted := images.get(c.name, images.get("*"))) and wanted != c.image
            ]
            if changed:
                patch[field] = changed
        known = {c.name for c in [*spec.containers, *spec.init_containers]}
        missing = [name for name in images if name != "*" and name not in known]
        if missing:
            session.fail(f'error: unable to find container named "{missing[0]}"')
        elif patch:
            await change(session, target, in_template(obj, patch), dry_run, "image updated")


def _pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    found = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key or not value:
            raise Failure(f'"{word}" is not of the form NAME=VALUE')
        found.append((key, value))
    return found


@set.add
@verb()
@click.argument("words", nargs=-1, metavar="TYPE/NAME KEY=VALUE… KEY-…")
@click.option("-l", "--selector", default="", help="Of the objects with these labels.")
@click.option("-c", "--containers", default="*", help="Of this container; *: of each.")
@flag("--all", help="Of all objects of the kind.")
@flag("--list", help="Print the environment instead.")
@with_dry_run
async def env(
    session: Session, words: tuple[str, ...], selector: str, containers: str, all: bool, list: bool, dry_run: str
) -> None:
    """Change environment variables: `set env deploy/web MODE=fast DEBUG-`."""
    names, assignments = split(words)
    if not assignments and not list:
        raise Failure("at least one environment variable must be provided, as KEY=VALUE or KEY-")
    entries: Any = [{"name": w[:-1], "$patch": "delete"} for w in assignments if w.endswith("-") and "=" not in w]
    entries += [
        {"name": key, "value": value, "valueFrom": None}
        for key, _, value in (w.partition("=") for w in assignments if "=" in w)
    ]
    for target, obj in await targets.selected(session, names, (), selector=selector, every=all):
        chosen = [c for c in pod_spec(obj).containers if containers in ("*", c.name)]
        if not chosen:
            session.fail(f'error: unable to find container named "{containers}"')
        elif list:
            _list(session, target, chosen)
        else:
            patch = {"containers": [{"name": c.name, "env": entries} for c in chosen]}
            await change(session, target, in_template(obj, patch), dry_run, "env updated")


def _list(session: Session, target: Target, containers: Sequence[core.Container]) -> None:
    for container in containers:
        session.say(f"# {target}, container {container.name}")
        for entry in container.env:
            if entry.HasField("value_from"):
                session.say(f"# {entry.name} from a reference")
            else:
                session.say(f"{entry.name}={entry.value}")
