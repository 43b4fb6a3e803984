"""Puts the parts together, starts them in order, and stops them in the reverse one.

Order: store → cache → bootstrap objects → gRPC on its Unix socket → TLS port → ready. Stopping: no new connections,
watches are told to go elsewhere, running calls get DRAIN_S, then the rest is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from typing import Any

import grpc
import prometheus_client
from raftsman import errors, health, logs

from . import metrics, routes, terminator
from .access.authentication import Authenticator
from .access.authorization import Authorizer
from .access.nodes import NodeAuthorizer
from .access.tokens import Tokens
from .aggregation.requestheader import FrontProxy
from .api import Api
from .config import Config
from .custom.served import Definitions
from .declarations import table, views
from .flowcontrol.control import FlowControl
from .policies.reading import Policies
from .registry import Registry
from .rest import about, checks
from .rest.handler import Handler
from .rpc import Router
from .standard import Standard
from .storage.allocation import Allocator
from .storage.envelope import Sealer
from .storage.objects import Objects
from .storage.store import LeasePool, Store
from .verbs import watch
from .verbs.agents import Agents
from .watchcache.feed import Feed
from .webhooks.caller import Caller
from .webhooks.hooks import Hooks

DRAIN_S = 3.0
BOOKMARKS_EVERY_S = 60.0
COMPACT_EVERY_S = 300.0
RECEIVE_BYTES_MAX = 4 << 20
SEND_BYTES_MAX = 256 << 20

log = logs.get(__name__)

_OPTIONS = (
    ("grpc.max_receive_message_length", RECEIVE_BYTES_MAX),
    ("grpc.max_send_message_length", SEND_BYTES_MAX),
    ("grpc.max_concurrent_streams", 10_000),
    # Thousands of watches may open at once after a restart.
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 40_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.so_reuseport", 0),
)


class Server:
    """One API server."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._store = Store.connect(
            config.etcd_servers, ca=config.etcd_cafile, cert=config.etcd_certfile, key=config.etcd_keyfile
        )
        self.api = _composed(config, self._store)
        self._definitions = Definitions(self.api)
        self._peers = terminator.Peers()
        self._tokens = _tokens(config, self.api)
        self._agents = Agents(config)
        self._folder = tempfile.mkdtemp(prefix="raftsman-apiserver-")
        self._authenticator = Authenticator(
            self._peers, self._tokens, self.api.authorizer, secrets=self.api.feed.caches["secrets"]
        )
        self.rest = Handler(self.api, self._authenticator, self._tokens, self._agents, health=self._checks())
        self._terminator = terminator.Terminator(
            self._peers, os.path.join(self._folder, "grpc"), self.rest, FrontProxy(config)
        )
        self._grpc: Any = None
        self._health: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.ready = False

    async def start(self) -> None:
        """OSError if an address is in use; waits for the store as long as it takes."""
        started = time.monotonic()
        checks = {"store": self._check_store, "ready": self._check}
        self._health = await health.serve(self._config.health_address, checks)
        self._tasks.append(asyncio.create_task(self.api.feed.run(), name="feed"))
        await self.api.feed.synced.wait()
        from . import bootstrap

        await bootstrap.run(self.api)
        self._tasks.append(asyncio.create_task(self._definitions.run(), name="definitions"))
        self._tasks.append(asyncio.create_task(bootstrap.keep(self.api), name="bootstrap"))
        await self._serve_grpc()
        config = self._config
        tls = terminator.context(
            cert=config.tls_cert_file, key=config.tls_private_key_file,
            client_cas=(config.client_ca_file, config.requestheader_client_ca_file),
        )  # fmt: skip
        await self._terminator.listen(config.bind_address, config.secure_port, tls=tls)
        self._tasks.append(asyncio.create_task(self._bookmarks(), name="bookmarks"))
        self._tasks.append(asyncio.create_task(self.rest.proxy.availability.run(), name="availability"))
        self._tasks.append(asyncio.create_task(self.rest.autoregistration.run(), name="autoregistration"))
        self._tasks.append(asyncio.create_task(self._compactions(), name="compactions"))
        metrics.CONNECTIONS.set_function(lambda: len(self._terminator))
        metrics.build(about.version())
        prometheus_client.REGISTRY.register(metrics.Objects(self._counts))
        self.ready = True
        address = f"{self._config.bind_address}:{self._terminator.port}"
        log.info("serving", address=address, ms=round(1000 * (time.monotonic() - started)))

    async def _serve_grpc(self) -> None:
        authenticate = self._authenticator
        router = Router(authenticate, self.api.flow)
        routes.register(router, self.api, self._tokens, self._agents)
        standard = Standard(router.services, authenticate=authenticate, ready=lambda: self.ready)
        self._grpc = grpc.aio.server(handlers=[router, standard], options=_OPTIONS)
        self._grpc.add_insecure_port(f"unix:{self._folder}/grpc")
        await self._grpc.start()

    async def stop(self) -> None:
        self.ready = False
        self._terminator.stop_listening()
        for cache in self.api.feed.caches.values():
            cache.close_watchers(errors.Unavailable("the API server is shutting down; connect again"))
        if self._grpc is not None:
            await self._grpc.stop(DRAIN_S)
        self._terminator.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._health is not None:
            self._health.close()
        await self._agents.close()
        await self.api.caller.close()
        await self._store.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _checks(self) -> dict[str, checks.Check]:
        """What /livez and /readyz look at, under Kubernetes' names."""
        return {
            "ping": self._check_ping, "etcd": self._check_store, "informer-sync": self._check_synced,
            "shutdown": self._check,
        }  # fmt: skip

    async def _check_ping(self) -> None:
        """That this runs is the answer."""

    async def _check_synced(self) -> None:
        if not self.api.feed.synced.is_set():
            raise RuntimeError("the cache follows the store no more")

    def _counts(self) -> dict[str, int]:
        return {name: len(cache) for name, cache in self.api.feed.caches.items()}

    async def _check_store(self) -> None:
        await self._store.revision()

    async def _check(self) -> None:
        if not self.ready:
            raise RuntimeError("starting")

    async def _bookmarks(self) -> None:
        while True:
            await asyncio.sleep(BOOKMARKS_EVERY_S)
            watch.send_bookmarks(self.api)

    async def _compactions(self) -> None:
        """Let the store forget what is older than one period."""
        before = self.api.feed.revision
        while True:
            await asyncio.sleep(COMPACT_EVERY_S)
            with contextlib.suppress(errors.ApiError):
                await self._store.compact(before)
            before = self.api.feed.revision


def _composed(config: Config, store: Store) -> Api:
    kinds = table()
    registry = Registry((*kinds.values(), *views(kinds)))
    sealer = Sealer.from_file(config.encryption_key_file)
    leases = {name: LeasePool(store, kind.ttl_s) for name, kind in kinds.items() if kind.ttl_s}

    def listed() -> None:
        allocator.forget()
        authorizer.forget()
        hooks.forget()
        policies.forget()
        flow.forget()

    stored = {name: kind for name, kind in kinds.items() if kind.stored}
    feed = Feed(store, sealer, stored, on_other=lambda key, value: allocator.seen(key, value), on_listed=listed)
    objects = Objects(store, sealer, feed, leases)
    allocator = Allocator(objects, network=config.service_cluster_ip_range, ports=config.service_node_port_range)
    authorizer = Authorizer(feed.caches)
    hooks, policies = Hooks(feed.caches), Policies(feed.caches)
    flow = FlowControl(feed.caches, seats=config.max_requests_inflight + config.max_mutating_requests_inflight)
    nodes = NodeAuthorizer(feed.caches)
    return Api(
        config=config,
        kinds=kinds,
        registry=registry,
        store=store,
        feed=feed,
        objects=objects,
        authorizer=authorizer,
        allocator=allocator,
        nodes=nodes,
        hooks=hooks,
        policies=policies,
        flow=flow,
        caller=Caller(feed.caches),
    )


def _tokens(config: Config, api: Api) -> Tokens | None:
    if not config.service_account_key_file and not config.service_account_signing_key_file:
        return None

    def exists(resource: str, namespace: str, name: str, uid: str) -> bool:
        found = api.feed.caches[resource].get(namespace, name)
        return found is not None and found.parsed().metadata.uid == uid

    return Tokens(
        issuer=config.service_account_issuer, key_files=config.service_account_key_file,
        signing_key_file=config.service_account_signing_key_file, exists=exists,
    )  # fmt: skip
