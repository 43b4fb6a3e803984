"""Which objects a command line means: `TYPE`, `TYPE NAME…`, `TYPE/NAME…`, `TYPE,TYPE`, `all`, files, selectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click
from raftsman import errors, manifests, resources
from raftsman.resources import Resource

from . import failure
from .session import Session
from .verb import Failure, UnknownKind, flag


@dataclass(frozen=True, slots=True)
class Target:
    """One object, or with an empty name all objects of a kind."""

    resource: Resource
    name: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        return f"{named(self.resource)}/{self.name}"


def named(resource: Resource) -> str:
    """`pod`, `deployment.apps`."""
    singular = resource.facts.singular
    return f"{singular}.{resource.group}" if resource.group else singular


def resource_of(word: str) -> Resource:
    """The served kind that a word means."""
    found = resources.find(word)
    if found is None:
        raise UnknownKind(f'the server doesn\'t have a resource type "{word}"')
    if not found.service:
        raise Failure(f"{found.qualified} is not served yet")
    return found


def kinds_of(words: str) -> list[Resource]:
    """The kinds of `pods,svc` or of a category such as `all`."""
    found: list[Resource] = []
    for word in words.split(","):
        category = [r for r in resources.distinct() if word in r.facts.categories]
        found += [r for r in category or [resource_of(word)] if r not in found]
    return found


def parse(words: Sequence[str], namespace: str) -> list[Target]:
    """The targets of a command's words; names are empty where a whole kind is meant."""
    if not words:
        raise Failure("you must specify the type of resource, as in `pods`, `pod NAME` or `pod/NAME`")
    if any("/" in word for word in words):
        return [_slashed(word, namespace) for word in words]
    kinds = kinds_of(words[0])
    if len(words) == 1:
        return [Target(kind, "", namespace) for kind in kinds]
    return [Target(kind, name, namespace) for kind in kinds for name in words[1:]]


def _slashed(word: str, namespace: str) -> Target:
    kind, slash, name = word.partition("/")
    if not slash or not kind or not name or "/" in name:
        raise Failure(f'"{word}" is not of the form TYPE/NAME; names and TYPE/NAME cannot be mixed')
    return Target(resource_of(kind), name, namespace)


def one(words: Sequence[str], namespace: str, *, default: str = "") -> Target:
    """Exactly one named object: `TYPE/NAME`, `TYPE NAME`, or with a default type `NAME`."""
    if default and len(words) == 1 and "/" not in words[0]:
        return Target(resource_of(default), words[0], namespace)
    found = parse(words, namespace)
    if len(found) != 1 or not found[0].name:
        raise Failure("exactly one object must be named, as TYPE/NAME or TYPE NAME")
    return found[0]


def with_files(function: Callable[..., Any]) -> Callable[..., Any]:
    """The flags -f and -R."""
    function = flag("-R", "--recursive", help="Read folders in folders too.")(function)
    return click.option(
        "-f", "--filename", "filenames", multiple=True, type=click.Path(), help="A file, a folder, or - for stdin."
    )(function)


def with_selection(function: Callable[..., Any]) -> Callable[..., Any]:
    """The flags -l and --field-selector."""
    function = click.option("--field-selector", default="", help="Only objects with these fields: a=b,c!=d.")(function)
    return click.option("-l", "--selector", default="", help="Only objects with these labels: a=b,c in (d,e),!f.")(
        function
    )


def read_files(filenames: Sequence[str], *, recursive: bool) -> list[manifests.Document]:
    """The documents of -f, each with a kind that is known. Paths may also be joined by commas."""
    paths = [path for name in filenames for path in ([name] if name == "-" else name.split(","))]
    for path in paths:
        if path.startswith(("http://", "https://")):
            raise Failure(
                f'the path "{path}" is refused: manifests are read from files and stdin, not from the network'
            )
    with failure.local():
        found = manifests.read(paths, recursive=recursive)
    if not found:
        raise Failure("no objects passed to apply" if paths else "must specify --filename")
    return found


async def documents_of(session: Session, filenames: Sequence[str], *, recursive: bool) -> list[manifests.Document]:
    """The documents of -f; custom resources among them become known."""
    found = read_files(filenames, recursive=recursive)
    if any(resources.by_kind(one.api_version, one.kind) is None for one in found):
        from raftsman import custom

        await custom.learn(session.client)
    return found


def resource_of_document(document: manifests.Document) -> Resource:
    """The kind of a document, or a Failure that says what is missing or unknown."""
    missing = [name for name in ("apiVersion", "kind") if not isinstance(document.value.get(name), str)]
    if missing:
        raise Failure(f'error validating "{document.source}": {" and ".join(missing)} not set')
    found = resources.by_kind(document.api_version, document.kind)
    if found is None:
        name = document.metadata.get("name", "")
        raise UnknownKind(
            f'resource mapping not found for name: "{name}" from "{document.source}": '
            f'no matches for kind "{document.kind}" in version "{document.api_version}"'
        )
    return found


def namespace_of_document(document: manifests.Document, resource: Resource, session: Session) -> str:
    """Where a document's object lives; a Failure if -n and the document disagree."""
    if not resource.namespaced:
        return ""
    written = document.metadata.get("namespace")
    wanted = session.flags.namespace
    if written and wanted and written != wanted:
        raise Failure(
            f'the namespace from the provided object "{written}" does not match the namespace "{wanted}". '
            f"You must pass '--namespace={written}' to perform this operation."
        )
    return str(written or session.namespace)


def of_documents(documents: Sequence[manifests.Document], session: Session) -> list[Target]:
    """The objects that documents name."""
    found = []
    for document in documents:
        resource = resource_of_document(document)
        name = document.metadata.get("name")
        if not isinstance(name, str) or not name:
            raise Failure(f'error validating "{document.source}": metadata.name not set')
        found.append(Target(resource, name, namespace_of_document(document, resource, session)))
    return found


async def fetched(session: Session, target: Target, **selection: Any) -> list[Any]:
    """The objects of a target: one by name, or all of the kind that are selected."""
    client = session.client
    if target.name:
        return [await client.get(target.resource.message, target.name, namespace=target.namespace)]
    found = await client.list(target.resource.message, namespace=target.namespace, **selection)
    return list(found.items)


async def selected(
    session: Session, words: Sequence[str], filenames: Sequence[str], *, recursive: bool = False, selector: str = "",
    field_selector: str = "", every: bool = False, all_namespaces: bool = False,
) -> list[tuple[Target, Any]]:  # fmt: skip
    """Named objects (with their state) for verbs that change things: a whole kind only with a selector or --all."""
    if filenames:
        wanted = of_documents(await documents_of(session, filenames, recursive=recursive), session)
    else:
        wanted = parse(words, "" if all_namespaces else session.namespace)
    if any(not target.name for target in wanted) and not (selector or field_selector or every):
        raise Failure("resource(s) were provided, but no name was specified")
    found: list[tuple[Target, Any]] = []
    for target in wanted:
        try:
            objects = await fetched(session, target, label_selector=selector, field_selector=field_selector)
        except errors.NotFound as error:
            session.fail(failure.text(error))
            continue
        found += [(Target(target.resource, o.metadata.name, o.metadata.namespace), o) for o in objects]
    return found
