"""Where flags come from, as etcd has it: the command line, `ETCD_…` variables, or one YAML file instead of both.

A variable is the flag's name in capitals (`ETCD_DATA_DIR`), and the command line wins. A file given with `--config-file`
holds the flags' names as keys, certificates under `client-transport-security` and `peer-transport-security`; it stands
alone: variables are not read then, and another flag beside it is refused, since one of the two would not count.
What is a flag of etcd's and none here is refused with the sentence in UNSUPPORTED, wherever it was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml

PREFIX = "ETCD_"
CONFIG_FILE = "config-file"

_SECTIONS = {"client-transport-security": "", "peer-transport-security": "peer-"}
_NO_DISCOVERY = "members are named with --initial-cluster, and found nowhere else"
_NO_V2 = "the v2 API is not served"
_NO_PROXY = "there is no proxy mode"
_OWN_CERTIFICATES = "certificates are made by whoever runs the cluster, not by a member for itself"
_WHO_MAY_CONNECT = "whoever has a certificate of the CA may connect; a CA of its own keeps others out"
_ONE_LOG_FOLDER = "log and snapshots live in --data-dir, which may be a mount of its own"
_KEPT_AS_NEEDED = "what the newest snapshot and lagging members need is kept, and nothing else"
_NO_BACKEND = "there is no database file behind the state"

UNSUPPORTED = {
    "wal-dir": _ONE_LOG_FOLDER,
    "max-snapshots": _KEPT_AS_NEEDED,
    "max-wals": _KEPT_AS_NEEDED,
    "backend-batch-interval": _NO_BACKEND,
    "backend-batch-limit": _NO_BACKEND,
    "backend-bbolt-freelist-type": _NO_BACKEND,
    "experimental-backend-bbolt-freelist-type": _NO_BACKEND,
    "experimental-compaction-batch-limit": "a compaction looks only at what changed, and is not cut into batches",
    "max-txn-ops": "a transaction has at most 128 operations a branch",
    "initial-election-tick-advance": "elections are held back only as long as a leader may still be heard",
    "discovery": _NO_DISCOVERY,
    "discovery-fallback": _NO_DISCOVERY,
    "discovery-proxy": _NO_DISCOVERY,
    "discovery-srv": _NO_DISCOVERY,
    "discovery-srv-name": _NO_DISCOVERY,
    "discovery-token": _NO_DISCOVERY,
    "discovery-endpoints": _NO_DISCOVERY,
    "strict-reconfig-check": "a change that would cost the majority is always refused",
    "pre-vote": "elections always begin with a pre-vote",
    "enable-v2": _NO_V2,
    "experimental-enable-v2v3": _NO_V2,
    "v2-deprecation": _NO_V2,
    "client-crl-file": _WHO_MAY_CONNECT,
    "peer-crl-file": _WHO_MAY_CONNECT,
    "client-cert-allowed-hostname": _WHO_MAY_CONNECT,
    "peer-cert-allowed-cn": _WHO_MAY_CONNECT,
    "peer-cert-allowed-hostname": _WHO_MAY_CONNECT,
    "experimental-peer-skip-client-san-verification": "a peer's certificate must name the address that it speaks for",
    "auto-tls": _OWN_CERTIFICATES,
    "peer-auto-tls": _OWN_CERTIFICATES,
    "self-signed-cert-validity": _OWN_CERTIFICATES,
    "cipher-suites": "gRPC's and TLS 1.3's own are used",
    "tls-min-version": "gRPC takes TLS 1.2 and 1.3, peers speak TLS 1.3",
    "tls-max-version": "gRPC takes TLS 1.2 and 1.3, peers speak TLS 1.3",
    "cors": "no browser's API is served",
    "host-whitelist": "no browser's API is served",
    "enable-grpc-gateway": "JSON over HTTP is not served",
    "listen-client-http-urls": "HTTP is served at --listen-metrics-urls: health, version and metrics",
    "enable-pprof": "Go's profiles do not exist here",
    "metrics": "metrics have one level of detail, which is the extensive one",
    "logger": "logs are lines of key=value on stderr",
    "log-format": "logs are lines of key=value on stderr",
    "log-outputs": "logs go to stderr",
    "log-package-levels": "--log-level holds for all of the process",
    "enable-log-rotation": "logs go to stderr",
    "log-rotation-config-json": "logs go to stderr",
    "debug": "that is --log-level=debug",
    "proxy": _NO_PROXY,
    "proxy-failure-wait": _NO_PROXY,
    "proxy-refresh-interval": _NO_PROXY,
    "proxy-dial-timeout": _NO_PROXY,
    "proxy-write-timeout": _NO_PROXY,
    "proxy-read-timeout": _NO_PROXY,
    "experimental-initial-corrupt-check": "members compare the hashes of their states all the time",
    "experimental-corrupt-check-time": "members compare the hashes of their states all the time",
    "corrupt-check-time": "members compare the hashes of their states all the time",
    "experimental-enable-lease-checkpoint": "a new leader gives every lease its whole time again",
    "experimental-warning-apply-duration": "applying an entry slower than 100 ms is counted in the metrics",
    "force-new-cluster": "`raftsman store restore` makes a new cluster from a snapshot",
    "unsafe-no-fsync": "what was answered is on disk",
}


class BadArguments(Exception):
    """A sentence for whoever wrote the flags."""


def collect(given: Sequence[str], environment: Mapping[str, str], *, known: Iterable[str]) -> list[str]:
    """All arguments in one list, later ones winning; `known` are the flags' names. Raises BadArguments."""
    known = set(known)
    given = [_two_dashes(argument, known) for argument in given]
    _refuse_unsupported(name for name in map(_name_of, given) if name)
    path = environment.get(_variable(CONFIG_FILE), "")
    for place, argument in enumerate(given):
        if _name_of(argument) == CONFIG_FILE:
            path = argument.partition("=")[2] or "".join(given[place + 1 : place + 2])
            if len(given) > (1 if "=" in argument else 2):
                raise BadArguments(f"--{CONFIG_FILE} stands alone: beside {path} no other flag would count")
    if path:
        return _of_file(Path(path))
    _refuse_unsupported(name for name in UNSUPPORTED if environment.get(_variable(name)))
    found = [(name, environment.get(_variable(name), "")) for name in sorted(known)]
    return [*(f"--{name}={value}" for name, value in found if value), *given]


def _of_file(path: Path) -> list[str]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadArguments(f"--{CONFIG_FILE}: {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise BadArguments(f"--{CONFIG_FILE}: {path} is not a map of flags to values")
    flat: dict[str, object] = {}
    for key, value in content.items():
        if key in _SECTIONS:
            if not isinstance(value, dict):
                raise BadArguments(f"--{CONFIG_FILE}: {key} in {path} is not a map")
            flat |= {f"{_SECTIONS[key]}{name}": each for name, each in value.items()}
        else:
            flat[str(key)] = value
    set_ = {name: _text(name, value) for name, value in flat.items() if value is not None}
    _refuse_unsupported(name for name, value in set_.items() if value not in ("", "false"))
    return [f"--{name}={value}" for name, value in set_.items() if value and name not in UNSUPPORTED]


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        raise BadArguments(f"--{CONFIG_FILE}: {name} holds a map where one value belongs")
    return str(value)


def _refuse_unsupported(names: Iterable[str]) -> None:
    for name in names:
        if name in UNSUPPORTED:
            raise BadArguments(f"--{name} is not supported: {UNSUPPORTED[name]}")


def _name_of(argument: str) -> str:
    return argument[2:].partition("=")[0] if argument.startswith("--") else ""


def _two_dashes(argument: str, known: set[str]) -> str:
    """Go takes flags with one dash too."""
    name = argument[1:].partition("=")[0]
    return f"-{argument}" if argument.startswith("-") and (name in known or name in UNSUPPORTED) else argument


def _variable(name: str) -> str:
    return PREFIX + name.upper().replace("-", "_")
