"""`create`: from manifests, and the few kinds that are quicker said than written."""

from __future__ import annotations

import base64
import importlib
from pathlib import Path
from typing import Any

import click
from raftsman import errors, manifests
from raftsman.resources import Resource

from . import failure, output, targets
from .apply import with_last_applied
from .session import Session
from .verb import GLOBAL_OPTIONS, Failure, Globals, Group, Verb, after_dashes, flag, run_async, verb
from .writing import check_written, options_of, suffix, with_validation


@click.group(cls=Group, invoke_without_command=True)
@targets.with_files
@output.with_output
@output.with_dry_run
@with_validation
@flag("--save-config", help="Keep the manifest in the annotation that apply reads.")
@click.pass_context
def create(
    ctx: click.Context, filenames: tuple[str, ...], recursive: bool, output: str, dry_run: str, validate: str,
    save_config: bool,
) -> int | None:  # fmt: skip
    """Create objects from manifests: `create -f file.yaml`, `create namespace shop`."""
    if ctx.invoked_subcommand is not None:
        return None
    arguments = (filenames, recursive, output, dry_run, validate, save_config)
    return run_async(_from_files, ctx.ensure_object(Globals), arguments, {})


async def _from_files(
    session: Session, filenames: tuple[str, ...], recursive: bool, output: str, dry_run: str, validate: str,
    save_config: bool,
) -> None:  # fmt: skip
    for document in await targets.documents_of(session, filenames, recursive=recursive):
        try:
            await _create(session, document, output, dry_run, validate, save_config=save_config)
        except Failure as error:
            session.fail(f"error: {error.message}")
        except errors.Unavailable:
            raise
        except errors.Invalid as error:
            session.fail(failure.text(error))
        except errors.ApiError as error:
            session.fail(failure.text(error, doing=f'error when creating "{document.source}"' if filenames else ""))


async def _create(
    session: Session, document: manifests.Document, output: str, dry_run: str, validate: str, *,
    save_config: bool = False, done: str = "created",
) -> None:  # fmt: skip
    resource = targets.resource_of_document(document)
    check_written(document)
    namespace = targets.namespace_of_document(document, resource, session)
    metadata = document.metadata
    value = document.value
    if save_config:
        value = with_last_applied(value, targets.Target(resource, str(metadata.get("name", "")), namespace))
    if dry_run == "client":
        made = _decoded(value, resource)
    else:
        made = await session.client.create_manifest(
            resource.message, value, namespace=namespace, options=options_of(dry_run, validate)
        )
    _say(session, resource, made, output, f"{done}{suffix(dry_run)}")


def _decoded(value: dict[str, Any], resource: Resource) -> Any:
    from raftsman import codec

    decoded = codec.from_json(value, resource.message)
    codec.check(decoded.problems, what=resource.kind)
    return decoded.message


def _say(session: Session, resource: Resource, obj: Any, output: str, done: str) -> None:
    if output:
        from . import output as formats

        formats.check(output)
        formats.objects([(resource, obj)], output, single=True)
    else:
        session.say(f"{targets.named(resource)}/{obj.metadata.name} {done}")


async def made(session: Session, value: dict[str, Any], given: tuple[str, str], *, done: str = "created") -> None:
    """Create an object that was described by flags; `given` is (output, dry run)."""
    if "namespace" not in value["metadata"] and session.flags.namespace and value["kind"] != "Namespace":
        value["metadata"]["namespace"] = session.flags.namespace
    await _create(session, manifests.Document(value, "the command line"), given[0], given[1], "strict", done=done)


def described(api_version: str, kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **fields}


@verb("namespace")
@click.argument("name")
@output.with_output
@output.with_dry_run
async def namespace(session: Session, name: str, output: str, dry_run: str) -> None:
    """A namespace."""
    await made(session, described("v1", "Namespace", name), (output, dry_run))


@verb("serviceaccount")
@click.argument("name")
@output.with_output
@output.with_dry_run
async def serviceaccount(session: Session, name: str, output: str, dry_run: str) -> None:
    """A service account."""
    await made(session, described("v1", "ServiceAccount", name), (output, dry_run))


@verb("token")
@click.argument("name")
@click.option("--audience", multiple=True, help="Who may accept the token.")
@click.option("--duration", default="1h", help="How long it is valid.")
async def token(session: Session, name: str, audience: tuple[str, ...], duration: str) -> None:
    """A token of a service account, printed."""
    from .verb import duration_s

    made = await session.client.create_token(
        name, namespace=session.namespace, audiences=audience, expiration_s=int(duration_s(duration))
    )
    session.say(made.status.token)


def _data(literals: tuple[str, ...], files: tuple[str, ...]) -> dict[str, bytes]:
    """The keys and values of --from-literal and --from-file."""
    found: dict[str, bytes] = {}
    for literal in literals:
        key, equals, value = literal.partition("=")
        if not equals or not key:
            raise Failure(f"invalid literal source {literal}, expected key=value")
        found[key] = value.encode()
    for given in files:
        key, _, name = given.rpartition("=")
        path = Path(name)
        inside = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
        if key and path.is_dir():
            raise Failure(f"cannot give a key name for a directory path: {given}")
        for file in inside:
            try:
                found[key or file.name] = file.read_bytes()
            except OSError as error:
                raise Failure(f"error reading {file}: {(error.strerror or '').lower()}") from None
    return found


def _with_data(function: Any) -> Any:
    function = click.option("--from-literal", multiple=True, metavar="KEY=VALUE", help="One key and its value.")(
        function
    )
    return click.option("--from-file", multiple=True, metavar="[KEY=]FILE", help="A file, or a folder's files.")(
        function
    )


@verb("configmap")
@click.argument("name")
@_with_data
@output.with_output
@output.with_dry_run
async def configmap(
    session: Session, name: str, from_literal: tuple[str, ...], from_file: tuple[str, ...], output: str, dry_run: str
) -> None:
    """A config map from literals and files."""
    text: dict[str, str] = {}
    binary: dict[str, str] = {}
    for key, value in _data(from_literal, from_file).items():
        try:
            text[key] = value.decode()
        except UnicodeDecodeError:
            binary[key] = base64.b64encode(value).decode()
    parts = {"data": text, "binaryData": binary}
    await made(session, described("v1", "ConfigMap", name, **{k: v for k, v in parts.items() if v}), (output, dry_run))


@verb("generic")
@click.argument("name")
@_with_data
@click.option("--type", "kind", default="Opaque", help="The secret's type.")
@output.with_output
@output.with_dry_run
async def generic(
    session: Session, name: str, from_literal: tuple[str, ...], from_file: tuple[str, ...], kind: str, output: str,
    dry_run: str,
) -> None:  # fmt: skip
    """A secret from literals and files."""
    data = {k: base64.b64encode(v).decode() for k, v in _data(from_literal, from_file).items()}
    await made(session, described("v1", "Secret", name, type=kind, data=data), (output, dry_run))


@click.command("deployment", cls=Verb)
@click.argument("name")
@click.option("--image", "images", multiple=True, required=True, help="The container's image.")
@click.option("-r", "--replicas", default=1, help="How many pods.")
@click.option("--port", type=int, help="The port that the container listens on.")
@output.with_output
@output.with_dry_run
@click.pass_context
def deployment(ctx: click.Context, /, **given: Any) -> int | None:
    """A deployment of one image; words after -- are its command."""
    return run_async(_deployment, ctx.ensure_object(Globals), (after_dashes(ctx),), given)


async def _deployment(
    session: Session, command: list[str], *, name: str, images: tuple[str, ...], replicas: int, port: int | None,
    output: str, dry_run: str,
) -> None:  # fmt: skip
    labels = {"app": name}
    containers = []
    for image in images:
        short = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
        containers.append({"name": short, "image": image})
    if command:
        containers[0]["command"] = command  # type: ignore[assignment]
    if port:
        containers[0]["ports"] = [{"containerPort": port}]  # type: ignore[assignment]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    value = described(
        "apps/v1", "Deployment", name,
        spec={"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    )  # fmt: skip
    value["metadata"]["labels"] = labels
    await made(session, value, (output, dry_run))


secret = Group("secret", help="A secret.", commands=[generic])
for _command in (namespace, serviceaccount, token, configmap, secret, deployment):
    create.add_command(_command)
for _alias, _command in (("ns", namespace), ("sa", serviceaccount), ("cm", configmap), ("deploy", deployment)):
    create.add_command(_command, _alias)
for _module in ("access", "network", "policies", "secrets", "workloads"):
    importlib.import_module(f"{__package__}.generators.{_module}").add(create, secret)
create.params += GLOBAL_OPTIONS()
