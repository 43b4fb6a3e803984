"""Make UDP flows forget an endpoint that went.

Reads and deletes connection tracking entries of the opening thread's network namespace. A UDP client that keeps its
port would otherwise be sent to the old endpoint for as long as it keeps sending. TCP ends by itself.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from typing import Any

from .service import Backend, Frontend, Protocol


def forget_stale(live: Mapping[Frontend, frozenset[Backend]]) -> int:
    """Delete the UDP flows to these frontends that go anywhere but to their live backends; returns how many.

    Costs about 20 ms and a read of the whole table: call it from a thread, and only when a UDP backend went.
    """
    # Imported late: more than 100 ms that the agent's start need not wait for.
    from pyroute2 import NFCTSocket

    deleted = 0
    with NFCTSocket() as table:
        for entry in _udp_entries(table):
            original, reply = _tuple(entry, "CTA_TUPLE_ORIG"), _tuple(entry, "CTA_TUPLE_REPLY")
            backends = live.get(Frontend(original.daddr, Protocol.UDP, original.dport))
            if backends is not None and Backend(reply.saddr, reply.sport) not in backends:
                deleted += _delete(table, original)
    return deleted


def _udp_entries(table: Any) -> list[Any]:
    from pyroute2.netlink.exceptions import NetlinkError
    from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple

    # Read to the end first: deleting while the kernel dumps confuses both.
    try:
        return list(table.dump(tuple_orig=NFCTAttrTuple(proto=socket.IPPROTO_UDP)))
    except NetlinkError:  # before kernel 5.8 the dump cannot be filtered
        entries = list(table.dump())
    return [entry for entry in entries if _tuple(entry, "CTA_TUPLE_ORIG").proto == socket.IPPROTO_UDP]


def _tuple(entry: Any, name: str) -> Any:
    from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple

    return NFCTAttrTuple.from_netlink(socket.AF_INET, entry.get_attr(name))


def _delete(table: Any, original: Any) -> int:
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        table.entry("del", tuple_orig=original)
    except NetlinkError as error:
        if error.code != errno.ENOENT:
            raise
        return 0
    return 1
