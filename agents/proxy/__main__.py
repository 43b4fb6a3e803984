"""The proxy as a process of its own: `python -m raftsman.agents.proxy`. SIGTERM stops it; the rules stay."""

import argparse
import asyncio
import sys

from raftsman import logs
from raftsman.agents import nft, standalone

from .installed import AnotherCluster, cleanup
from .proxy import Proxy, ProxyConfig

log = logs.get("raftsman.agents.proxy")


def main() -> int:
    options = _parser().parse_args()
    logs.setup(options.log_level)
    try:
        if options.cleanup:
            cleanup(options.instance)
        else:
            asyncio.run(_run(options))
    except (AnotherCluster, nft.NftError, nft.NftUnavailable) as error:
        log.error("the proxy cannot run", error=error)
        return 1
    return 0


async def _run(options: argparse.Namespace) -> None:
    proxy = Proxy(
        ProxyConfig(
            node_name=options.node_name,
            node_addresses=tuple(filter(None, options.node_ip.split(","))),
            cluster_cidr=options.cluster_cidr,
            service_cidr=options.service_cidr,
            served_here=frozenset(filter(None, [options.cluster_dns])),
            instance=options.instance,
        )
    )
    await standalone.run(proxy, name="proxy", kubeconfig=options.kubeconfig, metrics_address=options.metrics_address)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m raftsman.agents.proxy", description=__doc__)
    parser.add_argument("--kubeconfig", default=None)
    parser.add_argument("--node-name", default="")
    parser.add_argument("--node-ip", default="", help="addresses on which node ports answer, separated by commas")
    parser.add_argument("--cluster-cidr", default="10.244.0.0/16")
    parser.add_argument("--service-cidr", default="10.96.0.0/16")
    parser.add_argument("--cluster-dns", default="", help="an address that this node answers itself; not programmed")
    parser.add_argument("--instance", default="", help="distinguishes this cluster's nftables table")
    parser.add_argument("--metrics-address", default="127.0.0.1:10249")
    parser.add_argument("--log-level", default="info", choices=logs.LEVELS)
    parser.add_argument("--cleanup", action="store_true", help="remove the table and end")
    return parser


if __name__ == "__main__":
    sys.exit(main())
