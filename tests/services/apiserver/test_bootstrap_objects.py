"""What a new cluster has from the first second."""

from __future__ import annotations

import asyncio

import pytest
from raftsman import errors
from raftsman.flowcontrol import v1 as flowcontrol
from raftsman.networking import v1 as networking
from raftsman.scheduling import v1 as scheduling
from raftsman.services.apiserver import default_flows
from raftsman.services.apiserver.validation.causes import Causes

from .cluster import Api
from .strategies import kind, told


async def test_the_systems_priorities_are_there_and_stay(api: Api) -> None:
    found = await api.get(scheduling.PriorityClass, "system-node-critical", "")
    assert (found.value, found.preemption_policy, found.metadata.generation) == (2000001000, "PreemptLowerPriority", 1)
    assert (await api.get(scheduling.PriorityClass, "system-cluster-critical", "")).value == 2000000000
    with pytest.raises(errors.Forbidden, match="this is a system priority class and cannot be deleted"):
        await api.delete(scheduling.PriorityClass, "system-node-critical", "")


async def test_every_flow_schema_leads_to_a_level_that_is_there(api: Api) -> None:
    levels = {one.metadata.name for one in (await api.list(flowcontrol.PriorityLevelConfiguration)).items}
    assert levels == {
        "catch-all", "exempt", "global-default", "leader-election", "node-high", "system", "workload-high",
        "workload-low",
    }  # fmt: skip
    schemas = {one.metadata.name: one for one in (await api.list(flowcontrol.FlowSchema)).items}
    assert len(schemas) == 13
    for schema in schemas.values():
        assert schema.spec.priority_level_configuration.name in levels
        assert [(c.type, c.status) for c in schema.status.conditions] == [("Dangling", "False")]
    assert schemas["probes"].spec.rules[0].non_resource_rules[0].verbs == ["get"]
    assert schemas["system-node-high"].spec.rules[0].resource_rules[0].cluster_scope


async def test_the_mandatory_level_may_not_become_another(api: Api) -> None:
    level = await api.get(flowcontrol.PriorityLevelConfiguration, "catch-all", "")
    level.spec.limited.nominal_concurrency_shares = 50
    with pytest.raises(errors.Invalid, match="spec of 'catch-all' must equal the fixed value"):
        await api.update(level)
    exempt = await api.get(flowcontrol.PriorityLevelConfiguration, "exempt", "")
    exempt.spec.exempt.lendable_percent = 10
    assert (await api.update(exempt)).metadata.generation == 2


async def test_the_range_of_service_addresses_is_an_object(api: Api) -> None:
    found = await api.get(networking.ServiceCIDR, "kubernetes", "")
    assert list(found.spec.cidrs) == ["10.96.0.0/16"]
    assert [(c.type, c.status) for c in found.status.conditions] == [("Ready", "True")]


def test_what_is_there_by_default_is_right() -> None:
    for obj in (*default_flows.levels(), *default_flows.schemas()):
        causes, before = Causes(), obj.spec.SerializeToString(deterministic=True)
        strategy = kind(type(obj))
        strategy.default(obj)
        strategy.validate(obj, causes)
        assert told(causes) == {}
        assert obj.spec.SerializeToString(deterministic=True) == before


def test_a_default_flow_is_put_right_unless_somebody_took_it_over() -> None:
    wanted = next(one for one in default_flows.levels() if one.metadata.name == "workload-low")
    found = flowcontrol.PriorityLevelConfiguration()
    found.CopyFrom(wanted)
    assert default_flows.mended(found, wanted) is None
    found.spec.limited.nominal_concurrency_shares = 7
    assert default_flows.mended(found, wanted).spec == wanted.spec
    found.metadata.annotations[default_flows.AUTO_UPDATE] = "false"
    assert default_flows.mended(found, wanted) is None
    exempt = next(one for one in default_flows.levels() if one.metadata.name == "exempt")
    changed = flowcontrol.PriorityLevelConfiguration()
    changed.CopyFrom(exempt)
    changed.spec.exempt.lendable_percent = 10
    assert default_flows.mended(changed, exempt) is None


async def test_a_mandatory_level_comes_back(api: Api) -> None:
    await api.delete(flowcontrol.PriorityLevelConfiguration, "catch-all", "")
    async with asyncio.timeout(20):
        async for _, found in api.watch(flowcontrol.PriorityLevelConfiguration):
            if found.metadata.name == "catch-all":
                break
