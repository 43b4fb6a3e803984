"""Tell the cluster this member's name and where its clients reach it, once it serves: every member can list them then.

Proposed again after RETRY_S until it happened; nothing is proposed when the cluster knows it already.
"""

from __future__ import annotations

import asyncio

from raftsman import logs
from raftsman.store import errors
from raftsman.store.commands import Kind
from raftsman.store.mvcc import members
from raftsman.store.mvcc.auth import ITSELF
from raftsman.store.replica import Replica

RETRY_S = 0.5

log = logs.get(__name__)


async def run(replica: Replica, *, member: int, name: str, client_urls: tuple[str, ...]) -> None:
    """Returns when it is known."""
    wanted = members.Member(member, name=name, client_urls=client_urls)
    while True:
        known = replica.state.members.get(member)
        if known is not None and (known.name, known.client_urls) == (name, client_urls):
            return
        if replica.role.leader is not None:
            try:
                change = members.Change(members.Action.PUBLISH, (wanted,))
                await replica.change_members(Kind.CLUSTER_PUBLISH, change, who=ITSELF)
            except errors.StoreError as error:
                log.debug("not published yet", error=error)
        await asyncio.sleep(RETRY_S)
