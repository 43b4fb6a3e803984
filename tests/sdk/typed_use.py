"""What a type checker must see in a user's code; `test_typing` reads the answers off the comments."""

from __future__ import annotations

from typing import reveal_type

from raftsman import Client, sync
from raftsman.core import v1 as core
from raftsman.informer import Informers
from raftsman.metadata import Key


async def use(client: Client) -> None:
    reveal_type(await client.get(core.Pod, "p"))  # Pod
    reveal_type(await client.create(core.Node()))  # Node
    reveal_type(await client.patch(core.Secret, "s", {}))  # Secret
    reveal_type(await client.wait(core.Pod, "p", lambda pod: pod is None, timeout_s=1))  # Pod | None
    async for event in client.watch(core.Service):
        reveal_type(event.object)  # Service
    pods = Informers(client).get(core.Pod)
    reveal_type(pods.cache.get(Key("", "p")))  # Pod | None


def use_blocking(client: sync.Client) -> None:
    reveal_type(client.get(core.Pod, "p"))  # Pod
    reveal_type(client.apply(core.Pod, "p", {}, field_manager="me"))  # Pod
    reveal_type(client.wait(core.Pod, "p", lambda pod: pod is None, timeout_s=1))  # Pod | None
    for event in client.watch(core.Service):
        reveal_type(event.object)  # Service
