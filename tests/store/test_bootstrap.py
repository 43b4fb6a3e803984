"""How a member comes to be, and what it refuses to start with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import SystemRandom
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from members import free_ports
from raftsman.store import bootstrap, cluster
from raftsman.store.bootstrap import CannotJoin
from raftsman.store.mvcc.members import Dumped, Member
from raftsman.store.raft import discovery, events
from raftsman.store.raft.driver import LogGap, Start, open_journal
from raftsman.store.raft.member import Settings

OWN = "http://127.0.0.1:1"


def config(folder: Path, peer: str, *, state: str = "new", own: str = OWN) -> Any:
    return SimpleNamespace(
        data_dir=folder, name="a", initial_state=state, initial_cluster={"a": (own,), "b": (peer,)}, token="t"
    )


async def settle(config: Any) -> bootstrap.Start:
    return await bootstrap.settle(config, tls=None)


@asynccontextmanager
async def peer(dumped: Dumped, *, number: int = 0, instance: str = "", port: int = 0) -> AsyncIterator[str]:
    """Somebody who answers as a member does; it met data directory `instance` of the one that asks."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frame = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "little"))
        asked = msgspec.msgpack.decode(frame)
        met = instance if asked["member"] and int(asked["member"], 16) == number else ""
        answer = discovery.Answer(f"{dumped.cluster:x}", 5, dumped, met)
        data = msgspec.msgpack.encode(answer)
        writer.write(len(data).to_bytes(4, "little") + data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def founded(folder: Path, url: str) -> cluster.Founders:
    return cluster.founders(name="a", initial=config(folder, url).initial_cluster, token="t")


def journal_of(folder: Path, start: bootstrap.Start) -> Any:
    settings = Settings(
        start.who.member, start.who.name, start.who.instance, [], None, folder / "snap", start.beginning,
        random=SystemRandom(),
    )  # fmt: skip
    return open_journal(settings, Start(0, 0, Dumped(), folder / "wal"))


async def test_founders_agree_and_remember_who_they_are(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    given = config(tmp_path, f"http://127.0.0.1:{port}")
    start = await settle(given)
    assert start.who.member == founded(tmp_path, f"http://127.0.0.1:{port}").member
    assert await settle(given) == start


async def test_a_crash_before_the_log_began_loses_nothing_and_one_after_it_begins_nothing_twice(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    given = config(tmp_path, f"http://127.0.0.1:{port}")
    start = await settle(given)
    assert start.beginning is not None
    journal = journal_of(tmp_path, start)
    assert journal.last_index == 1
    journal._destroy()
    again = await settle(given)
    assert again.beginning is not None, "nobody said that the log has it"
    journal = journal_of(tmp_path, again)
    assert journal.last_index == 1
    journal._destroy()
    cluster.keep(tmp_path, again.who, None)
    assert (await settle(given)).beginning is None


async def test_an_empty_log_of_a_member_that_took_part_is_a_loss(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    start = await settle(config(tmp_path, f"http://127.0.0.1:{port}"))
    cluster.keep(tmp_path, start.who, None)
    with pytest.raises(LogGap, match="taken part before"):
        journal_of(tmp_path, await settle(config(tmp_path, "http://127.0.0.1:1")))


@pytest.mark.parametrize("left", ["wal", "snap"])
async def test_a_log_without_an_identity_is_not_taken_for_a_new_member(tmp_path: Path, left: str) -> None:
    (tmp_path / left).mkdir()
    with pytest.raises(CannotJoin, match=r"no member\.json"):
        await settle(config(tmp_path, "http://127.0.0.1:1"))


@pytest.mark.parametrize("damage", [b"", b"{", b"{}", b'{"version": 1}', b"\xff"])
async def test_a_damaged_identity_is_named(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / cluster.FILE).write_bytes(damage)
    with pytest.raises(cluster.BadIdentity, match=r"member\.json"):
        await settle(config(tmp_path, "http://127.0.0.1:1"))


async def test_a_founder_that_was_met_with_another_directory_is_refused(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    who = founded(tmp_path, f"http://127.0.0.1:{port}")
    async with peer(Dumped(who.cluster, who.members), number=who.member, instance="before", port=port) as url:
        with pytest.raises(CannotJoin) as caught:
            await settle(config(tmp_path, url))
    assert str(caught.value) == events.LOST
    assert not (tmp_path / cluster.FILE).exists(), "nothing is left that a second start would take for an identity"


async def test_a_founder_that_has_served_is_refused_also_by_who_never_met_it(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    who = founded(tmp_path, f"http://127.0.0.1:{port}")
    served = tuple(
        msgspec.structs.replace(each, client_urls=("http://c:1",)) if each.id == who.member else each
        for each in who.members
    )
    async with peer(Dumped(who.cluster, served), port=port) as url:
        with pytest.raises(CannotJoin, match="another data directory"):
            await settle(config(tmp_path, url))


async def test_a_founder_that_was_removed_is_refused(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    who = founded(tmp_path, f"http://127.0.0.1:{port}")
    async with peer(Dumped(who.cluster, who.members[1:], (who.member,)), port=port) as url:
        with pytest.raises(CannotJoin, match="removed from the cluster"):
            await settle(config(tmp_path, url))


async def test_a_founder_that_is_late_begins_all_the_same(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    who = founded(tmp_path, f"http://127.0.0.1:{port}")
    async with peer(Dumped(who.cluster, who.members), port=port) as url:
        assert (await settle(config(tmp_path, url))).who.member == who.member


async def test_who_joins_is_who_the_cluster_has_at_its_addresses(tmp_path: Path) -> None:
    members = (Member(3, "b", ("http://b:1",)), Member(4, "", (OWN,), learner=True))
    async with peer(Dumped(7, members)) as url:
        start = await settle(config(tmp_path, url, state="existing"))
    assert (start.who.id, start.who.member) == (7, 4)
    assert start.beginning is not None
    assert (start.beginning.changed, start.beginning.members) == (5, Dumped(7, members))


async def test_who_joins_with_other_addresses_than_were_added_is_told_so(tmp_path: Path) -> None:
    async with peer(Dumped(7, (Member(4, "", (OWN,)),))) as url:
        with pytest.raises(CannotJoin, match=r"has no member at http://127\.0\.0\.1:2: add it first"):
            await settle(config(tmp_path, url, state="existing", own="http://127.0.0.1:2"))


@pytest.mark.parametrize(("name", "instance"), [("a", ""), ("", "before")])
async def test_who_joined_before_and_lost_its_disk_is_refused(tmp_path: Path, name: str, instance: str) -> None:
    async with peer(Dumped(7, (Member(4, name, (OWN,)),)), number=4, instance=instance) as url:
        with pytest.raises(CannotJoin, match="another data directory"):
            await settle(config(tmp_path, url, state="existing"))


async def test_joining_ends_with_a_sentence_when_nobody_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "JOIN_S", 0.2)
    (port,) = free_ports(1)
    with pytest.raises(CannotJoin, match=f"no member answered at http://127.0.0.1:{port}"):
        await settle(config(tmp_path, f"http://127.0.0.1:{port}", state="existing"))
