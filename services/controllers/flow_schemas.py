"""Tell of every flow schema whether the priority level that it leads to is there (its condition Dangling).

Reads FlowSchema and PriorityLevelConfiguration; writes FlowSchema.status.
"""

from __future__ import annotations

from collections.abc import Iterable

from raftsman import times
from raftsman.controller import Controller, Key, Watch
from raftsman.flowcontrol import v1 as flowcontrol
from raftsman.meta import v1 as meta
from raftsman.metadata import key_of

DANGLING = "Dangling"


def decide(schema: flowcontrol.FlowSchema | None, *, found: bool, now: meta.Time) -> flowcontrol.FlowSchema | None:
    """The schema with the status to store, or None. `found`: whether its level is there."""
    if schema is None:
        return None
    level = schema.spec.priority_level_configuration.name
    status, reason, message = (
        ("False", "Found", f'the priority level "{level}" exists')
        if found
        else ("True", "NotFound", f'there is no priority level "{level}"')
    )
    before = next((one for one in schema.status.conditions if one.type == DANGLING), None)
    if before is not None and (before.status, before.reason, before.message) == (status, reason, message):
        return None
    wanted = flowcontrol.FlowSchema()
    wanted.CopyFrom(schema)
    condition = next((one for one in wanted.status.conditions if one.type == DANGLING), None)
    if condition is None:
        condition = wanted.status.conditions.add(type=DANGLING)
    if condition.status != status:
        condition.last_transition_time.CopyFrom(now)
    condition.status, condition.reason, condition.message = status, reason, message
    return wanted


class FlowSchemaController(Controller):
    name = "flow-schemas"

    def __init__(self) -> None:
        self.watches = (
            Watch(flowcontrol.FlowSchema),
            Watch(flowcontrol.PriorityLevelConfiguration, key=self._leading_to, changed=lambda old, new: False),
        )

    def _leading_to(self, level: flowcontrol.PriorityLevelConfiguration) -> Iterable[Key]:
        schemas = self.cache(flowcontrol.FlowSchema).list()
        return [key_of(one) for one in schemas if one.spec.priority_level_configuration.name == level.metadata.name]

    async def reconcile(self, key: Key) -> None:
        schema = self.cache(flowcontrol.FlowSchema).get(key)
        level = Key("", schema.spec.priority_level_configuration.name) if schema is not None else None
        found = level is not None and level in self.cache(flowcontrol.PriorityLevelConfiguration)
        wanted = decide(schema, found=found, now=times.now())
        if wanted is not None:
            await self.client.update_status(wanted)
