"""The admission webhooks that are configured now, in the order in which they are asked.

Read out of the cache when a configuration changed, not for each request. Configurations come in the order of their
names, the webhooks of one as they stand there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raftsman import selectors
from raftsman.services.apiserver.watchcache.kind_cache import KindCache

from .rules import Rule, rule_of

GROUP = "admissionregistration.k8s.io"
MUTATING = f"mutatingwebhookconfigurations.{GROUP}"
VALIDATING = f"validatingwebhookconfigurations.{GROUP}"
# Nobody is asked about these: a webhook could keep anyone from taking it away.
EXEMPT = frozenset(
    f"{phase}{what}.{GROUP}"
    for phase in ("validating", "mutating")
    for what in ("webhookconfigurations", "admissionpolicies", "admissionpolicybindings")
)


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook. `key` tells it from all others."""

    key: tuple[str, int]
    webhook: Any
    rules: tuple[Rule, ...]
    namespaces: Any
    objects: Any

    @property
    def ignores_failure(self) -> bool:
        return bool(self.webhook.failure_policy == "Ignore")


class Hooks:
    """Reads both kinds of configuration."""

    def __init__(self, caches: Mapping[str, KindCache]) -> None:
        self._caches = {name: caches[name] for name in (MUTATING, VALIDATING)}
        self._found: dict[str, tuple[Hook, ...]] = {}
        for cache in self._caches.values():
            cache.listeners.append(lambda _: self._found.clear())

    def forget(self) -> None:
        """After the caches were filled anew."""
        self._found.clear()

    def of(self, configurations: str) -> tuple[Hook, ...]:
        found = self._found.get(configurations)
        if found is None:
            found = self._found[configurations] = tuple(self._read(configurations))
        return found

    def _read(self, configurations: str) -> list[Hook]:
        found = []
        for cached in sorted(self._caches[configurations].values(), key=lambda one: one.name):
            for index, webhook in enumerate(cached.parsed().webhooks):
                rules = tuple(rule_of(one) for one in webhook.rules)
                found.append(
                    Hook(
                        (cached.name, index),
                        webhook,
                        rules,
                        selectors.from_label_selector(webhook.namespace_selector),
                        selectors.from_label_selector(webhook.object_selector),
                    )
                )
        return found
