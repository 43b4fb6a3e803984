"""`create quota`, `poddisruptionbudget`, `priorityclass`."""

from __future__ import annotations

from typing import Any

import click

from .. import output  # noqa: TID252
from ..create import described, made  # noqa: TID252
from ..session import Session  # noqa: TID252
from ..verb import Failure, Group, flag, verb  # noqa: TID252


@verb("quota")
@click.argument("name")
@click.option("--hard", default="", metavar="RESOURCE=QUANTITY,…", help="The limits.")
@click.option("--scopes", default="", metavar="SCOPE,…", help="For which objects.")
@output.with_output
@output.with_dry_run
async def quota(session: Session, name: str, hard: str, scopes: str, output: str, dry_run: str) -> None:
    """A resource quota."""
    spec: dict[str, Any] = {}
    pairs = [pair.partition("=") for pair in hard.split(",") if pair]
    if not all(equals and value for _, equals, value in pairs):
        raise Failure(f"--hard {hard}: it is RESOURCE=QUANTITY, with commas for several")
    if pairs:
        spec["hard"] = {key: value for key, _, value in pairs}
    if scopes:
        spec["scopes"] = scopes.split(",")
    await made(session, described("v1", "ResourceQuota", name, spec=spec), (output, dry_run))


@verb("poddisruptionbudget")
@click.argument("name")
@click.option("--selector", required=True, help="The pods: a=b,c in (d,e).")
@click.option("--min-available", default="", metavar="NUMBER|PERCENT", help="How many must stay.")
@click.option("--max-unavailable", default="", metavar="NUMBER|PERCENT", help="How many may go.")
@output.with_output
@output.with_dry_run
async def poddisruptionbudget(
    session: Session, name: str, selector: str, min_available: str, max_unavailable: str, output: str, dry_run: str
) -> None:
    """A pod disruption budget."""
    if bool(min_available) == bool(max_unavailable):
        raise Failure("one of min-available or max-unavailable must be specified, and not both")
    field, value = ("minAvailable", min_available) if min_available else ("maxUnavailable", max_unavailable)
    amount: int | str = int(value) if value.isdigit() else value
    spec = {field: amount, "selector": _label_selector(selector)}
    await made(session, described("policy/v1", "PodDisruptionBudget", name, spec=spec), (output, dry_run))


def _label_selector(text: str) -> dict[str, Any]:
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(key and equals and "(" not in text for key, equals, _ in pairs):
        raise Failure(f"--selector {text}: only KEY=VALUE, with commas for several")
    return {"matchLabels": {key: value.removeprefix("=") for key, _, value in pairs}}


@verb("priorityclass")
@click.argument("name")
@click.option("--value", type=int, required=True, help="The priority.")
@flag("--global-default", help="Of pods that name no class.")
@click.option("--description", default="", help="When to use it.")
@click.option(
    "--preemption-policy", type=click.Choice(["PreemptLowerPriority", "Never"]), default="PreemptLowerPriority",
    help="Whether pods of less priority make room.",
)  # fmt: skip
@output.with_output
@output.with_dry_run
async def priorityclass(
    session: Session, name: str, value: int, global_default: bool, description: str, preemption_policy: str,
    output: str, dry_run: str,
) -> None:  # fmt: skip
    """A priority class."""
    fields = {
        "value": value, "globalDefault": global_default, "description": description,
        "preemptionPolicy": preemption_policy,
    }  # fmt: skip
    await made(session, described("scheduling.k8s.io/v1", "PriorityClass", name, **fields), (output, dry_run))


def add(create: click.Group, secret: Group) -> None:
    for command, alias in ((quota, "resourcequota"), (poddisruptionbudget, "pdb"), (priorityclass, "pc")):
        create.add_command(command)
        create.add_command(command, alias)
