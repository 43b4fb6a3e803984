"""`autoscale`: a horizontal pod autoscaler for something that scales."""

from __future__ import annotations

from typing import Any

import click

from . import output, targets
from .create import described, made
from .session import Session
from .verb import Failure, verb


@verb()
@click.argument("words", nargs=-1, metavar="TYPE/NAME")
@targets.with_files
@click.option("--min", "least", type=int, default=0, help="At least so many pods.")
@click.option("--max", "most", type=int, required=True, help="At most so many pods.")
@click.option("--cpu-percent", type=int, default=0, help="The wanted share of the requested CPU.")
@click.option("--name", default="", help="The autoscaler's name; that of the object if not given.")
@output.with_output
@output.with_dry_run
async def autoscale(
    session: Session, words: tuple[str, ...], filenames: tuple[str, ...], recursive: bool, least: int, most: int,
    cpu_percent: int, name: str, output: str, dry_run: str,
) -> None:  # fmt: skip
    """Let the number of pods follow their load: `autoscale deployment/web --max=5 --cpu-percent=80`."""
    if most < 1 or least > most:
        raise Failure("--max=MAXPODS must be at least 1 and not less than --min")
    for target, obj in await targets.selected(session, words, filenames, recursive=recursive):
        resource = target.resource
        if not hasattr(getattr(obj, "spec", None), "replicas"):
            raise Failure(f"cannot autoscale a {resource.qualified}: it has no replicas")
        reference = {"apiVersion": resource.api_version, "kind": resource.kind, "name": target.name}
        spec: dict[str, Any] = {"scaleTargetRef": reference, "maxReplicas": most}
        if least > 0:
            spec["minReplicas"] = least
        if cpu_percent > 0:
            aim = {"type": "Utilization", "averageUtilization": cpu_percent}
            spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": aim}}]
        value = described("autoscaling/v2", "HorizontalPodAutoscaler", name or target.name, spec=spec)
        value["metadata"]["namespace"] = target.namespace
        await made(session, value, (output, dry_run), done="autoscaled")
