"""What classes that are marked as the default give, and what a new node is given."""

from __future__ import annotations

import secrets

import pytest
from raftsman import errors
from raftsman.core import v1 as core
from raftsman.networking import v1 as networking
from raftsman.storage import v1 as storage

from tests.services.apiserver.cluster import Api, ApiServerProcess


def a_claim(namespace: str, name: str) -> core.PersistentVolumeClaim:
    claim = core.PersistentVolumeClaim()
    claim.metadata.namespace, claim.metadata.name = namespace, name
    claim.spec.access_modes.append("ReadWriteOnce")
    claim.spec.resources.requests["storage"].string = "1Gi"
    return claim


async def test_a_claim_gets_the_default_storage_class_unless_it_names_one(api: Api, namespace: str) -> None:
    default = storage.StorageClass(provisioner="example.com/disk")
    default.metadata.name = f"default-{secrets.token_hex(4)}"
    default.metadata.annotations["storageclass.kubernetes.io/is-default-class"] = "true"
    await api.create(default)
    try:
        assert (await api.create(a_claim(namespace, "open"))).spec.storage_class_name == default.metadata.name
        named = a_claim(namespace, "none")
        named.spec.storage_class_name = ""
        made = await api.create(named)
        assert made.spec.HasField("storage_class_name")
        assert made.spec.storage_class_name == ""
    finally:
        await api.delete(storage.StorageClass, default.metadata.name)
    assert not (await api.create(a_claim(namespace, "later"))).spec.HasField("storage_class_name")


async def test_an_ingress_gets_the_default_class(api: Api, namespace: str) -> None:
    default = networking.IngressClass()
    default.metadata.name = f"default-{secrets.token_hex(4)}"
    default.metadata.annotations["ingressclass.kubernetes.io/is-default-class"] = "true"
    default.spec.controller = "example.com/ingress"
    await api.create(default)
    ingress = networking.Ingress()
    ingress.metadata.namespace, ingress.metadata.name = namespace, "web"
    ingress.spec.default_backend.service.name = "web"
    ingress.spec.default_backend.service.port.number = 80
    try:
        assert (await api.create(ingress)).spec.ingress_class_name == default.metadata.name
    finally:
        await api.delete(networking.IngressClass, default.metadata.name)


def a_node(name: str) -> core.Node:
    node = core.Node()
    node.metadata.name = name
    return node


async def test_a_new_node_takes_no_pods_yet(api: Api) -> None:
    node = await api.create(a_node(f"n-{secrets.token_hex(4)}"))
    assert [(one.key, one.effect) for one in node.spec.taints] == [("node.kubernetes.io/not-ready", "NoSchedule")]


async def test_a_node_changes_of_itself_only_what_is_its_own(server: ApiServerProcess, api: Api) -> None:
    name = f"n-{secrets.token_hex(4)}"
    async with server.client(f"system:node:{name}", groups=("system:nodes",)) as agent:
        claimed = a_node(name)
        claimed.metadata.labels["node-restriction.kubernetes.io/team"] = "red"
        with pytest.raises(errors.Forbidden, match="is not allowed to set the following labels: node-restriction"):
            await agent.create(claimed)
        node = await agent.create(a_node(name))
        node.metadata.labels["kubernetes.io/hostname"] = name
        node = await agent.update(node)
        node.metadata.labels["node-role.kubernetes.io/control-plane"] = ""
        with pytest.raises(errors.Forbidden, match="is not allowed to modify labels: node-role"):
            await agent.update(node)
        del node.metadata.labels["node-role.kubernetes.io/control-plane"]
        del node.spec.taints[:]
        with pytest.raises(errors.Forbidden, match="is not allowed to modify taints"):
            await agent.update(node)
        with pytest.raises(errors.Forbidden, match="is not allowed to modify node"):
            await agent.create(a_node("another"))
