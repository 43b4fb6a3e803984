"""Default values of limit ranges and resource quotas."""

from __future__ import annotations

from collections.abc import MutableMapping

from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

from . import quantities


def limit_range(found: core.LimitRange) -> None:
    """A container's default limit is the most it may have, its default request that limit, else the least."""
    for item in found.spec.limits:
        for listed in (item.max, item.min, item.default, item.default_request, item.max_limit_request_ratio):
            quantities.canonical(listed)
        if item.type == "Container":
            _fill(item.default, item.max)
            _fill(item.default_request, item.default)
            _fill(item.default_request, item.min)


def _fill(target: MutableMapping[str, meta.Quantity], source: MutableMapping[str, meta.Quantity]) -> None:
    for name in sorted(source):
        if name not in target:
            target[name].CopyFrom(source[name])


def resource_quota(found: core.ResourceQuota) -> None:
    for listed in (found.spec.hard, found.status.hard, found.status.used):
        quantities.canonical(listed)
