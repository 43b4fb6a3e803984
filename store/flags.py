"""The flags, with etcd's names, meanings and, where nothing is said, defaults.

What etcd has and this store has not is refused by name (see `arguments`), so is what nobody has. Durations are Go's
(`1h30m`, `100ms`), booleans may stand alone.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from raftsman import logs
from raftsman.store import arguments as sources
from raftsman.store import tokens

QUOTA_BYTES = 2 << 30
REQUEST_BYTES = 3 << 19
"""1.5 MiB, etcd's own default: larger requests are refused."""
REQUEST_BYTES_MAX = 10 << 20
ELECTION_MS_MAX = 50_000
ELECTION_HEARTBEATS_MIN = 5
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LEVELS = {**{level: level for level in logs.LEVELS}, "warn": "warning"}


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of one listener. `client_certificates`: refuse who has none that `ca` signed."""

    cert: Path
    key: Path
    ca: Path | None
    client_certificates: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may ask for. `quota_bytes` is what the state may grow to, 0 without a limit."""

    request_bytes: int = REQUEST_BYTES
    quota_bytes: int = QUOTA_BYTES
    streams: int = 10_000
    ping_min_s: float = 5.0
    ping_every_s: float = 7200.0
    ping_timeout_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Config:
    """What the process runs with. URLs were checked: plain http only on loopback and unix sockets."""

    name: str
    data_dir: Path
    listen_client: tuple[SplitResult, ...]
    advertise_client: tuple[str, ...]
    listen_peer: tuple[SplitResult, ...]
    initial_cluster: dict[str, tuple[str, ...]]
    initial_state: str
    token: str
    client_tls: Tls | None
    peer_tls: Tls | None
    metrics: tuple[SplitResult, ...]
    limits: Limits
    heartbeat_s: float
    election_s: float
    progress_s: float
    authentication: tokens.Settings
    snapshot_count: int
    compaction_mode: str
    compaction_retention: float
    log_level: str


def parse(arguments: Sequence[str] | None = None) -> Config:
    """Read the flags; prints a sentence and exits 2 when they do not make sense."""
    parser = _parser()
    known = [option.removeprefix("--") for action in parser._actions for option in action.option_strings]
    given = sys.argv[1:] if arguments is None else arguments
    try:
        return _config(parser.parse_args(sources.collect(given, os.environ, known=known)))
    except (ValueError, sources.BadArguments) as error:
        parser.error(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="raftsman store", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--name", default="default", help="this member's name in --initial-cluster")
    add("--data-dir", type=Path, help="default: NAME.etcd")
    add("--listen-client-urls", default="http://127.0.0.1:2379")
    add("--advertise-client-urls", default="", help="default: what is listened on")
    add("--listen-peer-urls", default="http://127.0.0.1:2380")
    add("--initial-advertise-peer-urls", default="", help="default: what is listened on")
    add("--initial-cluster", default="", help="NAME=PEER_URL,...; default: this member alone")
    add("--initial-cluster-state", choices=("new", "existing"), default="new", help="existing: join what was added to")
    add("--initial-cluster-token", default="raftsman")
    add("--listen-metrics-urls", default="http://127.0.0.1:2381", help='health, version and metrics; "" for none')
    add("--heartbeat-interval", type=int, default=100, help="milliseconds")
    add("--election-timeout", type=int, default=1000, help="milliseconds")
    add("--snapshot-count", type=int, default=10_000, help="log entries between snapshots")
    add("--auto-compaction-mode", choices=("periodic", "revision"), default="periodic")
    add("--auto-compaction-retention", default="0", help='duration (a bare number: hours), or revisions; "0" is off')
    add("--log-level", choices=tuple(_LEVELS), default="info")
    add(f"--{sources.CONFIG_FILE}", help="a YAML file in place of all other flags")
    _add_tls(parser)
    _add_limits(parser)
    _add_authentication(parser)
    return parser


def _add_tls(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    for prefix, demand in (("", "on with --trusted-ca-file"), ("peer-", "always on with peer certificates")):
        add(f"--{prefix}cert-file", type=Path)
        add(f"--{prefix}key-file", type=Path)
        add(f"--{prefix}trusted-ca-file", type=Path)
        add(f"--{prefix}client-cert-auth", type=_boolean, nargs="?", const=True, default=False, help=demand)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--quota-backend-bytes", type=int, default=0, help="size of the state; 0: 2 GiB, negative: no limit")
    add("--max-request-bytes", type=int, default=REQUEST_BYTES)
    add("--max-concurrent-streams", type=int, default=10_000, help="of one client connection")
    add("--grpc-keepalive-min-time", type=_duration, default=5.0, help="how often a client may ping")
    add("--grpc-keepalive-interval", type=_duration, default=7200.0, help="how often clients are pinged; 0 is off")
    add("--grpc-keepalive-timeout", type=_duration, default=20.0)
    add("--experimental-watch-progress-notify-interval", type=_duration, default=600.0)


def _add_authentication(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--auth-token", default="simple", help="simple, or jwt,sign-method=METHOD,pub-key=FILE,priv-key=FILE,ttl=10m")
    add("--auth-token-ttl", type=int, default=int(tokens.TTL_S), help="seconds that a simple token lives unused")
    add("--bcrypt-cost", type=int, default=tokens.BCRYPT_COST, help="of passwords; a step doubles the time")


def _config(given: argparse.Namespace) -> Config:
    listen_client = parsed_urls("--listen-client-urls", given.listen_client_urls)
    listen_peer = parsed_urls("--listen-peer-urls", given.listen_peer_urls)
    advertised = given.initial_advertise_peer_urls or given.listen_peer_urls
    cluster = parsed_cluster(given.initial_cluster or ",".join(f"{given.name}={url}" for url in advertised.split(",")))
    if given.name not in cluster:
        raise ValueError(f"--initial-cluster does not name this member, {given.name!r}")
    client_tls = _tls(given, "", demand=given.client_cert_auth)
    peer_tls = _tls(given, "peer_", demand=True)
    metrics = parsed_urls("--listen-metrics-urls", given.listen_metrics_urls) if given.listen_metrics_urls else ()
    for flag, urls, tls in (
        ("--listen-client-urls", listen_client, client_tls),
        ("--listen-peer-urls", listen_peer, peer_tls),
        ("--listen-metrics-urls", metrics, client_tls),
    ):
        _check_plain(flag, urls, tls)
    if {url.scheme for url in listen_peer} not in ({"http"}, {"https"}):
        raise ValueError("--listen-peer-urls are all http or all https: unix sockets are for clients")
    if given.snapshot_count < 1:
        raise ValueError("--snapshot-count must be at least 1")
    heartbeat_s, election_s = _timing(given.heartbeat_interval, given.election_timeout)
    return Config(
        name=given.name,
        data_dir=given.data_dir or Path(f"{given.name}.etcd"),
        listen_client=listen_client,
        advertise_client=tuple((given.advertise_client_urls or given.listen_client_urls).split(",")),
        listen_peer=listen_peer,
        initial_cluster=cluster,
        initial_state=given.initial_cluster_state,
        token=given.initial_cluster_token,
        client_tls=client_tls,
        peer_tls=peer_tls,
        metrics=metrics,
        limits=_limits(given),
        heartbeat_s=heartbeat_s,
        election_s=election_s,
        progress_s=given.experimental_watch_progress_notify_interval,
        authentication=_authentication(given),
        snapshot_count=given.snapshot_count,
        compaction_mode=given.auto_compaction_mode,
        compaction_retention=_retention(given.auto_compaction_mode, given.auto_compaction_retention),
        log_level=_LEVELS[given.log_level],
    )


def _timing(heartbeat_ms: int, election_ms: int) -> tuple[float, float]:
    """Seconds; a follower must miss several heartbeats before it gives up on a leader."""
    if heartbeat_ms <= 0 or election_ms <= 0:
        raise ValueError("--heartbeat-interval and --election-timeout are milliseconds above 0")
    if election_ms < ELECTION_HEARTBEATS_MIN * heartbeat_ms:
        raise ValueError(
            f"--election-timeout {election_ms} must be at least {ELECTION_HEARTBEATS_MIN} times "
            f"--heartbeat-interval {heartbeat_ms}"
        )
    if election_ms > ELECTION_MS_MAX:
        raise ValueError(f"--election-timeout {election_ms} is above {ELECTION_MS_MAX}")
    return heartbeat_ms / 1000, election_ms / 1000


def _limits(given: argparse.Namespace) -> Limits:
    if not 0 < given.max_request_bytes <= REQUEST_BYTES_MAX:
        raise ValueError(f"--max-request-bytes must be between 1 and {REQUEST_BYTES_MAX}")
    if given.max_concurrent_streams < 1:
        raise ValueError("--max-concurrent-streams must be at least 1")
    return Limits(
        request_bytes=given.max_request_bytes,
        quota_bytes=max(0, given.quota_backend_bytes or QUOTA_BYTES),
        streams=given.max_concurrent_streams,
        ping_min_s=given.grpc_keepalive_min_time,
        ping_every_s=given.grpc_keepalive_interval,
        ping_timeout_s=given.grpc_keepalive_timeout,
    )


def _authentication(given: argparse.Namespace) -> tokens.Settings:
    if given.auth_token_ttl < 1:
        raise ValueError("--auth-token-ttl must be at least 1")
    if not tokens.BCRYPT_COST_MIN <= given.bcrypt_cost <= tokens.BCRYPT_COST_MAX:
        raise ValueError(f"--bcrypt-cost must be between {tokens.BCRYPT_COST_MIN} and {tokens.BCRYPT_COST_MAX}")
    try:
        keys = tokens.parse(given.auth_token, duration=_duration)
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"--auth-token: {error}") from None
    return tokens.Settings(ttl_s=given.auth_token_ttl, bcrypt_cost=given.bcrypt_cost, keys=keys)


def parsed_urls(flag: str, text: str) -> tuple[SplitResult, ...]:
    """URLs with commas between them. Raises ValueError with the flag's name."""
    urls = tuple(urlsplit(url.strip()) for url in text.split(","))
    for url in urls:
        if url.scheme in ("unix", "unixs") and (url.netloc or url.path):
            continue
        if url.scheme not in ("http", "https") or url.hostname is None or url.port is None:
            raise ValueError(f"{flag}: {url.geturl()!r} is not http(s)://HOST:PORT")
    return urls


def parsed_cluster(text: str) -> dict[str, tuple[str, ...]]:
    """What `--initial-cluster` says: every member's peer URLs. Raises ValueError."""
    members: dict[str, tuple[str, ...]] = {}
    for part in text.split(","):
        name, separator, url = part.strip().partition("=")
        if not separator or not name:
            raise ValueError(f"--initial-cluster: {part!r} is not NAME=PEER_URL")
        parsed_urls("--initial-cluster", url)
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
    return Tls(cert, key, ca, demand or ca is not None)


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


def _boolean(text: str) -> bool:
    """Go's spellings."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")


def _duration(text: str) -> float:
    """Seconds of a duration of Go's."""
    parts = re.findall(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)", text)
    if text == "0":
        return 0.0
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration, such as 1h30m or 500ms")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def _retention(mode: str, text: str) -> float:
    """Seconds, or revisions. A bare number is hours in periodic mode, as etcd has it."""
    if re.fullmatch(r"\d+", text):
        return float(text) * (3600.0 if mode == "periodic" else 1.0)
    if mode == "revision":
        raise ValueError(f"--auto-compaction-retention: {text!r} is no number of revisions")
    try:
        return _duration(text)
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"--auto-compaction-retention: {error}") from error
