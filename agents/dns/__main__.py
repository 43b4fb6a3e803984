"""Cluster DNS as a process of its own: `python -m raftsman.agents.dns`. SIGTERM stops it; its address stays."""

import argparse
import asyncio
import sys
from pathlib import Path

from raftsman import logs
from raftsman.agents import standalone

from .dns import AddressInUse, Dns, DnsConfig, cleanup

log = logs.get("raftsman.agents.dns")


def main() -> int:
    options = _parser().parse_args()
    logs.setup(options.log_level)
    try:
        if options.cleanup:
            cleanup()
        else:
            asyncio.run(_run(options))
    except AddressInUse as error:
        log.error("cluster DNS cannot run", error=error)
        return 1
    return 0


async def _run(options: argparse.Namespace) -> None:
    dns = Dns(
        DnsConfig(
            address=options.cluster_dns,
            service_cidr=options.service_cidr,
            cluster_cidr=options.cluster_cidr,
            domain=options.cluster_domain,
            port=options.port,
            resolv_conf=options.resolv_conf,
        )
    )
    await standalone.run(dns, name="dns", kubeconfig=options.kubeconfig, metrics_address=options.metrics_address)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m raftsman.agents.dns", description=__doc__)
    parser.add_argument("--kubeconfig", default=None)
    parser.add_argument("--cluster-dns", default="10.96.0.10", help="the address to answer on")
    parser.add_argument("--port", type=int, default=53)
    parser.add_argument("--cluster-domain", default="cluster.local")
    parser.add_argument("--cluster-cidr", default="10.244.0.0/16")
    parser.add_argument("--service-cidr", default="10.96.0.0/16")
    parser.add_argument("--resolv-conf", type=Path, default=Path("/etc/resolv.conf"))
    parser.add_argument("--metrics-address", default="127.0.0.1:9153")
    parser.add_argument("--log-level", default="info", choices=logs.LEVELS)
    parser.add_argument("--cleanup", action="store_true", help="remove the address and end")
    return parser


if __name__ == "__main__":
    sys.exit(main())
