"""Watches and informers on an API that drops streams, refuses calls, forgets its history and restarts, by seed."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from fake_api import FakeApi
from raftsman import Client, EventType, Key, errors, metadata
from raftsman.client import reflection
from raftsman.core import v1 as core
from raftsman.informer import Informers
from raftsman.meta import v1 as meta

STEPS = 120
NAMES = ("a", "b", "c", "d")


class Mirror:
    """What a reader believes, from events alone; complains when an event does not fit."""

    def __init__(self) -> None:
        self.objects: dict[Key, Any] = {}
        self.complaints: list[str] = []

    def hear(self, kind: EventType, obj: Any) -> None:
        key = metadata.key_of(obj)
        known = self.objects.pop(key, None)
        if (kind is EventType.ADDED) != (known is None):
            self.complaints.append(f"{kind.name} {key} does not fit {known}")
        if kind is EventType.MODIFIED and known is not None:
            if known.metadata.uid != obj.metadata.uid:
                self.complaints.append(f"{key} became another without going")
            if int(known.metadata.resource_version) >= int(obj.metadata.resource_version):
                self.complaints.append(f"{key} went back")
        if kind is not EventType.DELETED:
            self.objects[key] = obj

    def agrees_with(self, api: FakeApi) -> bool:
        truth = {metadata.key_of(obj): obj for obj in api.all(core.ConfigMap)}
        return truth == self.objects


async def misbehave(api: FakeApi, chance: random.Random) -> None:
    """Random writes, and random trouble between them."""
    for step in range(STEPS):
        name = chance.choice(NAMES)
        there = api.find(core.ConfigMap, name, "default")
        if there is not None and chance.random() < 0.3:
            await api.remove(there)
        else:
            made = core.ConfigMap(metadata=meta.ObjectMeta(name=name, namespace="default"), data={"step": str(step)})
            await api.put(made)
        trouble = chance.random()
        if trouble < 0.15:
            await api.drop_streams()
        elif trouble < 0.2:
            api.forget_history()
            await api.drop_streams()
        elif trouble < 0.25:
            api.refusals.append(chance.choice([errors.Unavailable("x"), errors.TooManyRequests("x")]))
        elif trouble < 0.27:
            await api.stop()
            await api.start()
        await asyncio.sleep(chance.random() * 0.01)
    api.refusals.clear()


@pytest.mark.parametrize("seed", range(6))
async def test_readers_end_with_the_truth_and_hear_nothing_impossible(
    api: FakeApi, client: Client, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflection, "PAUSE_MAX_S", 0.1)
    watched, informed = Mirror(), Mirror()
    await client.create(core.ConfigMap(metadata=meta.ObjectMeta(name="first", namespace="default")))

    async def watch() -> None:
        async for event in client.watch(core.ConfigMap):
            watched.hear(event.type, event.object)

    async with Informers(client) as informers, asyncio.TaskGroup() as group:
        maps = informers.get(core.ConfigMap)
        maps.add_handler(lambda kind, old, new: informed.hear(kind, new if new is not None else old))
        await maps.synced()
        watching = group.create_task(watch())
        await misbehave(api, random.Random(seed))
        async with asyncio.timeout(15):
            while not (watched.agrees_with(api) and informed.agrees_with(api)):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert {metadata.key_of(obj): obj for obj in maps.cache} == informed.objects
        watching.cancel()
    assert watched.complaints == informed.complaints == []
