"""As what priority and fairness see a request over REST."""

from __future__ import annotations

from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.flowcontrol import control
from raftsman.services.apiserver.flowcontrol.schemas import Asked

from . import measured
from .http import Request
from .paths import Target

LIMIT_DIGITS_MAX = 18
_PATH_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def asked(request: Request, target: Target | None) -> Asked | None:
    """None of what lasts and is no watch: a terminal, a log, an upgrade."""
    if target is None:
        verb = _PATH_VERBS.get(request.method, "")
        return None if measured.lasts(request, target) else Asked(verb, path=request.path)
    verb = measured.verb(request, target)
    if verb != "watch" and measured.lasts(request, target):
        return None
    resource = target.resource
    what = f"{resource.name}/{target.subresource}" if target.subresource else resource.name
    return Asked("patch" if verb == "apply" else verb, resource.group, what, target.namespace)


def seats(api: Api, request: Request, target: Target | None, verb: str) -> int:
    """Of a list as many as it has objects, at most those of a page; of all else one."""
    if target is None or verb not in ("list", "deletecollection"):
        return 1
    kind = api.registry.of(target.resource)
    if not kind.stored:
        return 1
    count, limit = api.cache(kind).count(target.namespace), request.first("limit")
    # What makes no sense is refused by who reads the request.
    if limit.isascii() and limit.isdigit() and 0 < len(limit) <= LIMIT_DIGITS_MAX:
        count = min(count, int(limit)) if int(limit) else count
    return control.list_seats(count)
