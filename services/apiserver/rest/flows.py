"""As what priority and fairness see a request over REST."""

from __future__ import annotations

from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.flowcontrol import control
from raftsman.services.apiserver.flowcontrol.schemas import Asked

from . import measured
from .http import Request
from .paths import Target

_PATH_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def asked(request: Request, target: Target | None) -> Asked | None:
    """None of what lasts and is no watch: a terminal, a log, an upgrade."""
    if target is None:
        return (
            None if measured.lasts(request, target) else Asked(_PATH_VERBS.get(request.method, ""), path=request.path)
        )
    verb = measured.verb(request, target)
    if verb != "watch" and measured.lasts(request, target):
        return None
    resource = target.resource
    what = f"{resource.name}/{target.subresource}" if target.subresource else resource.name
    return Asked("patch" if verb == "apply" else verb, resource.group, what, target.namespace)


def seats(api: Api, request: Request, target: Target | None, verb: str) -> int:
    """Of a list as many as it has objects; of all else one."""
    if target is None or verb not in ("list", "deletecollection"):
        return 1
    limit = request.first("limit")
    count = api.cache(api.registry.of(target.resource)).count(target.namespace)
    return control.list_seats(min(count, int(limit)) if limit.isdigit() and int(limit) > 0 else count)
