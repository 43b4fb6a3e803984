"""Find and read a kubeconfig: which server, which authority, which identity.

Looks at the path it is given, else `$KUBECONFIG` (several files merge, the first to name a thing wins), else
`~/.kube/config`, else the service account that a pod finds mounted, else the admin file of the data directory. What a
file asks for and this client does not do is refused by name; nothing is connected with less safety than asked.
"""

from __future__ import annotations

import base64
import binascii
import os
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from raftsman.client.config import ClientConfig, ConfigError

ADMIN_FILE = Path("/var/lib/raftsman/kubeconfig/admin.yaml")
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_REFUSED_USER = {
    "exec": "credential plug-ins are not run",
    "auth-provider": "auth providers are not supported",
    "username": "basic authentication is not served",
    "password": "basic authentication is not served",
    "as": "impersonation is not supported",
    "as-uid": "impersonation is not supported",
    "as-groups": "impersonation is not supported",
    "as-user-extra": "impersonation is not supported",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A named cluster, user or context and the file that it came from: relative paths in it start there."""

    source: Path
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """The merged files."""

    clusters: Mapping[str, Entry]
    users: Mapping[str, Entry]
    contexts: Mapping[str, Entry]
    current: str


def load(path: str | os.PathLike[str] | None = None, context: str | None = None) -> ClientConfig:
    """The configuration of a context, or of the current one. ConfigError when there is none or it cannot be used."""
    for files in _candidates(path):
        merged = read(files)
        if context or merged.current or path:
            return select(merged, context)
    inside = in_cluster()
    if inside is not None and not context:
        return inside
    if _readable(ADMIN_FILE):
        return select(read((ADMIN_FILE,)), context)
    raise ConfigError(
        "no kubeconfig: looked at $KUBECONFIG, ~/.kube/config and "
        f"{ADMIN_FILE}; name one with --kubeconfig, or start a cluster with `raftsman up`"
    )


def _candidates(path: str | os.PathLike[str] | None) -> list[tuple[Path, ...]]:
    if path is not None:
        return [(Path(path).expanduser(),)]
    from_env = tuple(Path(p).expanduser() for p in os.environ.get("KUBECONFIG", "").split(os.pathsep) if p)
    if from_env:
        present = tuple(p for p in from_env if p.exists())
        if not present:
            raise ConfigError(f"$KUBECONFIG names {os.environ['KUBECONFIG']}: no such file")
        return [present]
    home = Path.home() / ".kube" / "config"
    return [(home,)] if home.exists() else []


def _readable(path: Path) -> bool:
    """Whether it exists; one that exists and is closed to the caller is an error that `read` words."""
    try:
        return path.exists()
    except PermissionError:
        return True


def read(files: tuple[Path, ...]) -> Kubeconfig:
    """Read and merge files; the first that names a cluster, user, context or current context wins."""
    found: dict[str, dict[str, Entry]] = {"clusters": {}, "users": {}, "contexts": {}}
    current = ""
    for file in files:
        document = _document(file)
        for section, entries in found.items():
            for item in document.get(section) or ():
                body = item.get(section.removesuffix("s")) or {}
                entries.setdefault(str(item.get("name", "")), Entry(file, body))
        current = current or str(document.get("current-context") or "")
    return Kubeconfig(found["clusters"], found["users"], found["contexts"], current)


def _document(file: Path) -> Mapping[str, Any]:
    try:
        document = yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise ConfigError(f"kubeconfig {file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"kubeconfig {file} is not YAML: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"kubeconfig {file} is not a mapping")
    return document


def select(merged: Kubeconfig, context: str | None = None) -> ClientConfig:
    """The configuration of one context of `merged`, by default the current one."""
    name = context or merged.current
    if not name:
        raise ConfigError(f"the kubeconfig has no current-context; choose one of {_names(merged.contexts)}")
    chosen = _named(merged.contexts, "context", name).body
    cluster = _named(merged.clusters, "cluster", str(chosen.get("cluster") or ""))
    user_name = str(chosen.get("user") or "")
    user = _named(merged.users, "user", user_name) if user_name else Entry(cluster.source, {})
    return _config(name, cluster, user, str(chosen.get("namespace") or "default"))


def _config(context: str, cluster: Entry, user: Entry, namespace: str) -> ClientConfig:
    _refuse(cluster, user)
    certificate = _pem(user, "client-certificate")
    key = _pem(user, "client-key")
    if (certificate is None) != (key is None):
        raise ConfigError(f"kubeconfig {user.source}: client-certificate and client-key go together")
    token_file = user.body.get("tokenFile")
    return ClientConfig(
        target=target(str(cluster.body.get("server") or ""), cluster.source),
        root_ca=_pem(cluster, "certificate-authority"),
        certificate=certificate,
        key=key,
        token=str(user.body.get("token") or ""),
        token_file=user.source.parent / str(token_file) if token_file else None,
        server_name=str(cluster.body.get("tls-server-name") or ""),
        namespace=namespace,
        context=context,
    )


def _refuse(cluster: Entry, user: Entry) -> None:
    if cluster.body.get("insecure-skip-tls-verify"):
        raise ConfigError(
            f"kubeconfig {cluster.source}: insecure-skip-tls-verify is refused; give certificate-authority instead"
        )
    if cluster.body.get("proxy-url"):
        raise ConfigError(f"kubeconfig {cluster.source}: proxy-url is not supported")
    for field, why in _REFUSED_USER.items():
        if user.body.get(field):
            raise ConfigError(f"kubeconfig {user.source}: {field} is refused: {why}; use a certificate or a token")


def target(server: str, source: Path | str = "") -> str:
    """HOST:PORT of `https://HOST[:PORT]`."""
    url = urllib.parse.urlsplit(server)
    try:
        port = url.port or 443
    except ValueError as error:
        raise ConfigError(f"kubeconfig {source}: server {server!r}: {error}") from error
    if url.scheme != "https" or not url.hostname or url.path.strip("/"):
        raise ConfigError(f"kubeconfig {source}: server {server!r} is not of the form https://HOST:PORT")
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{host}:{port}"


def _pem(entry: Entry, field: str) -> bytes | None:
    inline = entry.body.get(f"{field}-data")
    if inline:
        try:
            return base64.b64decode(str(inline), validate=True)
        except binascii.Error as error:
            raise ConfigError(f"kubeconfig {entry.source}: {field}-data is not base64") from error
    file = entry.body.get(field)
    if not file:
        return None
    path = entry.source.parent / str(file)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"kubeconfig {entry.source}: {field} {path}: {error.strerror}") from error


def _named(entries: Mapping[str, Entry], what: str, name: str) -> Entry:
    if name not in entries:
        raise ConfigError(f"the kubeconfig has no {what} {name!r}; it has {_names(entries)}")
    return entries[name]


def _names(entries: Mapping[str, Entry]) -> str:
    return ", ".join(sorted(entries)) or "none"


def in_cluster() -> ClientConfig | None:
    """What a pod finds in its environment and in its service-account volume; None outside of pods."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    token_file, ca_file = SERVICE_ACCOUNT / "token", SERVICE_ACCOUNT / "ca.crt"
    if not host or not port or not token_file.exists():
        return None
    namespace_file = SERVICE_ACCOUNT / "namespace"
    return ClientConfig(
        target=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        root_ca=ca_file.read_bytes() if ca_file.exists() else None,
        token_file=token_file,
        namespace=namespace_file.read_text().strip() if namespace_file.exists() else "default",
        context="in-cluster",
    )
