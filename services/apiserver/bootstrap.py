"""What exists from the first second: namespaces, the API's own service, the roles."""

from __future__ import annotations

from raftsman import errors
from raftsman.core import v1 as core

from .access.identity import SERVER
from .api import Api
from .rpc import Call
from .verbs.write import create_object

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


async def run(api: Api) -> None:
    kind = api.kinds["namespaces"]
    for name in NAMESPACES:
        if api.cache(kind).get("", name) is None:
            try:
                namespace = core.Namespace()
                namespace.metadata.name = name
                await create_object(api, Call(SERVER, kind, []), namespace)
            except errors.AlreadyExists:
                pass
