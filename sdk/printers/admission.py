"""The cells of webhook configurations and admission policies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from raftsman import times

UNSET = "<unset>"


def webhooks(obj: Any, now: datetime) -> Sequence[str]:
    """Of either kind of configuration."""
    return obj.metadata.name, str(len(obj.webhooks)), times.age(obj.metadata.creation_timestamp, now=now)


def validating_policy(obj: Any, now: datetime) -> Sequence[str]:
    return _policy(obj, len(obj.spec.validations), now)


def mutating_policy(obj: Any, now: datetime) -> Sequence[str]:
    return _policy(obj, len(obj.spec.mutations), now)


def _policy(obj: Any, rules: int, now: datetime) -> Sequence[str]:
    param = obj.spec.param_kind
    kind = f"{param.api_version}/{param.kind}" if obj.spec.HasField("param_kind") else UNSET
    return obj.metadata.name, str(rules), kind, times.age(obj.metadata.creation_timestamp, now=now)


def binding(obj: Any, now: datetime) -> Sequence[str]:
    """Of a policy's."""
    ref = obj.spec.param_ref
    param = UNSET
    if obj.spec.HasField("param_ref"):
        name = ref.name or "*"
        param = f"{ref.namespace}/{name}" if ref.namespace else name
    return obj.metadata.name, obj.spec.policy_name, param, times.age(obj.metadata.creation_timestamp, now=now)
