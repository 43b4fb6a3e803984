"""The agent's process: flags, one client, shared informers, the parts side by side, health, an orderly end.

Ready (to /readyz and to $NOTIFY_SOCKET) once the API has the node as Ready and the proxy and DNS serve. SIGTERM and
SIGINT end it: Podman's service stops, containers, rules and addresses stay. Exit code 1 with a sentence if a part
cannot run on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import signal
from pathlib import Path

from raftsman import health, logs
from raftsman.agents.dns import AddressInUse, Dns, DnsConfig
from raftsman.agents.node.node import NodeAgent
from raftsman.agents.node.runtime import RuntimeFault
from raftsman.agents.node.runtime.runtime import Runtime, RuntimeConfig
from raftsman.agents.node.settings import Settings
from raftsman.agents.proxy import AnotherCluster, Proxy, ProxyConfig
from raftsman.client import Client, ConfigError
from raftsman.informer import Informers

log = logs.get("raftsman.agents.agent")

STOP_TIMEOUT_S = 5.0


def main() -> int:
    """Run until a signal; the process's exit code."""
    options = _parser().parse_args()
    logs.setup(options.log_level)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(options))


async def _run(options: argparse.Namespace) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    working = asyncio.create_task(_work(_settings(options), options), name="agent")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    working.cancel()
    outcome = (await asyncio.gather(working, return_exceptions=True))[0]
    if isinstance(outcome, Exception):
        for error in _leaves(outcome):
            known = isinstance(error, (RuntimeFault, AddressInUse, AnotherCluster, ConfigError, OSError))
            log.error("the agent cannot run", error=error, exc_info=None if known else error)
        return 1
    log.info("agent stopped; containers go on")
    return 0


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]


async def _work(settings: Settings, options: argparse.Namespace) -> None:
    """Until cancelled, or until a part cannot go on."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    runtime = Runtime(RuntimeConfig(data_dir=settings.data_dir))
    proxy, dns = _proxy(settings), _dns(settings)
    async with Client.from_kubeconfig(options.kubeconfig) as client:
        informers = Informers(client)
        node = NodeAgent(settings, client, informers=informers, runtime=runtime, departed=proxy.departed)
        checks = {"node": node.ready, "proxy": proxy.ready, "dns": dns.ready}
        server = await health.serve(options.health_address, checks)
        try:
            async with informers, asyncio.TaskGroup() as group:
                group.create_task(node.run(), name="node")
                group.create_task(proxy.run(client, informers=informers), name="proxy")
                group.create_task(dns.run(client, informers=informers), name="dns")
                group.create_task(_announce(node, proxy, dns), name="announce")
        finally:
            server.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await runtime.stop()


async def _announce(node: NodeAgent, proxy: Proxy, dns: Dns) -> None:
    await asyncio.gather(node.wait_ready(), proxy.wait_ready(), dns.wait_ready())
    health.notify_ready()
    log.info("agent ready")


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        node_name=options.node_name,
        node_ip=options.node_ip,
        data_dir=options.data_dir.resolve(),
        cluster_domain=options.cluster_domain,
        cluster_dns=options.cluster_dns,
        cluster_cidr=options.cluster_cidr,
        service_cidr=options.service_cidr,
        port=options.port,
        tls_cert_file=options.tls_cert_file,
        tls_private_key_file=options.tls_private_key_file,
        client_ca_file=options.client_ca_file,
    )


def _proxy(settings: Settings) -> Proxy:
    return Proxy(
        ProxyConfig(
            node_name=settings.node_name,
            node_addresses=(settings.node_ip,),
            cluster_cidr=settings.cluster_cidr,
            service_cidr=settings.service_cidr,
            served_here=frozenset({settings.cluster_dns}),
            instance=settings.layout.instance,
        )
    )


def _dns(settings: Settings) -> Dns:
    return Dns(
        DnsConfig(
            address=settings.cluster_dns,
            service_cidr=settings.service_cidr,
            cluster_cidr=settings.cluster_cidr,
            domain=settings.cluster_domain,
        )
    )


def _address(text: str) -> str:
    return str(ipaddress.ip_address(text))


def _network(text: str) -> str:
    return str(ipaddress.ip_network(text))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m raftsman.agents.agent", description=__doc__)
    parser.add_argument("--kubeconfig", required=True, help="the node's identity, system:node:NAME")
    parser.add_argument("--node-name", required=True)
    parser.add_argument("--node-ip", required=True, type=_address, help="this machine's address for the cluster")
    parser.add_argument("--data-dir", type=Path, default=Path("/var/lib/raftsman"))
    parser.add_argument("--cluster-domain", default="cluster.local")
    parser.add_argument("--cluster-dns", type=_address, default="10.96.0.10")
    parser.add_argument("--cluster-cidr", type=_network, default="10.244.0.0/16")
    parser.add_argument("--service-cidr", type=_network, default="10.96.0.0/16")
    parser.add_argument("--tls-cert-file", type=Path, required=True)
    parser.add_argument("--tls-private-key-file", type=Path, required=True)
    parser.add_argument("--client-ca-file", type=Path, required=True)
    parser.add_argument("--port", type=int, default=10250)
    parser.add_argument("--health-address", default="127.0.0.1:10248")
    parser.add_argument("--log-level", default="info", choices=logs.LEVELS)
    return parser
