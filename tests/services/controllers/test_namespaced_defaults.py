"""Every namespace has its default service account and the cluster's authority."""

from __future__ import annotations

from typing import Any

from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.services.controllers import root_ca, service_accounts
from raftsman.services.controllers.root_ca import RootCaController
from raftsman.services.controllers.service_accounts import ServiceAccountController

from .running import eventually, quiet, running


def namespace(name: str, *, deleting: bool = False) -> core.Namespace:
    made = core.Namespace(metadata=meta.ObjectMeta(name=name))
    made.spec.finalizers.append("kubernetes")
    if deleting:
        made.metadata.deletion_timestamp.seconds = 1
    return made


def test_a_namespace_without_account_gets_one() -> None:
    made = service_accounts.decide(namespace("a"), None)
    assert made is not None
    assert (made.metadata.namespace, made.metadata.name) == ("a", "default")


def test_a_namespace_with_account_or_on_its_way_out_gets_none() -> None:
    assert service_accounts.decide(namespace("a"), core.ServiceAccount()) is None
    assert service_accounts.decide(namespace("a", deleting=True), None) is None
    assert service_accounts.decide(None, None) is None


def test_an_authority_that_somebody_changed_is_repaired_in_place() -> None:
    found = core.ConfigMap(metadata=meta.ObjectMeta(name="kube-root-ca.crt", resource_version="7"))
    found.data["ca.crt"] = "FALSE"
    repaired = root_ca.decide(namespace("a"), found, ca="TRUE")
    assert repaired is not None
    assert (repaired.data["ca.crt"], repaired.metadata.resource_version) == ("TRUE", "7")
    assert root_ca.decide(namespace("a"), repaired, ca="TRUE") is None


async def test_both_appear_in_new_namespaces_and_come_back_when_deleted(fake_api: Any) -> None:
    async with running(fake_api, ServiceAccountController(), RootCaController("PEM")):
        await fake_api.put(namespace("a"))
        await eventually(lambda: fake_api.find(core.ServiceAccount, "default", "a"))
        await eventually(lambda: fake_api.find(core.ConfigMap, "kube-root-ca.crt", "a"))
        await fake_api.remove(fake_api.find(core.ServiceAccount, "default", "a"))
        await fake_api.remove(fake_api.find(core.ConfigMap, "kube-root-ca.crt", "a"))
        await eventually(lambda: fake_api.find(core.ServiceAccount, "default", "a"))
        await eventually(lambda: fake_api.find(core.ConfigMap, "kube-root-ca.crt", "a"))
        await quiet(fake_api)


async def test_a_changed_authority_is_put_right(fake_api: Any) -> None:
    async with running(fake_api, RootCaController("PEM")):
        await fake_api.put(namespace("a"))
        await eventually(lambda: fake_api.find(core.ConfigMap, "kube-root-ca.crt", "a"))
        changed = fake_api.find(core.ConfigMap, "kube-root-ca.crt", "a")
        edited = core.ConfigMap(metadata=changed.metadata, data={"ca.crt": "FALSE", "other": "x"})
        await fake_api.put(edited)
        await eventually(lambda: dict(fake_api.find(core.ConfigMap, "kube-root-ca.crt", "a").data) == {"ca.crt": "PEM"})
