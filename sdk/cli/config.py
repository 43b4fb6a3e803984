"""`config`: look at kubeconfigs and change them, as `kubectl config` does.

Writes go to --kubeconfig, else the first file of $KUBECONFIG, else ~/.kube/config; a file is replaced as a whole, mode
0600. Other tools' entries stay as they are.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import yaml
from raftsman import kubeconfig
from raftsman.printers import Writer

from .session import Session
from .verb import Failure, flag, group, verb

config = group("config", "Look at kubeconfigs and change them.")
_HIDDEN = {"client-key-data": "DATA+OMITTED", "client-certificate-data": "DATA+OMITTED", "token": "REDACTED",
           "certificate-authority-data": "DATA+OMITTED", "password": "REDACTED"}  # fmt: skip


def _files(session: Session) -> tuple[Path, ...]:
    if session.flags.kubeconfig:
        return (Path(session.flags.kubeconfig).expanduser(),)
    named = tuple(Path(part).expanduser() for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part)
    return named or (Path.home() / ".kube" / "config",)


def merged(session: Session) -> kubeconfig.Kubeconfig:
    """What all files together say."""
    return kubeconfig.read(tuple(path for path in _files(session) if path.exists()))


def _target(session: Session) -> tuple[Path, dict[str, Any]]:
    """The file that is written, and what is in it."""
    path = _files(session)[0]
    document = dict(kubeconfig.document(path)) if path.exists() else {}
    return path, document or {"apiVersion": "v1", "kind": "Config"}


def _write(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".kubeconfig-", delete=False) as file:
        yaml.safe_dump(document, file, sort_keys=True)
    Path(file.name).replace(path)


def _changed(document: dict[str, Any], section: str, name: str, fields: dict[str, Any]) -> bool:
    """Set fields of a named entry (None takes one away); whether it is new."""
    entries = document.setdefault(section, None) or []
    document[section] = entries
    kind = section.removesuffix("s")
    entry = next((one for one in entries if one.get("name") == name), None)
    new = entry is None
    if entry is None:
        entry = {"name": name, kind: {}}
        entries.append(entry)
    body = entry[kind] = dict(entry.get(kind) or {})
    for key, value in fields.items():
        body.pop(key, None)
        if value is not None:
            body[key] = value
    return new


@config.add
@verb()
@flag("--raw", help="With keys and tokens.")
@flag("--minify", help="Only what the current context uses.")
@flag("--flatten", help="With the contents of the files that it names.")
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", help="yaml or json.")
async def view(session: Session, raw: bool, minify: bool, flatten: bool, output: str) -> None:
    """Print the merged kubeconfig."""
    files = merged(session)
    sections = {"clusters": files.clusters, "contexts": files.contexts, "users": files.users}
    current = session.flags.context or files.current
    if minify:
        chosen = sections["contexts"].get(current)
        if chosen is None:
            raise Failure(f"cannot locate context {current or '<none>'}")
        keep = {"contexts": current, "clusters": chosen.body.get("cluster"), "users": chosen.body.get("user")}
        sections = {key: {n: e for n, e in found.items() if n == keep[key]} for key, found in sections.items()}
    tree: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "preferences": {}, "current-context": current}
    for key, found in sections.items():
        tree[key] = [
            {"name": name, key.removesuffix("s"): _shown(entry, raw=raw, flatten=flatten)}
            for name, entry in sorted(found.items())
        ]
    sys.stdout.write(json.dumps(tree, indent=4) + "\n" if output == "json" else yaml.safe_dump(tree, sort_keys=True))


def _shown(entry: kubeconfig.Entry, *, raw: bool, flatten: bool) -> dict[str, Any]:
    body = dict(entry.body)
    for key in ("certificate-authority", "client-certificate", "client-key"):
        if flatten and body.get(key):
            path = entry.source.parent / str(body.pop(key))
            try:
                body[f"{key}-data"] = base64.b64encode(path.read_bytes()).decode()
            except OSError as error:
                raise Failure(f"{path}: {error.strerror}") from None
    return body if raw else {key: _HIDDEN.get(key, value) for key, value in body.items()}


@config.add
@verb("current-context")
async def current_context(session: Session) -> None:
    """Print the current context."""
    current = merged(session).current
    if not current:
        raise Failure("current-context is not set")
    session.say(current)


@config.add
@verb("get-contexts")
@click.argument("names", nargs=-1)
@flag("--no-headers", help="Without the line of headers.")
@click.option("-o", "--output", type=click.Choice(["", "name"]), default="", help="name: only the names.")
async def get_contexts(session: Session, names: tuple[str, ...], no_headers: bool, output: str) -> None:
    """Print the contexts."""
    files = merged(session)
    for name in names:
        if name not in files.contexts:
            session.fail(f"error: context {name} not found")
    chosen = {n: e.body for n, e in sorted(files.contexts.items()) if not names or n in names}
    if output == "name":
        for name in chosen:
            session.say(name)
        return
    head = ["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"]
    rows = [
        ["*" if name == files.current else "", name, str(body.get("cluster") or ""), str(body.get("user") or ""),
         str(body.get("namespace") or "")]
        for name, body in chosen.items()
    ]  # fmt: skip
    Writer(sys.stdout).write([*([] if no_headers else [head]), *rows])


def _names_of(section: str, head: str) -> Any:
    @verb(f"get-{section}")
    async def command(session: Session) -> None:
        Writer(sys.stdout).write([[head], *([name] for name in sorted(getattr(merged(session), section)))])

    command.help = f"Print the names of the {section}."
    return command


config.add(_names_of("clusters", "NAME"))
config.add(_names_of("users", "NAME"))


@config.add
@verb("use-context")
@click.argument("name")
async def use_context(session: Session, name: str) -> None:
    """Make a context the current one."""
    if name not in merged(session).contexts:
        raise Failure(f'no context exists with the name: "{name}"')
    path, document = _target(session)
    document["current-context"] = name
    _write(path, document)
    session.say(f'Switched to context "{name}".')


@config.add
@verb("set-context")
@click.argument("name", required=False, default="")
@flag("--current", help="Change the current context.")
async def set_context(session: Session, name: str, current: bool) -> None:
    """Set a context's cluster, user and namespace, by the flags of these names: `set-context --current -n shop`."""
    name = merged(session).current if current else name
    if not name:
        raise Failure("a context must be named, or --current given")
    flags = {"cluster": session.flags.cluster, "user": session.flags.user, "namespace": session.flags.namespace}
    path, document = _target(session)
    new = _changed(document, "contexts", name, {key: value for key, value in flags.items() if value})
    _write(path, document)
    session.say(f'Context "{name}" {"created" if new else "modified"}.')


@config.add
@verb("set-cluster")
@click.argument("name")
@flag("--embed-certs", help="Keep the certificate itself instead of its path.")
async def set_cluster(session: Session, name: str, embed_certs: bool) -> None:
    """Set a cluster's --server, --certificate-authority and --tls-server-name."""
    flags = session.flags
    fields: dict[str, Any] = {"server": flags.server, "tls-server-name": flags.tls_server_name}
    fields = {key: value for key, value in fields.items() if value}
    fields |= _file_fields("certificate-authority", flags.certificate_authority, embed_certs)
    path, document = _target(session)
    _changed(document, "clusters", name, fields)
    _write(path, document)
    session.say(f'Cluster "{name}" set.')


@config.add
@verb("set-credentials")
@click.argument("name")
@flag("--embed-certs", help="Keep certificate and key themselves instead of their paths.")
async def set_credentials(session: Session, name: str, embed_certs: bool) -> None:
    """Set a user's --token, or --client-certificate and --client-key."""
    flags = session.flags
    fields: dict[str, Any] = {"token": flags.token} if flags.token else {}
    fields |= _file_fields("client-certificate", flags.client_certificate, embed_certs)
    fields |= _file_fields("client-key", flags.client_key, embed_certs)
    path, document = _target(session)
    _changed(document, "users", name, fields)
    _write(path, document)
    session.say(f'User "{name}" set.')


def _file_fields(key: str, path: str | None, embed: bool) -> dict[str, Any]:
    """A file's path or contents; the other way of giving it is taken away."""
    if not path:
        return {}
    file = Path(path).absolute()
    if not embed:
        return {key: str(file), f"{key}-data": None}
    try:
        return {f"{key}-data": base64.b64encode(file.read_bytes()).decode(), key: None}
    except OSError as error:
        raise Failure(f"could not read {key} data from {path}: {error.strerror}") from None


def _delete_of(section: str, word: str) -> Any:
    @verb(f"delete-{word}")
    @click.argument("name")
    async def command(session: Session, name: str) -> None:
        path, document = _target(session)
        kept = [one for one in document.get(section) or [] if one.get("name") != name]
        if len(kept) == len(document.get(section) or []):
            raise Failure(f"cannot delete {word} {name}, not in {path}")
        document[section] = kept
        _write(path, document)
        session.say(f"deleted {word} {name} from {path}")

    command.help = f"Take a {word} out of the file."
    return command


for _section in ("contexts", "clusters", "users"):
    config.add(_delete_of(_section, _section.removesuffix("s")))
