"""LimitRanger: a namespace's limit ranges give containers what they leave open, and bound containers, pods and claims.

Every limit range of the namespace applies, in the order of their names. All that is wrong is told at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from raftsman import podresources, quantity
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.podresources import Amounts
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.watchcache.selection import Selection

from .attributes import WRITES, Attributes, Operation, Plugin

ANNOTATION = "kubernetes.io/limit-ranger"
_CONTAINER, _POD, _CLAIM = "Container", "Pod", "PersistentVolumeClaim"

_Given = MutableMapping[str, meta.Quantity]


def _ranges(attributes: Attributes) -> list[core.LimitRange]:
    """Those that apply; of updates of a pod only to one of its size, and none to what is being deleted."""
    if attributes.operation is Operation.UPDATE:
        deleted = attributes.new.metadata.HasField("deletion_timestamp")
        if deleted or (isinstance(attributes.new, core.Pod) and attributes.subresource != "resize"):
            return []
    cache = attributes.api.cache(attributes.api.kinds["limitranges"])
    return [one.parsed() for one in cache.select(Selection(attributes.namespace))]


async def _admit(attributes: Attributes) -> None:
    if isinstance(attributes.new, core.Pod):
        for limit_range in _ranges(attributes):
            complete(attributes.new, limit_range)


def complete(pod: core.Pod, limit_range: core.LimitRange) -> None:
    """Set what containers leave open, and note it in an annotation."""
    limits: dict[str, meta.Quantity] = {}
    requests: dict[str, meta.Quantity] = {}
    for item in limit_range.spec.limits:
        if item.type == _CONTAINER:
            limits |= {name: item.default[name] for name in item.default}
            requests |= {name: item.default_request[name] for name in item.default_request}
    notes: list[str] = []
    for word, containers in (("container", pod.spec.containers), ("init container", pod.spec.init_containers)):
        for container in containers:
            for what, given, wanted in (
                ("request", container.resources.requests, requests), ("limit", container.resources.limits, limits),
            ):  # fmt: skip
                added = _fill(given, wanted)
                if added:
                    notes.append(f"{', '.join(added)} {what} for {word} {container.name}")
    if notes:
        pod.metadata.annotations[ANNOTATION] = f"LimitRanger plugin set: {'; '.join(notes)}"


def _fill(given: _Given, wanted: Mapping[str, meta.Quantity]) -> list[str]:
    added = sorted(name for name in wanted if name not in given)
    for name in added:
        given[name].CopyFrom(wanted[name])
    return added


async def _validate(attributes: Attributes) -> None:
    """errors.Forbidden with all that is out of bounds."""
    wrong: list[str] = []
    for limit_range in _ranges(attributes):
        wrong += violations(attributes.new, limit_range)
    if wrong:
        why = wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]"
        raise failures.forbidden(attributes.call.kind.resource, attributes.name, why)


def violations(obj: Any, limit_range: core.LimitRange) -> list[str]:
    """What a pod or a claim breaks of one limit range."""
    found: list[str] = []
    for item in limit_range.spec.limits:
        for requests, limits in _amounts(obj, item.type):
            found += _broken(item, requests, limits)
    return found


def _amounts(obj: Any, type_: str) -> Iterator[tuple[Amounts, Amounts]]:
    """(requests, limits) of all to which limits of this type apply."""
    if isinstance(obj, core.PersistentVolumeClaim):
        if type_ == _CLAIM:
            requested = podresources.amounts(obj.spec.resources.requests)
            yield requested, requested
    elif type_ == _CONTAINER:
        for container in (*obj.spec.containers, *obj.spec.init_containers):
            resources = container.resources
            yield podresources.amounts(resources.requests), podresources.amounts(resources.limits)
    elif type_ == _POD:
        yield podresources.requests(obj.spec), podresources.limits(obj.spec)


def _broken(item: core.LimitRangeItem, requests: Amounts, limits: Amounts) -> Iterator[str]:
    least, most = podresources.amounts(item.min), podresources.amounts(item.max)
    ratios = podresources.amounts(item.max_limit_request_ratio)
    claim = item.type == _CLAIM
    for name in sorted(least):
        said = f"minimum {name} usage per {item.type} is {least[name]}"
        yield from _too_little(said, least[name], requests.get(name), None if claim else limits.get(name))
    for name in sorted(most):
        said = f"maximum {name} usage per {item.type} is {most[name]}"
        if claim:
            yield from _too_much_requested(said, most[name], requests.get(name))
        else:
            yield from _too_much(said, most[name], requests.get(name), limits.get(name))
    for name in sorted(ratios) if not claim else ():
        said = f"{name} max limit to request ratio per {item.type} is {ratios[name]}"
        yield from _too_far_apart(said, ratios[name], requests.get(name), limits.get(name))


_Amount = quantity.Quantity
_Maybe = quantity.Quantity | None


def _too_little(said: str, bound: _Amount, request: _Maybe, limit: _Maybe) -> Iterator[str]:
    if request is None:
        yield f"{said}.  No request is specified"
    elif request < bound:
        yield f"{said}, but request is {request}"
    elif limit is not None and limit < bound:
        yield f"{said}, but limit is {limit}"


def _too_much(said: str, bound: _Amount, request: _Maybe, limit: _Maybe) -> Iterator[str]:
    if limit is None:
        yield f"{said}.  No limit is specified"
    elif limit > bound:
        yield f"{said}, but limit is {limit}"
    elif request is not None and request > bound:
        yield f"{said}, but request is {request}"


def _too_much_requested(said: str, bound: _Amount, request: _Maybe) -> Iterator[str]:
    if request is None:
        yield f"{said}.  No request is specified"
    elif request > bound:
        yield f"{said}, but request is {request}"


def _too_far_apart(said: str, bound: _Amount, request: _Maybe, limit: _Maybe) -> Iterator[str]:
    if not request:
        yield f"{said}, but no request is specified or request is 0"
    elif not limit:
        yield f"{said}, but no limit is specified or limit is 0"
    elif limit.nano * 10**9 > bound.nano * request.nano:
        yield f"{said}, but provided ratio is {limit.nano / request.nano:f}"


PLUGIN = Plugin(
    "LimitRanger", WRITES, kinds=frozenset({"pods", "persistentvolumeclaims"}),
    subresources=frozenset({"", "resize"}), mutate=_admit, validate=_validate,
)  # fmt: skip
