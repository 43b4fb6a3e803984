"""The health of the control plane's processes, asked when somebody reads it: ComponentStatus, old and still read.

The scheduler and the controllers share a process, `control`, whose health address the server is told; the store is
asked for its revision. Each is asked within PROBE_S, all at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from raftsman import errors
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.rpc import Call

PROBE_S = 3.0
_ANSWER_BYTES_MAX = 4096
Probe = Callable[[Api], Awaitable[str]]


async def get(api: Api, call: Call, raw: bytes) -> bytes:
    """errors.NotFound if there is no such component."""
    request = meta.GetRequest.FromString(raw)
    api.allow(call.user, "get", call.kind, namespace="", name=request.name)
    probe = _PROBES.get(request.name)
    if probe is None:
        raise failures.not_found(call.kind.resource, request.name)
    return (await _status(api, request.name, probe)).SerializeToString()


async def list_(api: Api, call: Call, raw: bytes) -> bytes:
    """All of them, whatever labels are asked for: they have none. Fields select by name."""
    request = meta.ListRequest.FromString(raw)
    api.allow(call.user, "list", call.kind, namespace="")
    from raftsman import selectors

    labels, fields = selectors.parse_labels(request.label_selector), selectors.parse_fields(request.field_selector)
    wanted = [name for name in _PROBES if labels.matches({}) and fields.matches({"metadata.name": name})]
    found = await asyncio.gather(*(_status(api, name, _PROBES[name]) for name in wanted))
    return core.ComponentStatusList(metadata=meta.ListMeta(), items=found).SerializeToString()


async def _status(api: Api, name: str, probe: Probe) -> core.ComponentStatus:
    found = core.ComponentStatus()
    found.metadata.name = name
    condition = found.conditions.add(type="Healthy", status="True")
    try:
        async with asyncio.timeout(PROBE_S):
            condition.message = await probe(api)
    except (OSError, TimeoutError, errors.ApiError) as error:
        condition.status = "False"
        condition.message = condition.error = str(error) or f"no answer within {PROBE_S:.0f} s"
    return found


async def _control(api: Api) -> str:
    """OSError unless the process says that it lives."""
    host, _, port = api.config.control_health_address.rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: control\r\nConnection: close\r\n\r\n")
        await writer.drain()
        head, _, body = (await reader.read(_ANSWER_BYTES_MAX)).partition(b"\r\n\r\n")
    finally:
        writer.close()
    line = head.partition(b"\r\n")[0].decode("ascii", "replace")
    if " 200 " not in f"{line} ":
        raise OSError(f"{api.config.control_health_address} answers {line or 'nothing'}")
    return body.decode(errors="replace").strip() or "ok"


async def _store(api: Api) -> str:
    await api.store.revision()
    return "ok"


_PROBES: dict[str, Probe] = {"controller-manager": _control, "etcd-0": _store, "scheduler": _control}
