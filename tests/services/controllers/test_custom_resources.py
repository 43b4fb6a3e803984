"""Custom resources and the controllers that look after every kind, with all that `control` runs; and the SDK's ways to
such objects: classes made for them, and dicts."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from raftsman import Client, EventType, custom, errors
from raftsman.apiextensions import v1 as apiextensions
from raftsman.client import PatchType
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

WAIT_S = 60


def definition(group: str) -> dict[str, Any]:
    spec = {"type": "object", "properties": {"size": {"type": "integer", "default": 1}}}
    status = {"type": "object", "properties": {"ready": {"type": "boolean"}}}
    version = {
        "name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}},
        "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
    }  # fmt: skip
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"boxes.{group}"},
        "spec": {
            "group": group, "scope": "Namespaced", "versions": [version],
            "names": {"plural": "boxes", "singular": "box", "kind": "Box", "shortNames": ["bx"]},
        },
    }  # fmt: skip


def established(found: apiextensions.CustomResourceDefinition | None) -> bool:
    return found is not None and any(c.type == "Established" and c.status == "True" for c in found.status.conditions)


@pytest_asyncio.fixture
async def box(client: Client) -> AsyncIterator[type[Any]]:
    """The class of a custom resource of its own."""
    tree = definition(f"g{secrets.token_hex(4)}.example.com")
    name = tree["metadata"]["name"]
    await client.create_manifest(apiextensions.CustomResourceDefinition, tree)
    await client.wait(apiextensions.CustomResourceDefinition, name, established, timeout_s=WAIT_S)
    yield await custom.kind(client, tree["spec"]["group"], "v1", "boxes")
    await client.delete(apiextensions.CustomResourceDefinition, name)


def a_box(box: type[Any], namespace: str, name: str, **spec: Any) -> Any:
    return box(meta.ObjectMeta(name=name, namespace=namespace), {"spec": spec})


async def test_a_class_of_a_custom_resource_is_taken_by_every_verb(
    client: Client, box: type[Any], namespace: str
) -> None:
    made = await client.create(a_box(box, namespace, "a", size=2))
    assert made.content["spec"] == {"size": 2}
    assert made.metadata.generation == 1
    made.content["status"] = {"ready": True}
    assert (await client.update_status(made)).content["status"] == {"ready": True}
    changed = await client.patch(box, "a", {"spec": {"size": None}}, namespace=namespace)
    assert changed.content == {"spec": {"size": 1}, "status": {"ready": True}}
    with pytest.raises(errors.Invalid, match=r"spec\.size in body must be of type integer"):
        await client.patch(box, "a", {"spec": {"size": "x"}}, namespace=namespace)
    listed = await client.list(box, namespace=namespace)
    assert [one.metadata.name for one in listed.items] == ["a"]
    async for event in client.watch(box, namespace=namespace):
        assert (event.type, event.object.metadata.name) == (EventType.ADDED, "a")
        break
    await client.apply(box, "a", {"apiVersion": box.RESOURCE.api_version, "kind": "Box", "spec": {"size": 5}},
                       field_manager="me", namespace=namespace, force=True)  # fmt: skip
    assert (await client.get(box, "a", namespace=namespace)).content["spec"] == {"size": 5}
    await client.delete(box, "a", namespace=namespace)
    with pytest.raises(errors.NotFound):
        await client.get(box, "a", namespace=namespace)


async def test_any_resource_is_reached_by_its_name(client: Client, box: type[Any], namespace: str) -> None:
    resource = box.RESOURCE
    boxes = client.dynamic(resource.group, resource.version, resource.name)
    tree = {"apiVersion": resource.api_version, "kind": "Box", "metadata": {"name": "a", "namespace": namespace}}
    made = await boxes.create(tree)
    assert made["kind"] == "Box"
    made["spec"] = {"size": 3}
    assert (await boxes.update(made))["spec"] == {"size": 3}
    changed = await boxes.patch("a", [{"op": "replace", "path": "/spec/size", "value": 4}], namespace=namespace,
                                type=PatchType.JSON)  # fmt: skip
    items, header = await boxes.list(namespace=namespace)
    assert items == [changed]
    assert header.resource_version
    async for event in boxes.watch(namespace=namespace):
        assert event.object == changed
        break
    with pytest.raises(errors.ApiError, match="takes JSON patches, merge patches and apply patches"):
        await boxes.patch("a", {}, namespace=namespace, type=PatchType.STRATEGIC)
    with pytest.raises(errors.NotFound, match='could not find the resource "nothing"'):
        await client.dynamic("example.com", "v1", "nothing").get("a")
    await boxes.delete("a", namespace=namespace)
    maps = client.dynamic("", "v1", "configmaps")
    await maps.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"k": "v"}},
                      namespace=namespace)  # fmt: skip
    assert (await maps.get("m", namespace=namespace))["data"] == {"k": "v"}
    scale = await client.resources()
    assert any(one.custom and one.resource.name == "boxes" for one in scale.resources)


async def test_what_a_custom_resource_owns_goes_with_it(client: Client, box: type[Any], namespace: str) -> None:
    owner = await client.create(a_box(box, namespace, "owner"))
    reference = meta.OwnerReference(
        api_version=box.RESOURCE.api_version, kind="Box", name="owner", uid=owner.metadata.uid
    )
    owned = core.ConfigMap(metadata=meta.ObjectMeta(name="owned", namespace=namespace, owner_references=[reference]))
    await client.create(owned)
    inner = a_box(box, namespace, "inner")
    inner.metadata.owner_references.append(reference)
    await client.create(inner)
    await client.delete(box, "owner", namespace=namespace)
    await client.wait(core.ConfigMap, "owned", lambda o: o is None, namespace=namespace, timeout_s=WAIT_S)
    await client.wait(box, "inner", lambda o: o is None, namespace=namespace, timeout_s=WAIT_S)


async def test_a_namespace_is_emptied_of_custom_resources(client: Client, box: type[Any]) -> None:
    name = f"t-{secrets.token_hex(4)}"
    await client.create(core.Namespace(metadata=meta.ObjectMeta(name=name)))
    await client.create(a_box(box, name, "a"))
    await client.delete(core.Namespace, name)
    await client.wait(core.Namespace, name, lambda o: o is None, timeout_s=WAIT_S)
    assert not (await client.list(box, namespace=name)).items
