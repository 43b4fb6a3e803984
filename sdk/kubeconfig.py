"""Find and read a kubeconfig: which server, which authority, which identity.

Looks at the path it is given, else `$KUBECONFIG` (several files merge, the first to name a thing wins), else
`~/.kube/config`, else the service account that a pod finds mounted, else the admin file of the data directory. What a
file asks for and this client does not do is refused by name; nothing is connected with less safety than asked.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import os
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from raftsman.client.config import ClientConfig, ConfigError, Impersonation, Interactive, Plugin
from raftsman.client.credentials import API_VERSIONS

ADMIN_FILE = Path("/var/lib/raftsman/kubeconfig/admin.yaml")
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_REFUSED_USER = {
    "auth-provider": "auth providers are not supported; a credential plug-in (exec) may do the same",
    "username": "basic authentication is not served",
    "password": "basic authentication is not served",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What a command line says instead of a file, field by field: flags of kubectl."""

    cluster: str = ""
    user: str = ""
    cluster_fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Of the cluster's entry: server, certificate-authority, tls-server-name …"""

    user_fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Of the user's entry: token, client-certificate, client-key, as, as-groups …"""


def load(
    path: str | os.PathLike[str] | None = None, context: str | None = None, *, overrides: Overrides | None = None
) -> ClientConfig:
    """The configuration of a context, or of the current one. ConfigError when there is none or it cannot be used."""
    changes = overrides or Overrides()
    for files in _candidates(path):
        merged = read(files)
        if context or merged.current or path or changes.cluster_fields.get("server"):
            return select(merged, context, overrides=changes)
    if changes.cluster_fields.get("server"):
        return select(Kubeconfig({}, {}, {}, ""), context, overrides=changes)
    inside = in_cluster()
    if inside is not None and not context:
        return inside
    if _readable(ADMIN_FILE):
        return select(read((ADMIN_FILE,)), context, overrides=changes)
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
        tree = document(file)
        for section, entries in found.items():
            for item in tree.get(section) or ():
                body = item.get(section.removesuffix("s")) or {}
                entries.setdefault(str(item.get("name", "")), Entry(file, body))
        current = current or str(tree.get("current-context") or "")
    return Kubeconfig(found["clusters"], found["users"], found["contexts"], current)


def document(file: Path) -> Mapping[str, Any]:
    """What one kubeconfig says."""
    try:
        tree = yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise ConfigError(f"kubeconfig {file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"kubeconfig {file} is not YAML: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"kubeconfig {file} is not a mapping")
    return tree


def select(merged: Kubeconfig, context: str | None = None, *, overrides: Overrides | None = None) -> ClientConfig:
    """The configuration of one context of `merged`, by default the current one."""
    changes = overrides or Overrides()
    name = context or merged.current
    chosen: Mapping[str, Any] = {}
    if name:
        chosen = _named(merged.contexts, "context", name).body
    elif not changes.cluster_fields.get("server"):
        raise ConfigError(f"the kubeconfig has no current-context; choose one of {_names(merged.contexts)}")
    cluster = _part(merged.clusters, "cluster", changes.cluster or str(chosen.get("cluster") or ""))
    user = _part(merged.users, "user", changes.user or str(chosen.get("user") or ""))
    return _config(
        name, _changed(cluster, changes.cluster_fields), _changed(user, changes.user_fields),
        str(chosen.get("namespace") or "default"),
    )  # fmt: skip


def _part(entries: Mapping[str, Entry], what: str, name: str) -> Entry:
    return _named(entries, what, name) if name else Entry(Path(), {})


def _changed(entry: Entry, fields: Mapping[str, Any]) -> Entry:
    """With `fields` instead of its own, and instead of their -data; paths in them start where the caller is."""
    if not fields:
        return entry
    given = {key: str(Path.cwd() / value) if key in _PATHS else value for key, value in fields.items()}
    kept = {key: value for key, value in entry.body.items() if key.removesuffix("-data") not in fields}
    if "token" in fields:
        kept.pop("tokenFile", None)
        kept.pop("exec", None)
    return Entry(entry.source, {**kept, **given})


_PATHS = ("certificate-authority", "client-certificate", "client-key")


def _config(context: str, cluster: Entry, user: Entry, namespace: str) -> ClientConfig:
    _refuse(cluster, user)
    certificate = _pem(user, "client-certificate")
    key = _pem(user, "client-key")
    if (certificate is None) != (key is None):
        raise ConfigError(f"kubeconfig {user.source}: client-certificate and client-key go together")
    token_file = user.body.get("tokenFile")
    authority = _pem(cluster, "certificate-authority")
    return ClientConfig(
        target=target(str(cluster.body.get("server") or ""), cluster.source),
        root_ca=authority,
        certificate=certificate,
        key=key,
        token=str(user.body.get("token") or ""),
        token_file=user.source.parent / str(token_file) if token_file else None,
        plugin=_plugin(user, cluster, authority),
        impersonate=_impersonation(user),
        server_name=str(cluster.body.get("tls-server-name") or ""),
        proxy=_proxy(cluster),
        namespace=namespace,
        context=context,
    )


def _plugin(user: Entry, cluster: Entry, authority: bytes | None) -> Plugin | None:
    """A user's `exec`. A command with a slash in it that is relative starts at the kubeconfig."""
    body = user.body.get("exec")
    if not body:
        return None
    where = f"kubeconfig {user.source}: exec"
    if not isinstance(body, Mapping) or not body.get("command"):
        raise ConfigError(f"{where}: command is required")
    version, mode = str(body.get("apiVersion") or ""), str(body.get("interactiveMode") or "")
    if version not in API_VERSIONS:
        raise ConfigError(f"{where}: apiVersion {version!r} is not one of {', '.join(API_VERSIONS)}")
    if mode not in [*Interactive] and (mode or version == API_VERSIONS[0]):
        raise ConfigError(f"{where}: interactiveMode {mode!r} is not one of {', '.join(Interactive)}")
    command = str(body["command"])
    return Plugin(
        api_version=version,
        command=str(user.source.parent / command) if "/" in command else command,
        arguments=tuple(str(word) for word in body.get("args") or ()),
        environment=tuple((str(one.get("name")), str(one.get("value") or "")) for one in body.get("env") or ()),
        interactive=Interactive(mode) if mode else Interactive.IF_AVAILABLE,
        install_hint=str(body.get("installHint") or ""),
        cluster=_told(cluster, authority) if body.get("provideClusterInfo") else None,
    )


def _told(cluster: Entry, authority: bytes | None) -> Mapping[str, Any]:
    """What a plug-in that asks for it learns of the cluster."""
    found: dict[str, Any] = {"server": str(cluster.body.get("server") or "")}
    if authority is not None:
        found["certificate-authority-data"] = base64.b64encode(authority).decode()
    for key in ("tls-server-name", "proxy-url"):
        if cluster.body.get(key):
            found[key] = str(cluster.body[key])
    for extension in cluster.body.get("extensions") or ():
        if extension.get("name") == "client.authentication.k8s.io/exec":
            found["config"] = extension.get("extension")
    return found


def _impersonation(user: Entry) -> Impersonation | None:
    body = user.body
    groups, uid, extra = body.get("as-groups") or (), body.get("as-uid"), body.get("as-user-extra") or {}
    if not body.get("as"):
        if groups or uid or extra:
            raise ConfigError(f"kubeconfig {user.source}: as-groups, as-uid and as-user-extra need as")
        return None
    pairs = tuple((str(key), str(value)) for key, values in extra.items() for value in values)
    return Impersonation(
        user=str(body["as"]), groups=tuple(str(group) for group in groups), uid=str(uid or ""), extra=pairs
    )


def _proxy(cluster: Entry) -> str:
    url = str(cluster.body.get("proxy-url") or "")
    if url and urllib.parse.urlsplit(url).scheme != "http":
        raise ConfigError(
            f"kubeconfig {cluster.source}: proxy-url {url!r} is refused: gRPC tunnels through http:// only"
        )
    return url


def _refuse(cluster: Entry, user: Entry) -> None:
    if cluster.body.get("insecure-skip-tls-verify"):
        raise ConfigError(
            f"kubeconfig {cluster.source}: insecure-skip-tls-verify is refused: gRPC always verifies; give "
            "certificate-authority instead"
        )
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
