"""Raftsman's SDK in one file: create, list, patch, watch, wait and delete, typed and async.

    python examples/sdk_watch.py [KUBECONFIG]

Connects as kubectl would ($KUBECONFIG, ~/.kube/config, or the cluster that `raftsman up` started on this machine),
works on one ConfigMap of its own in the namespace `default`, and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import secrets
import sys

from raftsman import ApiError, Client, ConfigError, EventType, PatchType
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

NAME = f"sdk-watch-{secrets.token_hex(3)}"


async def follow(client: Client, started: asyncio.Event) -> None:
    """Print every change of our ConfigMap until it is gone. The watch resumes by itself when a connection breaks."""
    async for event in client.watch(core.ConfigMap, namespace="default", field_selector=f"metadata.name={NAME}"):
        started.set()
        print(f"  watch: {event.type.name:8} {event.object.metadata.name} {dict(event.object.data)}")
        if event.type is EventType.DELETED:
            return


async def main(kubeconfig: str | None) -> None:
    async with Client.from_kubeconfig(kubeconfig) as client:
        version, caller = await client.version(), await client.whoami()
        print(f"connected to Raftsman {version.raftsman_version} ({version.git_version}) as {caller.username}")

        created = await client.create(
            core.ConfigMap(
                metadata=meta.ObjectMeta(name=NAME, namespace="default", labels={"example": "sdk-watch"}),
                data={"colour": "red"},
            )
        )
        print(f"created {created.metadata.name} at revision {created.metadata.resource_version}")

        started = asyncio.Event()
        follower = asyncio.create_task(follow(client, started))
        async with asyncio.timeout(30):
            await started.wait()

        found = await client.list(core.ConfigMap, namespace="default", label_selector="example=sdk-watch")
        print(f"listed {len(found.items)} with our label")

        await client.patch(core.ConfigMap, NAME, {"data": {"colour": "green"}}, type=PatchType.MERGE)
        patched = await client.wait(
            core.ConfigMap, NAME, lambda it: it is not None and it.data["colour"] == "green", timeout_s=30
        )
        print(f"waited until it is {patched.data['colour'] if patched else 'gone'}")

        await client.delete(core.ConfigMap, NAME)
        await client.wait(core.ConfigMap, NAME, lambda it: it is None, timeout_s=30)
        async with asyncio.timeout(30):
            await follower
        print("deleted, and the watch saw it")


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
    except (ApiError, ConfigError, TimeoutError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
