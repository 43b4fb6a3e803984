"""kube-proxy's role: service addresses and node ports, on nftables.

What `observed` collects is read by `objects`, compiled by `ruleset`, written down by `transaction` and put into the
kernel by `installed`; `proxy` drives.
"""

from .installed import AnotherCluster, cleanup
from .proxy import Proxy, ProxyConfig

__all__ = ["AnotherCluster", "Proxy", "ProxyConfig", "cleanup"]
