"""`run`: one pod from flags."""

from __future__ import annotations

from typing import Any

import click

from . import output
from .create import described, made
from .session import Session
from .verb import Failure, Globals, Verb, after_dashes, flag, run_async


@click.command("run", cls=Verb)
@click.argument("name")
@click.option("--image", required=True, help="The container's image.")
@click.option("--image-pull-policy", default="", help="When the image is pulled.")
@click.option("--env", "variables", multiple=True, metavar="NAME=VALUE", help="An environment variable.")
@click.option("-l", "--labels", default="", metavar="KEY=VALUE,…", help="The pod's labels; run=NAME if none are given.")
@click.option("--annotations", multiple=True, metavar="KEY=VALUE", help="An annotation.")
@click.option("--port", type=int, help="The port that the container listens on.")
@flag("--expose", help="Make a service for that port too.")
@click.option(
    "--restart", type=click.Choice(["Always", "OnFailure", "Never"]), default="Always", help="Restart policy."
)
@flag("--command", help="What follows -- is the command, not its arguments.")
@flag("-i", "--stdin", help="Keep stdin open for the container.")
@flag("-t", "--tty", help="Give the container a terminal.")
@flag("--privileged", help="Run it privileged.")
@output.with_output
@output.with_dry_run
@click.pass_context
def run(ctx: click.Context, /, **given: Any) -> int | None:
    """Run one pod: `run shell --image=busybox -- sleep 60`. `attach` and `logs` show what it does."""
    return run_async(_run, ctx.ensure_object(Globals), (after_dashes(ctx),), given)


async def _run(
    session: Session, words: list[str], *, name: str, image: str, image_pull_policy: str, variables: tuple[str, ...],
    labels: str, annotations: tuple[str, ...], port: int | None, expose: bool, restart: str, command: bool, stdin: bool,
    tty: bool, privileged: bool, output: str, dry_run: str,
) -> None:  # fmt: skip
    if expose and not port:
        raise Failure("--port must be set when exposing a service")
    chosen = _pairs(labels.split(",") if labels else (), "--labels") or {"run": name}
    container: dict[str, Any] = {"name": name, "image": image}
    if words:
        container["command" if command else "args"] = words
    if variables:
        container["env"] = [{"name": key, "value": value} for key, value in _pairs(variables, "--env").items()]
    if port:
        container["ports"] = [{"containerPort": port}]
    optional = {
        "imagePullPolicy": image_pull_policy, "stdin": stdin, "stdinOnce": stdin, "tty": tty,
        "securityContext": {"privileged": True} if privileged else None,
    }  # fmt: skip
    container |= {key: value for key, value in optional.items() if value}
    pod = described("v1", "Pod", name, spec={"containers": [container], "restartPolicy": restart})
    pod["metadata"]["labels"] = chosen
    if annotations:
        pod["metadata"]["annotations"] = _pairs(annotations, "--annotations")
    if expose:
        ports = [{"port": port, "protocol": "TCP", "targetPort": port}]
        await made(
            session, described("v1", "Service", name, spec={"ports": ports, "selector": chosen}), (output, dry_run)
        )
    await made(session, pod, (output, dry_run))


def _pairs(given: Any, what: str) -> dict[str, str]:
    parts = [pair.partition("=") for pair in given]
    if not all(key and equals for key, equals, _ in parts):
        raise Failure(f"{what}: it is KEY=VALUE")
    return {key: value for key, _, value in parts}
