"""A flow schema says whether its priority level is there."""

from __future__ import annotations

from typing import Any

from raftsman import times
from raftsman.flowcontrol import v1 as flowcontrol
from raftsman.meta import v1 as meta
from raftsman.services.controllers.flow_schemas import FlowSchemaController, decide

from .running import eventually, running


def a_schema(level: str = "mine") -> flowcontrol.FlowSchema:
    found = flowcontrol.FlowSchema()
    found.metadata.name = "schema"
    found.spec.priority_level_configuration.name = level
    return found


def states(schema: Any) -> list[tuple[str, str, str]]:
    return [(one.type, one.status, one.reason) for one in schema.status.conditions]


def test_only_a_change_is_told() -> None:
    now = meta.Time(seconds=100)
    told = decide(a_schema(), found=False, now=now)
    assert told is not None
    assert states(told) == [("Dangling", "True", "NotFound")]
    assert decide(told, found=False, now=times.now()) is None
    again = decide(told, found=True, now=meta.Time(seconds=200))
    assert again is not None
    assert states(again) == [("Dangling", "False", "Found")]
    assert again.status.conditions[0].last_transition_time.seconds == 200
    assert decide(None, found=True, now=now) is None


async def test_it_follows_the_level(fake_api: Any) -> None:
    level = flowcontrol.PriorityLevelConfiguration()
    level.metadata.name = "mine"

    def told() -> list[tuple[str, str, str]]:
        return states(fake_api.find(flowcontrol.FlowSchema, "schema"))

    async with running(fake_api, FlowSchemaController()):
        await fake_api.put(a_schema())
        await eventually(lambda: told() == [("Dangling", "True", "NotFound")])
        await fake_api.put(level)
        await eventually(lambda: told() == [("Dangling", "False", "Found")])
        await fake_api.remove(level)
        await eventually(lambda: told() == [("Dangling", "True", "NotFound")])
