"""The command line of each part of a one-machine cluster: nothing here starts anything."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from .layout import Layout
from .settings import Settings


@dataclass(frozen=True, slots=True)
class Process:
    """One part: its name (and its log's), what to execute, and what to add to the environment."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def processes(layout: Layout, settings: Settings) -> tuple[Process, ...]:
    """The four parts, in the order in which they depend on one another."""
    return (
        Process("store", _python("raftsman.store", _store(layout, settings), settings)),
        Process(
            "apiserver",
            _python("raftsman.services.apiserver", _apiserver(layout, settings), settings),
            {"TMPDIR": str(layout.run_dir)},  # its socket then goes with the cluster, however it ends
        ),
        Process("control", _python("raftsman.services.control", _control(layout, settings), settings)),
        Process("agent", _python("raftsman.agents.agent", _agent(layout, settings), settings)),
    )


def cleanup(layout: Layout, *, purge: bool) -> tuple[str, ...]:
    """What removes everything that the node agent made on this machine, once it has stopped."""
    command = (sys.executable, "-m", "raftsman.agents.agent.cleanup", "--data-dir", str(layout.data_dir))
    return (*command, "--purge") if purge else command


def _python(module: str, flags: dict[str, object], settings: Settings) -> tuple[str, ...]:
    words = [f"--{name}={value}" if value is not True else f"--{name}" for name, value in flags.items()]
    return (sys.executable, "-m", module, *words, f"--log-level={settings.log_level}")


def _store(layout: Layout, settings: Settings) -> dict[str, object]:
    pki = layout.pki
    client = f"https://127.0.0.1:{settings.store_client_port}"
    peer = f"https://127.0.0.1:{settings.store_peer_port}"
    return {
        "name": settings.node_name,
        "data-dir": layout.store,
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"{settings.node_name}={peer}",
        "cert-file": pki / "store-server.crt",
        "key-file": pki / "store-server.key",
        "trusted-ca-file": pki / "store-ca.crt",
        "client-cert-auth": True,
        "peer-cert-file": pki / "store-peer.crt",
        "peer-key-file": pki / "store-peer.key",
        "peer-trusted-ca-file": pki / "store-ca.crt",
        "peer-client-cert-auth": True,
        "listen-metrics-urls": f"http://127.0.0.1:{settings.store_metrics_port}",
    }


def _apiserver(layout: Layout, settings: Settings) -> dict[str, object]:
    pki = layout.pki
    return {
        "bind-address": "0.0.0.0",
        "secure-port": settings.secure_port,
        "advertise-address": settings.node_ip,
        "etcd-servers": f"https://127.0.0.1:{settings.store_client_port}",
        "etcd-cafile": pki / "store-ca.crt",
        "etcd-certfile": pki / "apiserver-store-client.crt",
        "etcd-keyfile": pki / "apiserver-store-client.key",
        "client-ca-file": pki / "ca.crt",
        "requestheader-client-ca-file": pki / "front-proxy-ca.crt",
        "requestheader-allowed-names": "front-proxy-client",
        "proxy-client-cert-file": pki / "front-proxy-client.crt",
        "proxy-client-key-file": pki / "front-proxy-client.key",
        "tls-cert-file": pki / "apiserver.crt",
        "tls-private-key-file": pki / "apiserver.key",
        "service-account-key-file": pki / "sa.pub",
        "service-account-signing-key-file": pki / "sa.key",
        "service-account-issuer": f"https://kubernetes.default.svc.{settings.cluster_domain}",
        "service-cluster-ip-range": settings.service_cidr,
        "cluster-dns": settings.dns_ip,
        "kubelet-certificate-authority": pki / "ca.crt",
        "kubelet-client-certificate": pki / "apiserver-kubelet-client.crt",
        "kubelet-client-key": pki / "apiserver-kubelet-client.key",
        "encryption-key-file": layout.encryption_key,
        "root-ca-file": pki / "ca.crt",
        "health-address": f"127.0.0.1:{settings.apiserver_health_port}",
        "control-health-address": f"127.0.0.1:{settings.control_health_port}",
    }


def _control(layout: Layout, settings: Settings) -> dict[str, object]:
    return {
        "kubeconfig-scheduler": layout.kubeconfig("scheduler"),
        "kubeconfig-controllers": layout.kubeconfig("controllers"),
        "cluster-cidr": settings.pod_cidr,
        "root-ca-file": layout.pki / "ca.crt",
        "cluster-signing-cert-file": layout.pki / "ca.crt",
        "cluster-signing-key-file": layout.pki / "ca.key",
        "cluster-domain": settings.cluster_domain,
        "cluster-dns": settings.dns_ip,
        "health-address": f"127.0.0.1:{settings.control_health_port}",
    }


def _agent(layout: Layout, settings: Settings) -> dict[str, object]:
    return {
        "kubeconfig": layout.kubeconfig("agent"),
        "node-name": settings.node_name,
        "node-ip": settings.node_ip,
        "data-dir": layout.data_dir,
        "cluster-domain": settings.cluster_domain,
        "cluster-dns": settings.dns_ip,
        "cluster-cidr": settings.pod_cidr,
        "service-cidr": settings.service_cidr,
        "tls-cert-file": layout.pki / "kubelet-server.crt",
        "tls-private-key-file": layout.pki / "kubelet-server.key",
        "client-ca-file": layout.pki / "ca.crt",
        "port": settings.agent_port,
        "health-address": f"127.0.0.1:{settings.agent_health_port}",
    }
