"""An operator's day with etcdctl, with certificates everywhere: a member more, promoted, leading, and gone again."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import members
import pytest
from certificates import Authority
from members import Store, free_ports
from test_membership import until
from test_tls import Secured, new, old, secured

__all__ = ["new", "old", "secured"]

pytestmark = pytest.mark.etcdctl


def etcdctl(folder: Path, store: Store, *words: str) -> subprocess.CompletedProcess[str]:
    tls = [f"--cacert={folder}/ca", f"--cert={folder}/cert", f"--key={folder}/key"]
    command = ["etcdctl", "--endpoints", f"https://{store.address}", *tls, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


async def test_a_learner_joins_is_promoted_leads_and_is_removed(secured: Secured, old: Authority) -> None:
    folder, stores = secured.folder, secured.stores

    async def ask(*words: str, at: int = 0, code: int = 0) -> str:
        """Again while the cluster is busy with something else, as an operator would."""
        for _ in range(100):
            done = await asyncio.to_thread(etcdctl, folder, stores[at], *words)
            if done.returncode == code:
                return done.stdout + done.stderr
            await asyncio.sleep(0.2)
        raise AssertionError(done.stdout + done.stderr)

    async def listed() -> dict[str, Any]:
        found = json.loads(await ask("member", "list", "-w", "json"))
        return {member.get("name", ""): member for member in found["members"]}

    async def d_is_there() -> dict[str, Any] | None:
        return (await listed()).get("d")

    client, metrics, peer = free_ports(3)
    own = f"https://127.0.0.1:{peer}"
    said = await ask("member", "add", "d", f"--peer-urls={own}", "--learner")
    assert 'ETCD_INITIAL_CLUSTER_STATE="existing"' in said
    flags = [flag for flag in stores[0].flags if not flag.startswith(("--name", "--initial-cluster", "--listen-peer"))]
    flags = flags[: flags.index("--listen-client-urls")]
    peers = ",".join(f"{each['name']}={each['peerURLs'][0]}" for each in (await listed()).values() if each.get("name"))
    flags += ["--name=d", f"--listen-peer-urls={own}", f"--initial-cluster={peers},d={own}"]
    flags += ["--initial-cluster-state=existing", "--listen-client-urls", f"https://127.0.0.1:{client}"]
    added = Store(folder / "d", client, metrics, flags)
    added.start()
    stores.append(added)
    try:
        number = f"{(await until(d_is_there))['ID']:x}"
        assert f"Member {number} promoted" in await ask("member", "promote", number)
        (row,) = [line for line in (await ask("member", "list", "-w", "table")).splitlines() if number in line]
        assert [cell.strip() for cell in row.split("|")[1:5]] == [number, "started", "d", own]
        status = json.loads(await ask("endpoint", "status", "--cluster", "-w", "json"))
        assert len(status) == 4
        leader = status[0]["Status"]["leader"]
        places = [place for place, _ in enumerate(stores) if await _member(ask, place) == leader]
        assert "Leadership transferred" in await ask("move-leader", number, at=places[0])
        assert await _member(ask, 3) == int(number, 16)
        await ask("put", "a", "b", at=3)
        assert f"Member {number} removed" in await ask("member", "remove", number, at=3)
        assert added.process is not None
        assert await asyncio.to_thread(added.process.wait, 20) == 0
        assert "removed from the cluster" in added.log
        assert "b" in await ask("get", "a")
    finally:
        members._end([added])
        stores.remove(added)


async def _member(ask: Any, place: int) -> int:
    (status,) = json.loads(await ask("endpoint", "status", "-w", "json", at=place))
    return int(status["Status"]["header"]["member_id"])
