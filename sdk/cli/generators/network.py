"""`create service clusterip|nodeport|loadbalancer|externalname` and `create ingress`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from .. import output  # noqa: TID252
from ..create import described, made  # noqa: TID252
from ..session import Session  # noqa: TID252
from ..verb import GLOBAL_OPTIONS, Failure, Group, verb  # noqa: TID252

_RULE = re.compile(
    r"(?P<host>[^/=]*)(?P<path>/[^=]*)?=(?P<service>[^:,]+):(?P<port>[^,]+)(?:,tls(?:=(?P<secret>.+))?)?"
)


def _ports(given: tuple[str, ...], node_port: int | None = None) -> list[dict[str, Any]]:
    """`80`, `80:8080` and `80:http`, as Kubernetes names and numbers them."""
    found: list[dict[str, Any]] = []
    for text in given:
        port, _, target = text.partition(":")
        target = target or port
        if not port.isdigit():
            raise Failure(f"--tcp {text}: it is PORT or PORT:TARGETPORT")
        entry: dict[str, Any] = {"name": f"{port}-{target}", "port": int(port), "protocol": "TCP"}
        found.append({**entry, "targetPort": int(target) if target.isdigit() else target})
    if node_port and found:
        found[0]["nodePort"] = node_port
    return found


def _service(kind: str, name: str) -> Callable[..., Any]:
    """The command that creates a service of one type."""

    @verb(name)
    @click.argument("name")
    @click.option("--tcp", multiple=True, metavar="PORT[:TARGET]", help="A port, and where it leads.")
    @click.option("--clusterip", default="", help="The address, or None (ClusterIP only).")
    @click.option("--node-port", type=int, help="The port on each node (NodePort only).")
    @click.option("--external-name", default="", help="The name that it stands for (ExternalName only).")
    @output.with_output
    @output.with_dry_run
    async def command(
        session: Session, name: str, tcp: tuple[str, ...], clusterip: str, node_port: int | None, external_name: str,
        output: str, dry_run: str,
    ) -> None:  # fmt: skip
        _check(kind, tcp, clusterip, node_port, external_name)
        spec: dict[str, Any] = {"type": kind, "ports": _ports(tcp, node_port), "selector": {"app": name}}
        if clusterip:
            spec["clusterIP"] = clusterip
        if external_name:
            spec["externalName"] = external_name
        value = described("v1", "Service", name, spec=spec)
        value["metadata"]["labels"] = {"app": name}
        await made(session, value, (output, dry_run))

    command.help = f"A service of type {kind}."
    return command


def _check(kind: str, tcp: tuple[str, ...], clusterip: str, node_port: int | None, external_name: str) -> None:
    if clusterip and kind != "ClusterIP":
        raise Failure("--clusterip is for services of type ClusterIP")
    if node_port and kind != "NodePort":
        raise Failure("--node-port is for services of type NodePort")
    if bool(external_name) != (kind == "ExternalName"):
        raise Failure(f"--external-name is {'required' if kind == 'ExternalName' else 'for type ExternalName'}")
    if not tcp and kind != "ExternalName" and clusterip != "None":
        raise Failure("at least one tcp port specifier must be provided")


@verb("ingress")
@click.argument("name")
@click.option("--class", "class_name", default="", help="The ingress class.")
@click.option("--rule", "rules", multiple=True, metavar="HOST/PATH=SERVICE:PORT[,tls[=SECRET]]", help="One rule.")
@click.option("--default-backend", default="", metavar="SERVICE:PORT", help="Where everything else goes.")
@click.option("--annotation", "annotations", multiple=True, metavar="KEY=VALUE", help="An annotation.")
@output.with_output
@output.with_dry_run
async def ingress(
    session: Session, name: str, class_name: str, rules: tuple[str, ...], default_backend: str,
    annotations: tuple[str, ...], output: str, dry_run: str,
) -> None:  # fmt: skip
    """An ingress."""
    if not rules and not default_backend:
        raise Failure(
            "not enough information provided: every ingress has to either specify a default-backend or a rule"
        )
    spec: dict[str, Any] = {}
    if class_name:
        spec["ingressClassName"] = class_name
    if default_backend:
        service, _, port = default_backend.partition(":")
        spec["defaultBackend"] = _backend(service, port)
    hosts: dict[str, list[Any]] = {}
    for rule in rules:
        host, path, tls = _rule(rule)
        hosts.setdefault(host, []).append(path)
        if tls is not None:
            spec.setdefault("tls", []).append(tls)
    if hosts:
        spec["rules"] = [{**({"host": h} if h else {}), "http": {"paths": paths}} for h, paths in hosts.items()]
    value = described("networking.k8s.io/v1", "Ingress", name, spec=spec)
    if annotations:
        value["metadata"]["annotations"] = dict(pair.split("=", 1) for pair in annotations if "=" in pair)
    await made(session, value, (output, dry_run))


def _rule(text: str) -> tuple[str, dict[str, Any], dict[str, Any] | None]:
    """(host, its path, its TLS entry). A path that ends in * is a prefix."""
    found = _RULE.fullmatch(text)
    if found is None:
        raise Failure(f"rule {text} is invalid and should be in format host/path=svcname:port[,tls[=secretname]]")
    path = found["path"] or "/"
    kind = "Prefix" if path.endswith("*") or not found["path"] else "Exact"
    entry = {
        "path": path.removesuffix("*") or "/",
        "pathType": kind,
        "backend": _backend(found["service"], found["port"]),
    }
    if ",tls" not in text:
        return found["host"], entry, None
    tls: dict[str, Any] = {"hosts": [found["host"]]} if found["host"] else {}
    return found["host"], entry, {**tls, **({"secretName": found["secret"]} if found["secret"] else {})}


def _backend(service: str, port: str) -> dict[str, Any]:
    where: dict[str, Any] = {"number": int(port)} if port.isdigit() else {"name": port}
    return {"service": {"name": service, "port": where}}


def add(create: click.Group, secret: Group) -> None:
    service = Group("service", help="A service.", params=GLOBAL_OPTIONS(), no_args_is_help=True)
    for kind in ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"):
        service.add_command(_service(kind, kind.lower()))  # type: ignore[arg-type]
    create.add_command(service)
    create.add_command(service, "svc")
    create.add_command(ingress)
    create.add_command(ingress, "ing")
