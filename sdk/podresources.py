"""What a pod as a whole asks for and may use: the sums that quotas and limit ranges count. Pure.

What runs together is added up, init containers that run one after another count with the largest, sidecars (init
containers that are restarted always) with all that run beside and after them; what the pod itself states
(spec.resources) takes the place of the sum, and its overhead comes on top.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from raftsman import quantity
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.quantity import Quantity

Amounts = dict[str, Quantity]
Resources = core.ResourceRequirements


def amounts(found: Mapping[str, meta.Quantity]) -> Amounts:
    """quantity.QuantityError if one cannot be read."""
    return {name: quantity.parse(found[name].string) for name in found}


def requests(spec: core.PodSpec) -> Amounts:
    total = _total(spec, lambda resources: resources.requests)
    _add(total, amounts(spec.overhead))
    return total


def limits(spec: core.PodSpec) -> Amounts:
    """Of what is limited in any container."""
    total = _total(spec, lambda resources: resources.limits)
    _add(total, {name: one for name, one in amounts(spec.overhead).items() if name in total})
    return total


def _total(spec: core.PodSpec, of: Callable[[Resources], Mapping[str, meta.Quantity]]) -> Amounts:
    together: Amounts = {}
    for container in spec.containers:
        _add(together, amounts(of(container.resources)))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.init_containers:
        asked = amounts(of(container.resources))
        _add(asked, sidecars)
        if container.restart_policy == "Always":
            sidecars = asked
            _add(together, amounts(of(container.resources)))
        _raise(peak, asked)
    _raise(together, peak)
    if spec.HasField("resources"):
        together.update(amounts(of(spec.resources)))
    return together


def _add(total: Amounts, more: Amounts) -> None:
    for name, one in more.items():
        total[name] = total[name] + one if name in total else one


def _raise(total: Amounts, other: Amounts) -> None:
    for name, one in other.items():
        total[name] = max(total[name], one) if name in total else one
