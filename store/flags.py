"""The command line, with etcd's flag names. What is not supported is not a flag, so argparse refuses it by name."""

from __future__ import annotations

import argparse
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from raftsman import logs

_UNITS_S = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of one listener. `client_certificates`: refuse who has none that `ca` signed."""

    cert: Path
    key: Path
    ca: Path | None
    client_certificates: bool


@dataclass(frozen=True, slots=True)
class Config:
    """What the process runs with. URLs were checked: plain http only on loopback and unix sockets."""

    name: str
    data_dir: Path
    listen_client: tuple[SplitResult, ...]
    advertise_client: tuple[str, ...]
    listen_peer: tuple[SplitResult, ...]
    initial_cluster: dict[str, tuple[str, ...]]
    token: str
    client_tls: Tls | None
    peer_tls: Tls | None
    metrics: str
    snapshot_count: int
    compaction_mode: str
    compaction_retention: float
    log_level: str


def parse(arguments: Sequence[str] | None = None) -> Config:
    """Read the flags; prints a sentence and exits 2 when they do not make sense."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        return _config(given)
    except ValueError as error:
        parser.error(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="raftsman.store", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--name", default="default", help="this member's name in --initial-cluster")
    add("--data-dir", type=Path, required=True)
    add("--listen-client-urls", default="http://127.0.0.1:2379")
    add("--advertise-client-urls", default="", help="default: what is listened on")
    add("--listen-peer-urls", default="http://127.0.0.1:2380")
    add("--initial-advertise-peer-urls", default="", help="default: what is listened on")
    add("--initial-cluster", default="", help="NAME=PEER_URL,...; default: this member alone")
    add("--initial-cluster-token", default="raftsman")
    add("--cert-file", type=Path)
    add("--key-file", type=Path)
    add("--trusted-ca-file", type=Path)
    add("--client-cert-auth", action="store_true")
    add("--peer-cert-file", type=Path)
    add("--peer-key-file", type=Path)
    add("--peer-trusted-ca-file", type=Path)
    add("--peer-client-cert-auth", action="store_true", help="always on with peer certificates")
    add("--listen-metrics-urls", default="http://127.0.0.1:2381")
    add("--snapshot-count", type=int, default=10_000, help="log entries between snapshots")
    add("--auto-compaction-mode", choices=("periodic", "revision"), default="periodic")
    add("--auto-compaction-retention", default="5m", help='duration, or revisions; "0" is off')
    add("--log-level", choices=logs.LEVELS, default="info")
    return parser


def _config(given: argparse.Namespace) -> Config:
    listen_client = _urls("--listen-client-urls", given.listen_client_urls)
    listen_peer = _urls("--listen-peer-urls", given.listen_peer_urls)
    advertised = given.initial_advertise_peer_urls or given.listen_peer_urls
    cluster = _cluster(given.initial_cluster or ",".join(f"{given.name}={url}" for url in advertised.split(",")))
    if given.name not in cluster:
        raise ValueError(f"--initial-cluster does not name this member, {given.name!r}")
    client_tls = _tls(given, "", demand=given.client_cert_auth)
    peer_tls = _tls(given, "peer_", demand=True)
    _check_plain("--listen-client-urls", listen_client, client_tls)
    if len(cluster) > 1:
        _check_plain("--listen-peer-urls", listen_peer, peer_tls)
    if given.snapshot_count < 1:
        raise ValueError("--snapshot-count must be at least 1")
    metrics = _urls("--listen-metrics-urls", given.listen_metrics_urls)
    if len(metrics) != 1 or metrics[0].scheme != "http":
        raise ValueError("--listen-metrics-urls takes one http URL")
    return Config(
        name=given.name,
        data_dir=given.data_dir,
        listen_client=listen_client,
        advertise_client=tuple((given.advertise_client_urls or given.listen_client_urls).split(",")),
        listen_peer=listen_peer,
        initial_cluster=cluster,
        token=given.initial_cluster_token,
        client_tls=client_tls,
        peer_tls=peer_tls,
        metrics=metrics[0].netloc,
        snapshot_count=given.snapshot_count,
        compaction_mode=given.auto_compaction_mode,
        compaction_retention=_retention(given.auto_compaction_mode, given.auto_compaction_retention),
        log_level=given.log_level,
    )


def _urls(flag: str, text: str) -> tuple[SplitResult, ...]:
    urls = tuple(urlsplit(url.strip()) for url in text.split(","))
    for url in urls:
        if url.scheme in ("unix", "unixs") and (url.netloc or url.path):
            continue
        if url.scheme not in ("http", "https") or url.hostname is None or url.port is None:
            raise ValueError(f"{flag}: {url.geturl()!r} is not http(s)://HOST:PORT")
    return urls


def _cluster(text: str) -> dict[str, tuple[str, ...]]:
    members: dict[str, tuple[str, ...]] = {}
    for part in text.split(","):
        name, separator, url = part.strip().partition("=")
        if not separator or not name:
            raise ValueError(f"--initial-cluster: {part!r} is not NAME=PEER_URL")
        _urls("--initial-cluster", url)
        members[name] = (*members.get(name, ()), url)
    return members


def _tls(given: argparse.Namespace, prefix: str, *, demand: bool) -> Tls | None:
    cert, key = getattr(given, f"{prefix}cert_file"), getattr(given, f"{prefix}key_file")
    ca = getattr(given, f"{prefix}trusted_ca_file")
    dashed = prefix.replace("_", "-")
    if (cert is None) != (key is None):
        raise ValueError(f"--{dashed}cert-file and --{dashed}key-file go together")
    if cert is None:
        return None
    if demand and ca is None:
        raise ValueError(f"--{dashed}trusted-ca-file is needed to check the certificates of others")
    for path in (cert, key, ca):
        if path is not None and not path.is_file():
            raise ValueError(f"{path} is not a file")
    return Tls(cert, key, ca, demand)


def _check_plain(flag: str, urls: Sequence[SplitResult], tls: Tls | None) -> None:
    for url in urls:
        if url.scheme in ("https", "unixs"):
            if tls is None:
                raise ValueError(f"{flag}: {url.geturl()} needs a certificate and a key")
        elif url.scheme == "http" and not _loopback(url.hostname or ""):
            raise ValueError(f"{flag}: {url.geturl()} would be plain text; only loopback and unix sockets may be")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _retention(mode: str, text: str) -> float:
    """Seconds, or revisions. A bare number is hours in periodic mode, as etcd has it."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    if not match or (mode == "revision" and match[2]):
        raise ValueError(
            f"--auto-compaction-retention: {text!r} is no {'number' if mode == 'revision' else 'duration'}"
        )
    if mode == "revision":
        return float(int(float(match[1])))
    return float(match[1]) * (_UNITS_S[match[2]] if match[2] else 3600.0)
