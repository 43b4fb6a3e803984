"""How a member comes to be: from its data directory, by founding a cluster, or by joining one.

Founding and joining ask the other members first. One that was met before, with a data directory that is gone, must not
vote as if nothing had happened: it is refused with the way out. Joining waits JOIN_S for somebody who answers.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

from raftsman import logs
from raftsman.store import cluster, commands, flags
from raftsman.store.commands import Kind
from raftsman.store.mvcc import members
from raftsman.store.raft import discovery, events
from raftsman.store.raft.journal import Beginning

JOIN_S = 30.0
JOIN_RETRY_S = 0.5

log = logs.get(__name__)


class CannotJoin(Exception):
    """A sentence for whoever started the process."""


@dataclass(frozen=True, slots=True)
class Start:
    """Who this member is; `beginning` is set until its log has begun."""

    who: cluster.Cluster
    beginning: Beginning | None


async def settle(config: flags.Config, *, tls: ssl.SSLContext | None) -> Start:
    """Who this member is, written down before anything else is. Raises CannotJoin, BadIdentity and OSError."""
    known = cluster.kept(config.data_dir)
    if known is not None:
        return Start(*known)
    if any((config.data_dir / folder).exists() for folder in ("wal", "snap")):
        raise CannotJoin(
            f"--data-dir {config.data_dir} has a log or a snapshot and no {cluster.FILE}: it was written by an older "
            "version, or the file was removed"
        )
    start = await (_found(config, tls) if config.initial_state == "new" else _join(config, tls))
    cluster.keep(config.data_dir, start.who, start.beginning)
    return start


async def _found(config: flags.Config, tls: ssl.SSLContext | None) -> Start:
    founders = cluster.founders(name=config.name, initial=config.initial_cluster, token=config.token)
    who = cluster.Cluster(founders.cluster, founders.member, cluster.new_instance())
    question = discovery.question(who.name, f"{who.member:x}")
    others = [urls for name, urls in config.initial_cluster.items() if name != config.name]
    for answer in await asyncio.gather(*(discovery.ask(urls, question, tls=tls) for urls in others)):
        if answer is None or answer.cluster != who.name:
            continue
        known = members.Members(answer.members)
        if known.was_removed(who.member):
            raise CannotJoin(events.REMOVED)
        before = known.get(who.member)
        if answer.instance or (before is not None and before.client_urls):  # it has served, by its own word in the log
            raise CannotJoin(events.LOST)
    change = members.Change(members.Action.FOUND, founders.members, founders.cluster)
    operation = commands.Operation(0, Kind.CLUSTER_MEMBER, members.encode(change))
    return Start(who, Beginning(entry=commands.encode_change(operation)))


async def _join(config: flags.Config, tls: ssl.SSLContext | None) -> Start:
    """Become the member that was added with this one's peer addresses."""
    others = [urls for name, urls in config.initial_cluster.items() if name != config.name]
    if not others:
        raise CannotJoin("--initial-cluster-state existing: --initial-cluster names no other member to ask")
    own = config.initial_cluster[config.name]
    try:
        async with asyncio.timeout(JOIN_S):
            while True:
                for urls in others:
                    answer = await discovery.ask(urls, discovery.question("", ""), tls=tls)
                    if answer is not None:
                        return await _as_known_to(answer, urls, own, tls)
                log.info("no member answers yet", asked=",".join(url for urls in others for url in urls))
                await asyncio.sleep(JOIN_RETRY_S)
    except TimeoutError:
        asked = ", ".join(url for urls in others for url in urls)
        raise CannotJoin(f"--initial-cluster-state existing: no member answered at {asked}") from None


async def _as_known_to(
    answer: discovery.Answer, urls: tuple[str, ...], own: tuple[str, ...], tls: ssl.SSLContext | None
) -> Start:
    known = members.Members(answer.members).all()
    me = next((member for member in known if sorted(member.peer_urls) == sorted(own)), None)
    if me is None:
        raise CannotJoin(
            f"the cluster has no member at {','.join(own)}: add it first (`etcdctl member add NAME "
            f"--peer-urls={','.join(own)}`), and start it with the same addresses"
        )
    again = await discovery.ask(urls, discovery.question(answer.cluster, f"{me.id:x}"), tls=tls)
    if me.name or (again is not None and again.instance):
        raise CannotJoin(events.LOST)
    who = cluster.Cluster(int(answer.cluster, 16), me.id, cluster.new_instance())
    return Start(who, Beginning(changed=answer.changed, members=answer.members))
