"""The API server's flags."""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Config:
    """Paths may be empty where a part is not wanted (no TLS to the store, no tokens, no encryption)."""

    bind_address: str
    secure_port: int
    advertise_address: str
    etcd_servers: tuple[str, ...]
    etcd_cafile: str
    etcd_certfile: str
    etcd_keyfile: str
    client_ca_file: str
    requestheader_client_ca_file: str
    requestheader_allowed_names: tuple[str, ...]
    proxy_client_cert_file: str
    proxy_client_key_file: str
    tls_cert_file: str
    tls_private_key_file: str
    service_account_key_file: tuple[str, ...]
    service_account_signing_key_file: str
    service_account_issuer: str
    service_cluster_ip_range: Network
    service_node_port_range: tuple[int, int]
    kubelet_certificate_authority: str
    kubelet_client_certificate: str
    kubelet_client_key: str
    encryption_key_file: str
    root_ca_file: str
    cluster_dns: str
    health_address: str
    control_health_address: str
    max_requests_inflight: int
    max_mutating_requests_inflight: int
    log_level: str


def parse(arguments: Sequence[str] | None = None) -> Config:
    """SystemExit(2) with a sentence on stderr if they are wrong."""
    parser = argparse.ArgumentParser(prog="python -m raftsman.services.apiserver", description=__doc__)
    add = parser.add_argument
    add("--bind-address", default="0.0.0.0")
    add("--secure-port", type=int, default=6443)
    add("--advertise-address", required=True, help="the address under which pods reach this server")
    add("--etcd-servers", default="https://127.0.0.1:2379", help="comma-separated URLs")
    add("--service-cluster-ip-range", type=ipaddress.ip_network, default=ipaddress.ip_network("10.96.0.0/16"))
    add("--service-node-port-range", type=_ports, default=(30000, 32767))
    add("--service-account-issuer", default="https://kubernetes.default.svc.cluster.local")
    add("--service-account-key-file", action="append", default=[], metavar="FILE", help="may be given several times")
    add("--cluster-dns", default="", help="the address of the kube-dns service; the 10th of the range by default")
    add("--health-address", default="127.0.0.1:6444")
    add("--control-health-address", default="127.0.0.1:10257", help="where scheduler and controllers say how they are")
    add("--max-requests-inflight", type=int, default=400, help="with the next, the seats that priority levels share")
    add("--max-mutating-requests-inflight", type=int, default=200)
    add("--log-level", default="info")
    add("--requestheader-allowed-names", default="", help="comma-separated; who may say whom a request is from")
    for flag in (
        "etcd-cafile", "etcd-certfile", "etcd-keyfile", "client-ca-file", "requestheader-client-ca-file",
        "proxy-client-cert-file", "proxy-client-key-file", "tls-cert-file", "tls-private-key-file",
        "service-account-signing-key-file", "kubelet-certificate-authority",
        "kubelet-client-certificate", "kubelet-client-key", "encryption-key-file", "root-ca-file",
    ):  # fmt: skip
        add(f"--{flag}", default="", metavar="FILE", required=flag in ("tls-cert-file", "tls-private-key-file"))
    found = vars(parser.parse_args(arguments))
    found["etcd_servers"] = tuple(filter(None, found["etcd_servers"].split(",")))
    found["service_account_key_file"] = tuple(found["service_account_key_file"])
    found["requestheader_allowed_names"] = tuple(filter(None, found["requestheader_allowed_names"].split(",")))
    found["cluster_dns"] = found["cluster_dns"] or str(found["service_cluster_ip_range"][10])
    return Config(**found)


def _ports(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if not (first.isdigit() and last.isdigit() and 0 < int(first) <= int(last) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port range such as 30000-32767")
    return int(first), int(last)
