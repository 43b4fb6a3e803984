"""Which gRPC methods there are: verbs × kinds, the pods' own, and the server's own."""

from __future__ import annotations

import functools
from typing import Any

from .access.tokens import Tokens
from .api import Api
from .kinds import Kind
from .rpc import Router
from .verbs import about, bind, delete, evict, finalize, patch, read, reviews, scale, streams, tokens, watch, write
from .verbs.agents import Agents

APISERVER = "raftsman.apiserver.v1.ApiServer"


def register(router: Router, api: Api, issuer: Tokens | None, agents: Agents) -> None:
    for kind in api.registry.builtin:
        if kind.stored:
            _generic(router, api, kind)
        else:
            answer = functools.partial(reviews.create, api, issuer)
            router.unary(kind.resource.service, "Create", kind, answer)
    _special(router, api, issuer, agents)
    namespaces = api.kinds["namespaces"]
    for verb, run in (("GetVersion", about.version), ("ListResources", about.resources), ("WhoAmI", about.who)):
        router.unary(APISERVER, verb, namespaces, run)


def _generic(router: Router, api: Api, kind: Kind) -> None:
    service = kind.resource.service
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
    for part in kind.parts:
        verbs[f"Update{part.capitalize()}"] = functools.partial(write.update_part, part=part)
    for verb, run in verbs.items():
        router.unary(service, verb, kind, functools.partial(run, api))
    router.streaming(service, "Watch", kind, functools.partial(watch.watch, api))


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
