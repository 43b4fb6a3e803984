"""Cluster DNS: the names of services and pods from memory, everything else forwarded.

A query is read by `wire`, looked up in `zone`, answered by `server` or asked on by `forwarder`; `dns` feeds the zone.
"""

from .dns import AddressInUse, Dns, DnsConfig, cleanup

__all__ = ["AddressInUse", "Dns", "DnsConfig", "cleanup"]
