"""`cluster-info`: where the cluster's services are; `cluster-info dump`: what is in it, to look for a fault."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from raftsman import codec, errors, resources

from .session import Session
from .verb import GLOBAL_OPTIONS, Globals, Group, flag, run_async, verb

KINDS = ("events", "replicationcontrollers", "services", "daemonsets", "deployments", "replicasets", "pods")
LOG_LINES = 1000


@click.group("cluster-info", cls=Group, invoke_without_command=True, params=GLOBAL_OPTIONS())
@click.pass_context
def cluster_info(ctx: click.Context) -> int | None:
    """Print where the API server and the services of the cluster are."""
    if ctx.invoked_subcommand is not None:
        return None
    return run_async(_addresses, ctx.ensure_object(Globals), (), {})


async def _addresses(session: Session) -> None:
    from raftsman.core import v1 as core

    await session.client.version()
    server = f"https://{session.client.config.target}"
    session.say(f"Raftsman control plane is running at {server}")
    found = await session.client.list(
        core.Service, namespace="kube-system", label_selector="kubernetes.io/cluster-service=true"
    )
    for service in found.items:
        name = service.metadata.labels.get("kubernetes.io/name", service.metadata.name)
        session.say(f"{name} is running at {service.spec.cluster_ip}:{service.spec.ports[0].port}")


@verb("dump")
@click.option(
    "--namespaces", default="", metavar="NAME,…", help="Of these namespaces; default and kube-system if none."
)
@flag("-A", "--all-namespaces", help="Of all namespaces.")
@click.option("--output-directory", default="-", metavar="FOLDER", help="Into files of a folder; - is stdout.")
async def dump(session: Session, namespaces: str, all_namespaces: bool, output_directory: str) -> None:
    """Print nodes, and of each namespace its workloads, events and logs."""
    from raftsman.core import v1 as core

    _put(output_directory, "nodes.json", _listed(await session.client.list(core.Node)))
    names = [name for name in namespaces.split(",") if name] or ["kube-system", "default"]
    if all_namespaces:
        names = [found.metadata.name for found in (await session.client.list(core.Namespace)).items]
    for name in names:
        for kind in KINDS:
            resource = resources.find(kind)
            if resource is not None and resource.service:
                found = await session.client.list(resource.message, namespace=name)
                _put(output_directory, f"{name}/{kind}.json", _listed(found))
        await _logs(session, name, output_directory)


async def _logs(session: Session, namespace: str, folder: str) -> None:
    from raftsman.core import v1 as core

    for pod in (await session.client.list(core.Pod, namespace=namespace)).items:
        text = f"==== START logs for pod {namespace}/{pod.metadata.name} ====\n"
        for container in pod.spec.containers:
            try:
                async for data in session.client.logs(
                    pod.metadata.name, namespace=namespace, container=container.name, tail_lines=LOG_LINES
                ):
                    text += data.decode("utf-8", "replace")
            except errors.ApiError as error:
                text += f"Request log error: {error.message}\n"
        text += f"==== END logs for pod {namespace}/{pod.metadata.name} ====\n"
        _put(folder, f"{namespace}/{pod.metadata.name}/logs.txt", text)


def _listed(found: Any) -> str:
    return json.dumps(codec.to_json(found), indent=4) + "\n"


def _put(folder: str, name: str, text: str) -> None:
    if folder == "-":
        sys.stdout.write(text)
        return
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


cluster_info.add_command(dump)
