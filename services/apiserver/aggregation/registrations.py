"""The APIServices there are: whose each group version is.

A group version that this server serves itself has an APIService without a service; it is made here, so that
`kubectl get apiservices` shows everything, and goes when a custom resource's group version goes.
"""

from __future__ import annotations

from collections.abc import Iterator

from raftsman import times
from raftsman.apiregistration import v1 as apiregistration
from raftsman.services.apiserver.watchcache.kind_cache import KindCache

QUALIFIED = "apiservices.apiregistration.k8s.io"
AUTOMANAGED = "kube-aggregator.kubernetes.io/automanaged"
# At start and then never again, and as long as something is served.
ON_START, ALWAYS = "onstart", "true"
AVAILABLE = "Available"
# (status, reason, message) of what is served here.
LOCAL = ("True", "Local", "Local APIServices are always available")


class Registrations:
    """Reads the APIServices out of the cache."""

    def __init__(self, caches: dict[str, KindCache]) -> None:
        self.cache = caches[QUALIFIED]

    def remote(self, group: str, version: str) -> apiregistration.APIService | None:
        """The APIService of a group version that another server serves."""
        found = self.cache.get("", f"{version}.{group}")
        if found is None:
            return None
        service: apiregistration.APIService = found.parsed()
        return service if service.spec.HasField("service") else None

    def all(self) -> Iterator[apiregistration.APIService]:
        for found in list(self.cache.values()):
            yield found.parsed()

    def remotes(self) -> Iterator[apiregistration.APIService]:
        return (service for service in self.all() if service.spec.HasField("service"))

    def automanaged(self) -> Iterator[apiregistration.APIService]:
        """Those that stand for custom resources' group versions."""
        return (service for service in self.all() if service.metadata.labels.get(AUTOMANAGED) == ALWAYS)


def is_available(service: apiregistration.APIService) -> bool:
    return any(one.type == AVAILABLE and one.status == "True" for one in service.status.conditions)


def local(
    group: str, version: str, *, group_priority: int, version_priority: int, managed: str
) -> apiregistration.APIService:
    """The APIService of a group version that is served here."""
    found = apiregistration.APIService()
    found.metadata.name = f"{version}.{group}"
    found.metadata.labels[AUTOMANAGED] = managed
    found.spec.group, found.spec.version = group, version
    found.spec.group_priority_minimum, found.spec.version_priority = group_priority, version_priority
    status, reason, message = LOCAL
    found.status.conditions.add(
        type=AVAILABLE, status=status, reason=reason, message=message, last_transition_time=times.now()
    )
    return found
