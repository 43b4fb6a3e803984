"""resolv.conf and host names of pods."""

from __future__ import annotations

from raftsman.agents.node.pods import name_resolution
from raftsman.agents.node.runtime import Dns
from raftsman.core import v1 as core

from .builders import pod

HOST = Dns(("192.0.2.53",), ("corp.example",), ("timeout:1",))


def configure(made: core.Pod) -> Dns:
    return name_resolution.configure(made, host=HOST, cluster_dns="10.96.0.10", cluster_domain="cluster.local")


def test_pods_ask_the_cluster_first_and_search_their_namespace() -> None:
    assert configure(pod()) == Dns(
        ("10.96.0.10",),
        ("default.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.example"),
        ("ndots:5",),
    )


def test_a_pod_on_the_host_network_resolves_as_the_node_unless_it_asks_otherwise() -> None:
    made = pod()
    made.spec.host_network = True
    assert configure(made) == HOST
    made.spec.dns_policy = "ClusterFirstWithHostNet"
    assert configure(made).servers == ("10.96.0.10",)


def test_default_is_the_nodes_and_none_is_only_the_pods_own() -> None:
    made = pod()
    made.spec.dns_policy = "Default"
    assert configure(made) == HOST
    made.spec.dns_policy = "None"
    made.spec.dns_config.nameservers.append("192.0.2.9")
    made.spec.dns_config.options.add(name="ndots", value="2")
    made.spec.dns_config.options.add(name="rotate")
    assert configure(made) == Dns(("192.0.2.9",), (), ("ndots:2", "rotate"))


def test_own_options_win_and_servers_are_bounded() -> None:
    made = pod()
    made.spec.dns_config.nameservers.extend(["192.0.2.1", "192.0.2.2", "192.0.2.3"])
    made.spec.dns_config.options.add(name="ndots", value="1")
    found = configure(made)
    assert found.servers == ("10.96.0.10", "192.0.2.1", "192.0.2.2")
    assert found.options == ("ndots:1",)


def test_the_nodes_file_is_read() -> None:
    text = "# made by hand\nnameserver 192.0.2.53 # first\nsearch a.example b.example\noptions ndots:2 rotate\n"
    expected = Dns(("192.0.2.53",), ("a.example", "b.example"), ("ndots:2", "rotate"))
    assert name_resolution.parse_resolv_conf(text) == expected


def test_host_names_and_domains() -> None:
    made = pod()
    assert name_resolution.hostname_of(made, cluster_domain="c.l") == ("web", "")
    made.spec.hostname, made.spec.subdomain = "db-0", "db"
    assert name_resolution.hostname_of(made, cluster_domain="c.l") == ("db-0", "db.default.svc.c.l")
    made.spec.set_hostname_as_fqdn = True
    assert name_resolution.hostname_of(made, cluster_domain="c.l")[0] == "db-0.db.default.svc.c.l"


def test_long_pod_names_are_cut_to_a_host_names_length() -> None:
    made = pod()
    made.metadata.name = "x" * 62 + "-tail"
    assert name_resolution.hostname_of(made, cluster_domain="c.l")[0] == "x" * 62
