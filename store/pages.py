"""What a member says over plain HTTP beside gRPC: `/health` and `/version`, as etcd's monitors read them.

`/health` is 200 `{"health":"true","reason":""}`, or 503 with the reason: an alarm (`?exclude=NOSPACE` looks past one),
no leader, or a read that could not be answered; `?serializable=true` asks about this member alone.
"""

from __future__ import annotations

import json

from raftsman import health
from raftsman.etcd import rpc_pb2
from raftsman.store import errors
from raftsman.store.replica import Replica
from raftsman.store.server.maintenance import CLUSTER_VERSION, ETCD_VERSION


class Pages:
    """The pages of one member; counts what it answered, for the metrics."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self.healthy = 0
        self.unhealthy = 0

    def by_path(self) -> dict[str, health.Page]:
        return {"/health": self._health, "/version": self._version}

    async def _health(self, query: dict[str, list[str]]) -> health.Answer:
        reason = await self.trouble(exclude=set(query.get("exclude", ())), alone=query.get("serializable") == ["true"])
        body = json.dumps({"health": "false" if reason else "true", "reason": reason}, separators=(",", ":"))
        if reason:
            self.unhealthy += 1
            return "503 Service Unavailable", "text/plain; charset=utf-8", f"{body}\n".encode()
        self.healthy += 1
        return "200 OK", "application/json", body.encode()

    async def trouble(self, *, exclude: set[str], alone: bool) -> str:
        """Why this member is not healthy, "" when it is. `exclude` names alarms, `alone` asks nobody else."""
        for kind, _ in self._replica.state.alarms.raised():
            name = rpc_pb2.AlarmType.Name(rpc_pb2.AlarmType.ValueType(kind))
            if name not in exclude:
                return f"ALARM {name}"
        if alone:
            return ""
        if self._replica.role.leader is None:
            return "RAFT NO LEADER"
        try:
            await self._replica.up_to_date()
        except errors.StoreError as error:
            return f"RANGE ERROR:{error.text}"
        return ""

    async def _version(self, query: dict[str, list[str]]) -> health.Answer:
        body = json.dumps({"etcdserver": ETCD_VERSION, "etcdcluster": CLUSTER_VERSION}, separators=(",", ":"))
        return "200 OK", "application/json", body.encode()
