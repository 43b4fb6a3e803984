"""What exists from the first second: namespaces, roles and bindings, priorities, flow control, the API's own service
and the cluster DNS's.

Whatever is missing is created; what is there is left as its owner made it, except that default roles get back what
they lack, and that the endpoints of the `kubernetes` service follow the advertised address. Everything but the two
services goes into as few transactions as it fits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from raftsman import errors, times
from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery
from raftsman.etcd import rpc_pb2
from raftsman.networking import v1 as networking
from raftsman.scheduling import v1 as scheduling

from . import bootstrap_roles, default_flows
from .access.identity import SERVER
from .admission import priority
from .aggregation import registrations, requestheader
from .api import Api
from .kinds import Kind
from .rest import builtin
from .rpc import Call
from .storage import keys, objects, store
from .storage.objects import Change
from .verbs.write import create_object, prepared_create, prepared_update
from .watchcache.object import CachedObject

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
# etcd's own limit of operations in a transaction is 128.
OPERATIONS_MAX = 100
CHECK_EVERY_S = 2.0


async def run(api: Api) -> None:
    """Returns when all of it is in the store and in the cache."""
    wanted = [
        *_namespaces(),
        *bootstrap_roles.all_of_them(),
        *_priorities(),
        *_flows(),
        *_ranges(api),
        *_endpoints(api),
        *_registrations(),
        *_trust(api),
    ]
    missing = [obj for obj in wanted if _cached(api, obj) is None]
    for start in range(0, len(missing), OPERATIONS_MAX):
        await _create_all(api, missing[start : start + OPERATIONS_MAX])
    await api.feed.fresh()
    for obj in bootstrap_roles.all_of_them():
        await _mend(api, obj, bootstrap_roles.mended)
    for obj in _flows():
        await _mend(api, obj, default_flows.mended)
    for service in _services(api):
        if _cached(api, service) is None:
            with contextlib.suppress(errors.AlreadyExists):
                await create_object(api, _call(api, service), service)
    for obj in (*_endpoints(api), *_trust(api)):
        await _follow(api, obj)
    api.authorizer.forget()


async def keep(api: Api) -> None:
    """Do it again whenever something went that must be there, or the store's contents turned out to be others."""
    done = api.feed.listings
    while True:
        await asyncio.sleep(CHECK_EVERY_S)
        if not api.feed.synced.is_set() or (api.feed.listings == done and not _lost(api)):
            continue
        with contextlib.suppress(errors.ApiError):
            listings = api.feed.listings
            await run(api)
            done = listings


def _lost(api: Api) -> bool:
    """Whether somebody deleted what nothing works without: a namespace or a service of ours, a mandatory flow."""
    flows = (flow for flow in _flows() if flow.metadata.name in default_flows.MANDATORY)
    return any(_cached(api, obj) is None for obj in (*_namespaces(), *_services(api), *_endpoints(api), *flows))


def _kind(api: Api, obj: Any) -> Kind:
    return next(kind for kind in api.kinds.values() if kind.message is type(obj))


def _call(api: Api, obj: Any) -> Call:
    return Call(SERVER, _kind(api, obj), [])


def _cached(api: Api, obj: Any) -> CachedObject | None:
    return api.cache(_kind(api, obj)).get(obj.metadata.namespace, obj.metadata.name)


async def _create_all(api: Api, wanted: list[Any]) -> None:
    """Each only if it is still missing."""
    ops = []
    for obj in wanted:
        kind = _kind(api, obj)
        observed = type(obj)()
        observed.CopyFrom(obj)
        await prepared_create(api, Call(SERVER, kind, []), obj, admit=False)
        if kind.has_status and observed.HasField("status"):
            obj.status.CopyFrom(observed.status)
        key = keys.of(kind.resource, obj.metadata.namespace, obj.metadata.name)
        put = store.put(key, api.objects.sealed(kind, key, objects.serialise(kind, obj)))
        ops.append(rpc_pb2.RequestOp(request_txn=rpc_pb2.TxnRequest(compare=[store.absent(key)], success=[put])))
    await api.store.txn((), ops)


def _namespaces() -> Iterator[core.Namespace]:
    for name in NAMESPACES:
        namespace = core.Namespace()
        namespace.metadata.name = name
        yield namespace


def _priorities() -> Iterator[scheduling.PriorityClass]:
    for name, value in priority.SYSTEM.items():
        what = "cluster" if "cluster" in name else "node"
        found = scheduling.PriorityClass(value=value, preemption_policy=priority.LOWER)
        found.metadata.name = name
        found.description = f"For pods that the {what} does not work without."
        yield found


def _flows() -> Iterator[Any]:
    yield from default_flows.levels()
    for schema in default_flows.schemas():
        level = schema.spec.priority_level_configuration.name
        schema.status.conditions.add(
            type="Dangling", status="False", reason="Found", last_transition_time=times.now(),
            message=f'the priority level "{level}" exists',
        )  # fmt: skip
        yield schema


def _ranges(api: Api) -> Iterator[networking.ServiceCIDR]:
    """The range that the addresses of services are taken from."""
    found = networking.ServiceCIDR()
    found.metadata.name = "kubernetes"
    found.metadata.finalizers.append("networking.k8s.io/service-cidr-finalizer")
    found.spec.cidrs.append(str(api.config.service_cluster_ip_range))
    found.status.conditions.add(
        type="Ready", status="True", last_transition_time=times.now(), message="addresses are taken from this range"
    )
    yield found


def _services(api: Api) -> Iterator[core.Service]:
    config = api.config
    own = _service("default", "kubernetes", str(config.service_cluster_ip_range[1]))
    own.metadata.labels.update({"component": "apiserver", "provider": "kubernetes"})
    port = own.spec.ports.add(name="https", protocol="TCP", port=443)
    port.target_port.int_val = config.secure_port
    yield own
    # Answered by the DNS server of every node itself: no selector, no endpoints.
    dns = _service("kube-system", "kube-dns", config.cluster_dns)
    dns.metadata.labels.update({"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"})
    for name, protocol in (("dns", "UDP"), ("dns-tcp", "TCP")):
        dns.spec.ports.add(name=name, protocol=protocol, port=53)
    yield dns


def _service(namespace: str, name: str, address: str) -> core.Service:
    service = core.Service()
    service.metadata.namespace, service.metadata.name = namespace, name
    service.spec.type, service.spec.cluster_ip = "ClusterIP", address
    service.spec.cluster_ips.append(address)
    return service


def _endpoints(api: Api) -> Iterator[Any]:
    """Where the `kubernetes` service leads: this server's advertised address."""
    config = api.config
    endpoints = core.Endpoints()
    endpoints.metadata.namespace, endpoints.metadata.name = "default", "kubernetes"
    endpoints.metadata.labels["endpointslice.kubernetes.io/skip-mirror"] = "true"
    subset = endpoints.subsets.add()
    subset.addresses.add(ip=config.advertise_address)
    subset.ports.add(name="https", port=config.secure_port, protocol="TCP")
    yield endpoints
    endpoint_slice = discovery.EndpointSlice()
    endpoint_slice.metadata.namespace, endpoint_slice.metadata.name = "default", "kubernetes"
    endpoint_slice.metadata.labels["kubernetes.io/service-name"] = "kubernetes"
    endpoint_slice.address_type = "IPv6" if ":" in config.advertise_address else "IPv4"
    endpoint = endpoint_slice.endpoints.add(addresses=[config.advertise_address])
    endpoint.conditions.ready = True
    endpoint_slice.ports.add(name="https", port=config.secure_port, protocol="TCP")
    yield endpoint_slice


def _registrations() -> Iterator[Any]:
    """The APIServices of what is built in."""
    for one in builtin.group_versions():
        yield registrations.local(
            one.group, one.version, group_priority=one.group_priority, version_priority=one.version_priority,
            managed=registrations.ON_START,
        )  # fmt: skip


def _trust(api: Api) -> Iterator[core.ConfigMap]:
    """Whose word aggregated API servers take for who a request is from."""
    yield requestheader.config_map(api.config)


async def _mend(api: Api, wanted: Any, mended: Callable[[Any, Any], Any]) -> None:
    """Give a default role, binding or flow back what it lacks."""
    cached = _cached(api, wanted)
    if cached is None or mended(cached.parsed(), wanted) is None:
        return

    async def change(found: CachedObject) -> Change:
        old = found.parsed()
        new = mended(old, wanted) or found.parsed()
        return await prepared_update(api, _call(api, wanted), new, old, admit=False)

    metadata = wanted.metadata
    with contextlib.suppress(errors.NotFound):
        await api.objects.update(_kind(api, wanted), metadata.name, change, namespace=metadata.namespace)


async def _follow(api: Api, wanted: Any) -> None:
    """Bring an object up to date. Of endpoints: with several servers each advertises the one address in front."""

    async def change(found: CachedObject) -> Change:
        new = type(wanted)()
        new.CopyFrom(wanted)
        return await prepared_update(api, _call(api, wanted), new, found.parsed(), admit=False)

    if _cached(api, wanted) is not None:
        metadata = wanted.metadata
        await api.objects.update(_kind(api, wanted), metadata.name, change, namespace=metadata.namespace)
