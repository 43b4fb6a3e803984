"""What a request counts as in the metrics, and whether it lasts: a watch, a log, a terminal."""

from __future__ import annotations

import functools

from raftsman.resources import Resource
from raftsman.services.apiserver import metrics

from . import requests
from .http import Request
from .paths import Target

_METHODS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_CONNECTED = frozenset({"exec", "attach", "portforward", "proxy"})


def of(request: Request, target: Target) -> metrics.Request:
    """The counters of such requests."""
    return _counters(verb(request, target), target.resource, _part(target), _scope(target))


def lasts(request: Request, target: Target | None) -> bool:
    """Whether it may go on for as long as the client likes; of what another server answers, watches and upgrades."""
    if target is None:
        return request.upgrade or requests.asks_to_watch(request)
    return _watches(request, target) or target.subresource in _CONNECTED or target.subresource == "log"


@functools.cache
def _counters(name: str, resource: Resource, part: str, scope: str) -> metrics.Request:
    return metrics.Request(name, resource, subresource=part, scope=scope)


def _watches(request: Request, target: Target) -> bool:
    return request.method in ("GET", "HEAD") and (target.watch or requests.asks_to_watch(request))


def verb(request: Request, target: Target) -> str:
    """As authorization and metrics call it, and `apply` and `connect`."""
    if target.subresource in _CONNECTED:
        return "connect"
    if request.method in ("GET", "HEAD"):
        return "watch" if _watches(request, target) else "get" if target.name else "list"
    if request.method == "DELETE" and not target.name:
        return "deletecollection"
    if request.method == "PATCH" and requests.is_apply(request):
        return "apply"
    return _METHODS.get(request.method, "other")


def _part(target: Target) -> str:
    """Only names that are known: there must not be a counter for whatever somebody asks."""
    if not target.subresource:
        return ""
    known = {part.name for part in target.resource.facts.subresources}
    return target.subresource if target.subresource in known else ""


def _scope(target: Target) -> str:
    if target.name:
        return "resource"
    return "namespace" if target.namespace else "cluster"
