"""A pod's resolv.conf, host name and domain, from its dnsPolicy and its names. Pure.

ClusterFirst: the cluster's DNS, searching the pod's namespace, the services and the domain, then what the node
searches. Default (and ClusterFirst on the host network): the node's own. None: only dnsConfig.
"""

from __future__ import annotations

from raftsman.agents.node.runtime import Dns, HostAlias
from raftsman.core import v1 as core

SERVERS_MAX = 3
SEARCHES_MAX = 32
HOSTNAME_MAX = 63
CLUSTER_OPTIONS = ("ndots:5",)


def parse_resolv_conf(text: str) -> Dns:
    """The node's own configuration."""
    servers: list[str] = []
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver":
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            searches = tuple(words[1:])
        elif words[0] == "options":
            options = (*options, *words[1:])
    return Dns(tuple(servers), searches, options)


def configure(pod: core.Pod, *, host: Dns, cluster_dns: str, cluster_domain: str) -> Dns:
    """What the pod's resolv.conf says."""
    policy = pod.spec.dns_policy or "ClusterFirst"
    own = pod.spec.dns_config
    clustered = policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not pod.spec.host_network)
    if policy == "None":
        base = Dns()
    elif clustered:
        base = Dns((cluster_dns,), (*_cluster_searches(pod, cluster_domain), *host.searches), CLUSTER_OPTIONS)
    else:
        base = host
    return Dns(
        _unique((*base.servers, *own.nameservers))[:SERVERS_MAX],
        _unique((*base.searches, *own.searches))[:SEARCHES_MAX],
        _options(base.options, own),
    )


def _cluster_searches(pod: core.Pod, domain: str) -> tuple[str, ...]:
    return (f"{pod.metadata.namespace}.svc.{domain}", f"svc.{domain}", domain)


def _unique(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(v for v in values if v))


def _options(base: tuple[str, ...], own: core.PodDNSConfig) -> tuple[str, ...]:
    chosen = {text.partition(":")[0]: text for text in base}
    for option in own.options:
        chosen[option.name] = f"{option.name}:{option.value}" if option.value else option.name
    return tuple(chosen.values())


def hostname_of(pod: core.Pod, *, cluster_domain: str) -> tuple[str, str]:
    """(host name, domain): the domain is "" unless the pod has a subdomain."""
    name = pod.spec.hostname_override or pod.spec.hostname or pod.metadata.name
    name = name[:HOSTNAME_MAX].rstrip("-.")
    if not pod.spec.subdomain or pod.spec.hostname_override:
        return name, ""
    domain = f"{pod.spec.subdomain}.{pod.metadata.namespace}.svc.{cluster_domain}"
    return (f"{name}.{domain}", domain) if pod.spec.set_hostname_as_fqdn else (name, domain)


def host_aliases(pod: core.Pod) -> tuple[HostAlias, ...]:
    return tuple(HostAlias(alias.ip, tuple(alias.hostnames)) for alias in pod.spec.host_aliases)
