"""`apply`: make the cluster say what the manifests say, by a three-way merge here, or by the server (--server-side).

What was applied last is kept on the object in an annotation, or as the fields that the manager owns; what it said and
the manifest no longer says is removed, and what others have set stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click
from raftsman import codec, errors, manifests, patch
from raftsman.meta import v1 as meta
from raftsman.resources import Resource

from . import failure, output, targets
from . import prune as pruning
from .session import Session
from .verb import Failure, flag, verb
from .writing import check_written, options_of, suffix, with_validation

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@verb()
@targets.with_files
@output.with_output
@output.with_dry_run
@with_validation
@click.option("-l", "--selector", default="", help="Only the manifests' objects with these labels.")
@flag("--prune", help="Delete what an earlier apply made and the manifests no longer have; needs -l or --all.")
@click.option("--prune-allowlist", multiple=True, metavar="GROUP/VERSION/KIND", help="With --prune: only such objects.")
@flag("--all", "every", help="With --prune: whatever the labels.")
@click.option("-k", "--kustomize", default="", metavar="FOLDER", help="Refused: kustomizations are not built here.")
@flag("--server-side", help="Let the server merge, and keep who owns which field.")
@flag("--force-conflicts", help="With --server-side: take over fields that others own.")
@click.option("--field-manager", default="", help="With --server-side: who owns what is applied.")
@flag("--force", help="Delete and create again what cannot be changed.")
async def apply(
    session: Session, filenames: tuple[str, ...], recursive: bool, output: str, dry_run: str, validate: str,
    selector: str, prune: bool, prune_allowlist: tuple[str, ...], every: bool, kustomize: str, server_side: bool,
    force_conflicts: bool, field_manager: str, force: bool,
) -> None:  # fmt: skip
    """Create or change what manifests describe: `apply -f file.yaml`, `apply -f folder -R`, `apply -f -`."""
    if kustomize:
        raise Failure(f"-k is not supported: build it elsewhere, `kubectl kustomize {kustomize} | raftsman apply -f -`")
    leaving = pruning.check(selector, prune_allowlist, every=every, server_side=server_side) if prune else ()
    if not server_side and (force_conflicts or field_manager):
        raise Failure(f"{'--force-conflicts' if force_conflicts else '--field-manager'} needs --server-side")
    if server_side and (force or dry_run == "client"):
        raise Failure(f"{'--force' if force else '--dry-run=client'} does not go with --server-side")
    from . import output as formats

    formats.check(output)
    documents = chosen(await targets.documents_of(session, filenames, recursive=recursive), selector)
    # What lives in a namespace can only be made once the namespace is there.
    documents.sort(key=lambda document: document.kind != "Namespace")
    written: list[tuple[Resource, Any]] = []
    for document in documents:
        try:
            options = options_of(dry_run, validate)
            if server_side:
                options.field_manager = field_manager or "raftsman"
                done = await by_server(session, document, options, dry_run, force=force_conflicts)
            else:
                done = await applied(session, document, options, dry_run, force=force)
        except errors.Unavailable:
            raise
        except (errors.ApiError, Failure) as error:
            session.fail(_worded(error, document))
            continue
        written.append((done[0], done[1]))
        if not output:
            session.say(done[2])
    if output and written:
        formats.objects(written, output, single=True)
    if prune and not session.failed:
        await pruning.prune(
            session, leaving, written, selector, annotation=LAST_APPLIED, suffix=suffix(dry_run), dry_run=dry_run
        )


def _worded(error: errors.ApiError | Failure, document: manifests.Document) -> str:
    if isinstance(error, Failure):
        return f"error: {error.message}"
    if isinstance(error, errors.Invalid):
        return failure.text(error)
    return failure.text(error, doing=f'error when applying "{document.source}"')


def chosen(documents: list[manifests.Document], selector: str) -> list[manifests.Document]:
    if not selector:
        return documents
    from raftsman import selectors

    with failure.local():
        wanted = selectors.parse_labels(selector)
    return [d for d in documents if wanted.matches(dict(d.metadata.get("labels") or {}))]


async def applied(
    session: Session, document: manifests.Document, options: meta.WriteOptions, dry_run: str, *, force: bool
) -> tuple[Resource, Any, str]:
    """(kind, object, what to say) of one document."""
    resource = targets.resource_of_document(document)
    check_written(document)
    target = targets.of_documents([document], session)[0]
    said = f"{target} {{}}{suffix(dry_run)}"
    modified = with_last_applied(document.value, target)
    try:
        current = await _current(session, target)
    except errors.NotFound:
        if dry_run == "client":
            return resource, _decoded(modified, resource), said.format("created")
        made = await session.client.create_manifest(
            resource.message, modified, namespace=target.namespace, options=options
        )
        return resource, made, said.format("created")
    change = _change(session, current, modified, target)
    if not change:
        return resource, current, said.format("unchanged")
    if dry_run == "client":
        merged = patch.strategic_merge(codec.to_json(current), change, resource.message)
        return resource, _decoded(merged, resource), said.format("configured")
    from raftsman import custom

    try:
        changed = await session.client.patch(
            resource.message,
            target.name,
            change,
            namespace=target.namespace,
            type=custom.patch_type(resource.message),
            options=options,
        )
    except errors.Invalid:
        if not force or dry_run == "server":
            raise
        changed = await _recreated(session, target, modified, options)
    return resource, changed, said.format("configured")


async def by_server(
    session: Session, document: manifests.Document, options: meta.WriteOptions, dry_run: str, *, force: bool
) -> tuple[Resource, Any, str]:
    """(kind, object, what to say) of one document that the server merges."""
    resource = targets.resource_of_document(document)
    check_written(document)
    target = targets.of_documents([document], session)[0]
    merged = await session.client.apply(
        resource.message, target.name, dict(document.value), namespace=target.namespace,
        field_manager=options.field_manager, force=force, options=options,
    )  # fmt: skip
    return resource, merged, f"{target} serverside-applied{suffix(dry_run)}"


async def _current(session: Session, target: targets.Target) -> Any:
    if not target.resource.service:
        # The server says why it is not served when it is asked to create one.
        raise errors.NotFound(target.name)
    return await session.client.get(target.resource.message, target.name, namespace=target.namespace)


async def _recreated(session: Session, target: targets.Target, manifest: Any, options: meta.WriteOptions) -> Any:
    message = target.resource.message
    await session.client.delete(message, target.name, namespace=target.namespace)
    await session.client.wait(message, target.name, lambda o: o is None, namespace=target.namespace, timeout_s=60)
    return await session.client.create_manifest(message, manifest, namespace=target.namespace, options=options)


def _decoded(value: Mapping[str, Any], resource: Resource) -> Any:
    decoded = codec.from_json(value, resource.message)
    codec.check(decoded.problems, what=f"{resource.kind} {value.get('metadata', {}).get('name', '')}")
    return decoded.message


def with_last_applied(value: Mapping[str, Any], target: targets.Target) -> dict[str, Any]:
    """The manifest with itself as the annotation of what was applied last."""
    metadata = dict(value["metadata"])
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != LAST_APPLIED}
    if target.namespace:
        metadata["namespace"] = target.namespace
    plain = {**value, "metadata": {**metadata, "annotations": annotations}}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    return {**value, "metadata": {**metadata, "annotations": {**annotations, LAST_APPLIED: text}}}


def _change(session: Session, current: Any, modified: dict[str, Any], target: targets.Target) -> dict[str, Any]:
    """The patch that applies the manifest to the current object; {} if there is nothing to do."""
    now = codec.to_json(current)
    text = current.metadata.annotations.get(LAST_APPLIED)
    if text is None:
        session.warn(
            f"resource {target.resource.name}/{target.name} was not created by apply: it has no annotation "
            f"{LAST_APPLIED}. It is added now."
        )
    try:
        original = json.loads(text) if text else {}
    except ValueError:
        raise Failure(f"the annotation {LAST_APPLIED} of {target} is not JSON") from None
    change: dict[str, Any] = patch.three_way_strategic(
        _folded(original), _folded(modified), now, target.resource.message
    )
    if change and set(change) == {"metadata"} and _only_annotation(change["metadata"], text, modified):
        return {}
    return change


def _only_annotation(change: Mapping[str, Any], text: str | None, modified: Mapping[str, Any]) -> bool:
    """Whether all that differs is how the same manifest was written down."""
    if text is None or change != {"annotations": {LAST_APPLIED: modified["metadata"]["annotations"][LAST_APPLIED]}}:
        return False
    return bool(json.loads(text) == json.loads(modified["metadata"]["annotations"][LAST_APPLIED]))


def _folded(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """A Secret with its stringData where the server will put it, so that it can be compared."""
    plain = value.get("stringData")
    if value.get("kind") != "Secret" or not isinstance(plain, dict):
        return value
    import base64

    data = {k: base64.b64encode(v.encode()).decode() for k, v in plain.items() if isinstance(v, str)}
    return {**{k: v for k, v in value.items() if k != "stringData"}, "data": {**(value.get("data") or {}), **data}}
