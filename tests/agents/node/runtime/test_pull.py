"""Pulling from a real registry."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path

import pytest
from raftsman.agents.node import runtime as node_runtime

spec = importlib.util.spec_from_file_location("registry", Path(__file__).with_name("registry.py"))
registry = importlib.util.module_from_spec(spec)
spec.loader.exec_module(registry)

pytestmark = pytest.mark.asyncio(loop_scope="module")
ABSENT, ALWAYS = node_runtime.PullPolicy.IF_NOT_PRESENT, node_runtime.PullPolicy.ALWAYS


@pytest.fixture
def server(node):
    started = registry.Registry()
    yield started
    started.close()


async def test_an_absent_image_is_pulled_once_for_all_who_wait(node, server):
    name = f"{server.address}/app:1"
    found = await asyncio.gather(*(node.runtime.images.ensure(name, ABSENT) for _ in range(5)))
    assert {image.id for image in found} == {found[0].id}
    assert found[0].user == "65532"
    first = server.requests
    await node.runtime.images.ensure(name, ABSENT)
    assert server.requests == first
    await node.runtime.images.ensure(name, ALWAYS)
    assert server.requests > first
    await node.runtime.images.remove(name)
    assert await node.runtime.images.find(name) is None
    with pytest.raises(node_runtime.NotFound):
        await node.runtime.images.remove(name)


async def test_an_unknown_image_is_a_typed_error_with_the_registrys_words(node, server):
    with pytest.raises(node_runtime.ImagePullError, match="manifest unknown") as refused:
        await node.runtime.images.ensure(f"{server.address}/none:1", ABSENT)
    assert refused.value.reason == "ErrImagePull"


async def test_the_credentials_that_open_the_registry_are_found(node):
    server = registry.Registry(password="right")
    name = f"{server.address}/app:1"
    wrong, right = (node_runtime.Credentials("user", word) for word in ("wrong", "right"))
    assert "right" not in repr(right)
    try:
        with pytest.raises(node_runtime.ImagePullError):
            await node.runtime.images.ensure(name, ABSENT)
        await node.runtime.images.ensure(name, ABSENT, credentials=(wrong, right))
    finally:
        server.close()


async def test_the_demo_image_is_loaded_beside_a_running_service_and_only_once(node, data_dir):
    await node.runtime.images.remove("localhost/raftsman-demo:2")
    assert await node.runtime.images.find("localhost/raftsman-demo:2") is None
    script = Path(__file__).parents[4] / "scripts" / "demo-image"
    said = [await load(script, data_dir) for _ in range(2)]
    assert said[0].startswith("loaded localhost/raftsman-demo:2 into")
    assert said[1].endswith("are there already\n")
    assert await node.runtime.images.find("localhost/raftsman-demo:2") is not None


async def load(script: Path, data_dir: Path) -> str:
    process = await asyncio.create_subprocess_exec(script, "--data-dir", data_dir, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return output.decode()
