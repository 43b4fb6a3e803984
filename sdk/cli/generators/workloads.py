"""`create job` and `create cronjob`."""

from __future__ import annotations

from typing import Any

import click

from .. import output  # noqa: TID252
from ..create import described, made  # noqa: TID252
from ..session import Session  # noqa: TID252
from ..verb import Failure, Globals, Group, Verb, after_dashes, run_async  # noqa: TID252


def _template(name: str, image: str, command: list[str], restart: str) -> dict[str, Any]:
    container: dict[str, Any] = {"name": name, "image": image}
    if command:
        container["command"] = command
    return {"spec": {"template": {"spec": {"containers": [container], "restartPolicy": restart}}}}


@click.command("job", cls=Verb)
@click.argument("name")
@click.option("--image", default="", help="The container's image.")
@click.option("--from", "source", default="", metavar="cronjob/NAME", help="The template of a cron job.")
@output.with_output
@output.with_dry_run
@click.pass_context
def job(ctx: click.Context, /, **given: Any) -> int | None:
    """A job of one image, or from a cron job; words after -- are its command."""
    return run_async(_job, ctx.ensure_object(Globals), (after_dashes(ctx),), given)


async def _job(
    session: Session, command: list[str], *, name: str, image: str, source: str, output: str, dry_run: str
) -> None:
    if bool(image) == bool(source):
        raise Failure("either --image or --from must be specified, and not both")
    if source and command:
        raise Failure("cannot specify --from and command")
    fields = await _from_cron_job(session, source) if source else _template(name, image, command, "Never")
    metadata = fields.pop("metadata", {})
    value = described("batch/v1", "Job", name, **fields)
    value["metadata"] |= metadata
    await made(session, value, (output, dry_run))


async def _from_cron_job(session: Session, source: str) -> dict[str, Any]:
    """The job that a cron job would start now; it belongs to it."""
    from raftsman import codec, metadata
    from raftsman.batch import v1 as batch

    kind, slash, name = source.partition("/")
    if not slash or kind not in ("cronjob", "cronjobs", "cj", "cronjob.batch", "cronjobs.batch"):
        raise Failure(f"--from {source}: it is cronjob/NAME")
    found = await session.client.get(batch.CronJob, name, namespace=session.namespace)
    template = codec.to_json(found.spec.job_template)
    inner = template.get("metadata") or {}
    annotations = {**(inner.get("annotations") or {}), "cronjob.kubernetes.io/instantiate": "manual"}
    owner = codec.to_json(metadata.owner_reference(found))
    owner.pop("blockOwnerDeletion", None)
    own: dict[str, Any] = {"annotations": annotations, "ownerReferences": [owner], "namespace": session.namespace}
    if inner.get("labels"):
        own["labels"] = inner["labels"]
    return {"metadata": own, "spec": template["spec"]}


@click.command("cronjob", cls=Verb)
@click.argument("name")
@click.option("--image", required=True, help="The container's image.")
@click.option("--schedule", required=True, help="When: five fields of cron, or @daily and the like.")
@click.option("--restart", type=click.Choice(["OnFailure", "Never"]), default="OnFailure", help="Its restart policy.")
@output.with_output
@output.with_dry_run
@click.pass_context
def cronjob(ctx: click.Context, /, **given: Any) -> int | None:
    """A cron job of one image; words after -- are its command."""
    return run_async(_cronjob, ctx.ensure_object(Globals), (after_dashes(ctx),), given)


async def _cronjob(
    session: Session, command: list[str], *, name: str, image: str, schedule: str, restart: str, output: str,
    dry_run: str,
) -> None:  # fmt: skip
    spec = {"schedule": schedule, "jobTemplate": _template(name, image, command, restart)}
    await made(session, described("batch/v1", "CronJob", name, spec=spec), (output, dry_run))


def add(create: click.Group, secret: Group) -> None:
    for command, alias in ((job, "jobs"), (cronjob, "cj")):
        create.add_command(command)
        create.add_command(command, alias)
