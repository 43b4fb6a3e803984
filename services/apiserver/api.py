"""What every verb works with, put together once at start."""

from __future__ import annotations

from dataclasses import dataclass, field

from .access.authorization import Authorizer
from .access.identity import User
from .access.nodes import Asked, NodeAuthorizer, node_of
from .admission.resource_quota import Accounts
from .config import Config
from .flowcontrol.control import FlowControl
from .kinds import Kind
from .policies.reading import Policies
from .registry import Registry
from .storage.allocation import Allocator
from .storage.objects import Objects
from .storage.store import Store
from .watchcache.feed import Feed
from .watchcache.kind_cache import KindCache
from .watchcache.views import ViewCache
from .webhooks.caller import Caller
from .webhooks.hooks import Hooks


@dataclass(frozen=True, slots=True)
class Api:
    config: Config
    # By qualified name: the versions that are stored.
    kinds: dict[str, Kind]
    registry: Registry
    store: Store
    feed: Feed
    objects: Objects
    authorizer: Authorizer
    allocator: Allocator
    nodes: NodeAuthorizer
    hooks: Hooks
    policies: Policies
    flow: FlowControl
    caller: Caller
    accounts: Accounts = field(default_factory=Accounts)

    def cache(self, kind: Kind) -> KindCache:
        if kind.view is None:
            return self.feed.cache(kind)
        return ViewCache(kind, self.feed.cache(kind.stored_as))

    def allow(
        self, user: User, verb: str, kind: Kind, *, namespace: str, name: str = "", subresource: str = "",
        node: str = "",
    ) -> None:  # fmt: skip
        """errors.Forbidden unless the roles of `user` allow it. `node`: what a selector says of spec.nodeName."""
        if user.is_master:
            return
        self.authorizer.check(user, verb, kind.resource, namespace=namespace, name=name, subresource=subresource)
        agent_of = node_of(user)
        if agent_of:
            self.nodes.check(Asked(agent_of, verb, namespace, name, subresource, node), kind)
