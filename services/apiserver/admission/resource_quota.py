"""ResourceQuota: what a namespace may hold in all. Charged when the object is stored, in the same transaction.

    step      which quotas of the namespace count this object, and is there anything to charge at all?
    together  just before the transaction: is enough left? → compare each quota's revision, write its new `used`

So a quota is never exceeded, however many servers write, and nothing is charged for what was not written. Writes that
are charged in one namespace take turns in this server; another server's charge is found by the comparison, and the
charge is then made out anew. Lowering `used` is the quota controller's: it recounts when objects go.

A quota that was just written is remembered until the cache has it, KNOWN_MAX of them.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raftsman import podresources, quantity, quotas
from raftsman.core import v1 as core
from raftsman.etcd import kv_pb2
from raftsman.podresources import Amounts
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.storage import keys, objects, store
from raftsman.services.apiserver.storage.objects import Together
from raftsman.services.apiserver.watchcache.object import CachedObject
from raftsman.services.apiserver.watchcache.selection import Selection

from .attributes import WRITES, Attributes, Operation, Plugin

if TYPE_CHECKING:
    from raftsman.services.apiserver.api import Api

KNOWN_MAX = 10_000
QUOTAS = "resourcequotas"


class Accounts:
    """The newest known state of quotas, and whose turn it is in each namespace."""

    def __init__(self) -> None:
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        # By key: the revision from which on the cache knows better, and the quota; None if it is gone.
        self._newer: OrderedDict[tuple[str, str], tuple[int, CachedObject | None]] = OrderedDict()

    def turn(self, namespace: str) -> asyncio.Lock:
        return self._turns.setdefault(namespace, asyncio.Lock())

    def current(self, api: Api, namespace: str) -> list[CachedObject]:
        found = api.cache(api.kinds[QUOTAS]).select(Selection(namespace))
        return [one for one in map(self._newest, found) if one is not None] if self._newer else found

    def _newest(self, cached: CachedObject) -> CachedObject | None:
        key = (cached.namespace, cached.name)
        known = self._newer.get(key)
        if known is None:
            return cached
        if known[0] <= cached.revision and known[1] is not None:
            del self._newer[key]
            return cached
        return known[1] if cached.revision <= known[0] else cached

    def learn(self, namespace: str, name: str, revision: int, found: CachedObject | None) -> None:
        self._newer[namespace, name] = (revision, found)
        self._newer.move_to_end((namespace, name))
        if len(self._newer) > KNOWN_MAX:
            self._newer.popitem(last=False)


@dataclass(slots=True)
class _Charge:
    """What one write costs; objects.Charge."""

    attributes: Attributes
    delta: Amounts
    _written: dict[bytes, tuple[CachedObject, bytes]]

    @property
    def _accounts(self) -> Accounts:
        return self.attributes.api.accounts

    def turn(self) -> asyncio.Lock:
        return self._accounts.turn(self.attributes.namespace)

    def together(self) -> Together:
        api = self.attributes.api
        kind = api.kinds[QUOTAS]
        compares, ops = [], []
        self._written = {}
        for found in counting(self.attributes):
            quota: core.ResourceQuota = found.parsed()
            used = _charged(self.attributes, quota, self.delta)
            if not used:
                continue
            for name, amount in used.items():
                quota.status.used[name].string = str(amount)
            key, body = keys.of(kind.resource, found.namespace, found.name), objects.serialise(kind, quota)
            compares.append(store.at_revision(key, found.revision))
            ops.append(store.put(key, api.objects.sealed(kind, key, body)))
            self._written[key] = (found, body)
        return Together(compares, ops)

    def written(self, revision: int) -> None:
        for found, body in self._written.values():
            now = CachedObject(found.kind, found.namespace, found.name, body, revision)
            self._accounts.learn(found.namespace, found.name, revision, now)

    def moved(self, found: Iterable[kv_pb2.KeyValue]) -> None:
        api = self.attributes.api
        there = {one.name: one for one in api.objects.opened(api.kinds[QUOTAS], found)}
        for old, _ in self._written.values():
            now = there.get(old.name)
            self._accounts.learn(old.namespace, old.name, now.revision if now is not None else old.revision, now)


def counting(attributes: Attributes) -> list[CachedObject]:
    """The quotas of the namespace with a bound for such an object."""
    api, qualified = attributes.api, attributes.call.kind.resource.qualified
    found = api.accounts.current(api, attributes.namespace)
    return [one for one in found if _counts(one.parsed(), qualified, attributes.new)]


def _counts(quota: core.ResourceQuota, qualified: str, obj: Any) -> bool:
    bounded = any(quotas.concerns(qualified, name) for name in quota.status.hard)
    return bounded and quotas.matches(quota, qualified, obj)


def _charged(attributes: Attributes, quota: core.ResourceQuota, delta: Amounts) -> Amounts:
    """The new amounts of what changes. errors.Forbidden if that is too much."""
    hard, used = podresources.amounts(quota.status.hard), podresources.amounts(quota.status.used)
    asked = {name: amount for name, amount in delta.items() if name in hard}
    wanted = {name: used.get(name, quantity.ZERO) + amount for name, amount in asked.items()}
    over = [name for name, amount in asked.items() if amount > quantity.ZERO and wanted[name] > hard[name]]
    if over:
        parts = [quotas.shown({name: of[name] for name in over if name in of}) for of in (asked, used, hard)]
        name = quota.metadata.name
        raise _refused(attributes, "exceeded quota: {}, requested: {}, used: {}, limited: {}".format(name, *parts))
    return wanted


async def _validate(attributes: Attributes) -> None:
    """Find out what it costs. errors.Forbidden if a quota asks for more than the object states."""
    if not attributes.call.kind.resource.namespaced or not attributes.api.accounts.current(
        attributes.api, attributes.namespace
    ):
        return
    qualified = attributes.call.kind.resource.qualified
    updated = attributes.operation is Operation.UPDATE
    if updated and qualified not in (quotas.SERVICES, quotas.CLAIMS) and attributes.subresource != "resize":
        return
    found = counting(attributes)
    for one in found:
        _check(attributes, one.parsed(), qualified)
    if found:
        delta = _delta(attributes, qualified)
        if delta:
            attributes.charge = _Charge(attributes, delta, {})


def _check(attributes: Attributes, quota: core.ResourceQuota, qualified: str) -> None:
    names = [name for name in quota.status.hard if quotas.concerns(qualified, name)]
    if qualified == quotas.PODS:
        missing = quotas.unstated(names, attributes.new)
        if missing:
            raise _refused(attributes, f"failed quota: {quota.metadata.name}: must specify {missing}")
    unknown = sorted(name for name in names if name not in quota.status.used)
    if unknown:
        listed = ",".join(unknown)
        raise _refused(attributes, f"status unknown for quota: {quota.metadata.name}, resources: {listed}")


def _delta(attributes: Attributes, qualified: str) -> Amounts:
    delta = quotas.usage(qualified, attributes.new)
    if attributes.old is not None:
        for name, amount in quotas.usage(qualified, attributes.old).items():
            delta[name] = delta.get(name, quantity.ZERO) - amount
    return {name: amount for name, amount in delta.items() if amount}


def _refused(attributes: Attributes, why: str) -> Exception:
    return failures.forbidden(attributes.call.kind.resource, attributes.name, why)


PLUGIN = Plugin("ResourceQuota", WRITES, subresources=frozenset({"", "resize"}), validate=_validate)
