"""What every verb works with, put together once at start."""

from __future__ import annotations

from dataclasses import dataclass, field

from .access import nodes
from .access.authorization import Authorizer
from .access.identity import User
from .admission.resource_quota import Accounts
from .config import Config
from .kinds import Kind
from .registry import Registry
from .storage.allocation import Allocator
from .storage.objects import Objects
from .storage.store import Store
from .watchcache.feed import Feed
from .watchcache.kind_cache import KindCache


@dataclass(frozen=True, slots=True)
class Api:
    config: Config
    kinds: dict[str, Kind]
    registry: Registry
    store: Store
    feed: Feed
    objects: Objects
    authorizer: Authorizer
    allocator: Allocator
    accounts: Accounts = field(default_factory=Accounts)

    def cache(self, kind: Kind) -> KindCache:
        return self.feed.cache(kind)

    def allow(
        self, user: User, verb: str, kind: Kind, *, namespace: str, name: str = "", subresource: str = ""
    ) -> None:
        """errors.Forbidden unless the roles of `user` allow it."""
        if user.is_master:
            return
        self.authorizer.check(user, verb, kind.resource, namespace=namespace, name=name, subresource=subresource)
        nodes.check(self.feed.caches["pods"], user, verb, kind, namespace=namespace, name=name)
