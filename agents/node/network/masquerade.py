"""Pods' traffic to the outside leaves with the node's address; traffic among pods and services keeps the pod's.

One nftables table of its own, `inet raftsman_pods_<instance>`, replaced whole in one transaction.
"""

from __future__ import annotations


def ruleset(table: str, pod_cidr: str, cluster_cidr: str) -> str:
    """Commands that make the table as it should be, whatever was there."""
    return f"""\
add table inet {table}
delete table inet {table}
table inet {table} {{
    chain postrouting {{
        type nat hook postrouting priority srcnat + 5; policy accept;
        ip saddr {pod_cidr} ip daddr != {cluster_cidr} ip daddr != 224.0.0.0/4 oifname != "lo" masquerade
    }}
}}
"""


def removal(table: str) -> str:
    """Commands that remove the table whether or not it exists."""
    return f"add table inet {table}\ndelete table inet {table}\n"


def listing() -> str:
    """Every table of this network namespace, as nft prints them."""
    from raftsman.agents import nft

    with nft.Nft() as session:
        return session.run("list tables inet")


def apply(commands: str) -> None:
    """Run one transaction in this process's network namespace. Blocks for a millisecond; nft.NftError."""
    from raftsman.agents import nft

    with nft.Nft() as session:
        session.run(commands)
