"""The control process's flags."""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from raftsman import logs, times


@dataclass(frozen=True, slots=True)
class Config:
    """What the process runs with."""

    kubeconfig_scheduler: Path
    kubeconfig_controllers: Path
    cluster_cidr: str
    node_cidr_mask_size: int
    root_ca_file: Path
    cluster_signing_cert_file: Path | None
    cluster_signing_key_file: Path | None
    cluster_signing_duration: timedelta
    cluster_domain: str
    cluster_dns: str
    health_address: str
    log_level: str


def parse(arguments: Sequence[str] | None = None) -> Config:
    """SystemExit(2) with a sentence on stderr if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m raftsman.services.control", description=__doc__, allow_abbrev=False
    )
    add = parser.add_argument
    add("--kubeconfig-scheduler", type=Path, required=True, metavar="FILE", help="how the scheduler connects")
    add("--kubeconfig-controllers", type=Path, required=True, metavar="FILE", help="how the controllers connect")
    add("--cluster-cidr", type=_network, default="10.244.0.0/16", help="pod addresses, of which each node gets a part")
    add("--node-cidr-mask-size", type=int, default=24, help="the prefix length of a node's part")
    add("--root-ca-file", type=Path, required=True, metavar="FILE", help="what pods may trust the API server by")
    add("--cluster-signing-cert-file", type=Path, metavar="FILE", help="the authority that signs certificate requests")
    add("--cluster-signing-key-file", type=Path, metavar="FILE", help="its private key")
    add("--cluster-signing-duration", type=_duration, default="8760h", help="how long certificates are good, at most")
    add("--cluster-domain", default="cluster.local")
    add("--cluster-dns", default="10.96.0.10", help="the address of the cluster's DNS service")
    add("--health-address", default="127.0.0.1:10257", metavar="HOST:PORT", help="plain HTTP: health and metrics")
    add("--log-level", default="info", choices=logs.LEVELS)
    found = Config(**vars(parser.parse_args(arguments)))
    if (found.cluster_signing_cert_file is None) != (found.cluster_signing_key_file is None):
        parser.error("--cluster-signing-cert-file and --cluster-signing-key-file go together")
    prefix = ipaddress.ip_network(found.cluster_cidr).prefixlen
    if not prefix <= found.node_cidr_mask_size <= 30:
        parser.error(
            f"--node-cidr-mask-size {found.node_cidr_mask_size} must be between {prefix} (the cluster's) and 30"
        )
    return found


def _duration(text: str) -> timedelta:
    try:
        return timedelta(microseconds=times.parse_duration(text) // 1000)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 8760h: {error}") from None


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a network such as 10.244.0.0/16: {error}") from None
