"""`expose`: a service for the pods of a pod, a service, a deployment, a replica set or a controller."""

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
@click.option("--port", default="", metavar="PORT,…", help="The service's ports; those of the containers if not given.")
@click.option("--target-port", default="", metavar="PORT|NAME", help="Where they lead.")
@click.option("--protocol", type=click.Choice(["TCP", "UDP", "SCTP"]), default="TCP", help="Their protocol.")
@click.option(
    "--type", "kind", type=click.Choice(["ClusterIP", "NodePort", "LoadBalancer"]), default="ClusterIP",
    help="The type of service.",
)  # fmt: skip
@click.option("--name", default="", help="The service's name; that of the object if not given.")
@click.option("--selector", default="", metavar="KEY=VALUE,…", help="The pods, if not those of the object.")
@click.option("-l", "--labels", default="", metavar="KEY=VALUE,…", help="The service's labels.")
@click.option("--cluster-ip", default="", help="Its address, or None.")
@click.option("--session-affinity", type=click.Choice(["", "None", "ClientIP"]), default="", help="None or ClientIP.")
@output.with_output
@output.with_dry_run
async def expose(
    session: Session, words: tuple[str, ...], filenames: tuple[str, ...], recursive: bool, port: str, target_port: str,
    protocol: str, kind: str, name: str, selector: str, labels: str, cluster_ip: str, session_affinity: str,
    output: str, dry_run: str,
) -> None:  # fmt: skip
    """Make a service: `expose deployment/web --port=80 --target-port=8080`."""
    for target, obj in await targets.selected(session, words, filenames, recursive=recursive):
        chosen = _pairs(selector) or _selector(target, obj)
        numbers = _numbers(port, obj, target)
        ports: list[dict[str, Any]] = []
        for number in numbers:
            to: int | str = int(target_port) if target_port.isdigit() else target_port or number
            entry: dict[str, Any] = {"port": number, "protocol": protocol, "targetPort": to}
            ports.append({"name": f"port-{len(ports) + 1}", **entry} if len(numbers) > 1 else entry)
        spec: dict[str, Any] = {"selector": chosen, "ports": ports, "type": kind}
        spec |= {"clusterIP": cluster_ip} if cluster_ip else {}
        spec |= {"sessionAffinity": session_affinity} if session_affinity else {}
        service = described("v1", "Service", name or target.name, spec=spec)
        service["metadata"]["namespace"] = target.namespace
        if found := _pairs(labels) or dict(obj.metadata.labels):
            service["metadata"]["labels"] = found
        await made(session, service, (output, dry_run), done="exposed")


def _selector(target: targets.Target, obj: Any) -> dict[str, str]:
    """Which pods belong to an object."""
    match target.resource.qualified:
        case "pods":
            found = dict(obj.metadata.labels)
        case "services" | "replicationcontrollers":
            found = dict(obj.spec.selector)
        case "deployments.apps" | "replicasets.apps":
            if obj.spec.selector.match_expressions:
                raise Failure(f"couldn't convert expressions of {target} to a map-based selector: give --selector")
            found = dict(obj.spec.selector.match_labels)
        case other:
            raise Failure(f"cannot expose a {other}")
    if not found:
        raise Failure(f"{target} has no labels and cannot be exposed")
    return found


def _numbers(port: str, obj: Any, target: targets.Target) -> list[int]:
    if port:
        if not all(part.isdigit() for part in port.split(",")):
            raise Failure(f"--port {port}: it is a number, with commas for several")
        return [int(part) for part in port.split(",")]
    if target.resource.qualified == "services":
        return [one.port for one in obj.spec.ports]
    pod = obj.spec if target.resource.qualified == "pods" else obj.spec.template.spec
    found = [one.container_port for container in pod.containers for one in container.ports]
    if not found:
        raise Failure("couldn't find port via --port flag or introspection")
    return list(dict.fromkeys(found))


def _pairs(text: str) -> dict[str, str]:
    parts = [pair.partition("=") for pair in text.split(",") if pair]
    if not all(key and equals for key, equals, _ in parts):
        raise Failure(f"{text}: it is KEY=VALUE, with commas for several")
    return {key: value for key, _, value in parts}
