"""Which gRPC methods there are: verbs × kinds, the pods' own, and the server's own."""

from __future__ import annotations

import functools
from typing import Any

from raftsman.core import v1 as core

from .access.tokens import Tokens
from .api import Api
from .kinds import Kind
from .rpc import Custom, Router
from .verbs import (
    about,
    bind,
    components,
    delete,
    dynamic,
    evict,
    finalize,
    patch,
    read,
    reviews,
    scale,
    streams,
    tokens,
    watch,
    write,
)  # fmt: skip
from .verbs.agents import Agents

APISERVER = "raftsman.apiserver.v1.ApiServer"


def register(router: Router, api: Api, issuer: Tokens | None, agents: Agents) -> None:
    for kind in api.registry.builtin:
        if kind.stored:
            _generic(router, api, kind)
        elif kind.computed:
            for verb, read_now in (("Get", components.get), ("List", components.list_)):
                router.unary(kind.resource.service, verb, kind, functools.partial(read_now, api))
        elif kind.message is core.Binding:
            router.unary(kind.resource.service, "Create", kind, functools.partial(bind.create, api))
        else:
            answer = functools.partial(reviews.create, api, issuer)
            router.unary(kind.resource.service, "Create", kind, answer)
    _special(router, api, issuer, agents)
    dynamic.register(router, api, issuer)
    router.customs = functools.partial(_custom, api)
    namespaces = api.kinds["namespaces"]
    for verb, run in (("GetVersion", about.version), ("ListResources", about.resources), ("WhoAmI", about.who)):
        router.unary(APISERVER, verb, namespaces, run)


def _generic(router: Router, api: Api, kind: Kind) -> None:
    service = kind.resource.service
    for verb, run in _verbs(kind).items():
        router.unary(service, verb, kind, functools.partial(run, api))
    router.streaming(service, "Watch", kind, functools.partial(watch.watch, api))


def _custom(api: Api, service: str, verb: str) -> Custom | None:
    """`raftsman.custom.GROUP.VERSION.NAME`, as the SDK's classes of custom resources call it."""
    *group, version, name = service.removeprefix("raftsman.custom.").split(".")
    kind = api.registry.of_path(".".join(group), version, name)
    if kind is None:
        return None
    if verb == "Watch":
        return Custom(kind, functools.partial(watch.watch, api), streams=True)
    run = _verbs(kind).get(verb)
    return Custom(kind, functools.partial(run, api)) if run is not None else None


def _verbs(kind: Kind) -> dict[str, Any]:
    """What can be done with a kind in one call."""
    verbs: dict[str, Any] = {
        "Get": read.get, "List": read.list_, "Create": write.create, "Update": write.update, "Patch": patch.patch,
        "Delete": delete.delete,
    }  # fmt: skip
    if "deletecollection" in kind.resource.facts.verbs:
        verbs["DeleteCollection"] = delete.delete_collection
    if kind.has_status:
        verbs["UpdateStatus"] = write.update_status
    if "scale" in kind.subresources:
        verbs |= {"GetScale": scale.get, "UpdateScale": scale.update}
    for part, found in kind.parts.items():
        verbs[found.verb or f"Update{part.capitalize()}"] = functools.partial(write.update_part, part=part)
    return verbs


def _special(router: Router, api: Api, issuer: Tokens | None, agents: Agents) -> None:
    pods = api.kinds["pods"]
    router.unary(pods.resource.service, "Bind", pods, functools.partial(bind.bind, api))
    router.unary(pods.resource.service, "BindMany", pods, functools.partial(bind.bind_many, api))
    router.unary(pods.resource.service, "Evict", pods, functools.partial(evict.evict, api))
    service = streams.Service(api, agents)
    router.streaming(pods.resource.service, "Logs", pods, functools.partial(streams.logs, service))
    for verb, run in (("Exec", streams.exec_), ("Attach", streams.attach), ("PortForward", streams.port_forward)):
        router.duplex(pods.resource.service, verb, pods, functools.partial(run, service))
    accounts, namespaces = api.kinds["serviceaccounts"], api.kinds["namespaces"]
    router.unary(accounts.resource.service, "CreateToken", accounts, functools.partial(tokens.create, api, issuer))
    router.unary(namespaces.resource.service, "Finalize", namespaces, functools.partial(finalize.finalize, api))
