"""DefaultIngressClass: an ingress that names no class gets the one that is marked as the default."""

from __future__ import annotations

from raftsman.networking import v1 as networking
from raftsman.services.apiserver.watchcache.object import CachedObject

from .attributes import CREATES, Attributes, Plugin

CLASSES_KIND = "ingressclasses.networking.k8s.io"
ANNOTATION = "ingressclass.kubernetes.io/is-default-class"
INGRESSES_OWN = "kubernetes.io/ingress.class"


async def _admit(attributes: Attributes) -> None:
    ingress: networking.Ingress = attributes.new
    if ingress.spec.HasField("ingress_class_name") or INGRESSES_OWN in ingress.metadata.annotations:
        return
    api = attributes.api
    marked = [one for one in api.cache(api.kinds[CLASSES_KIND]).values() if _is_default(one)]
    if marked:
        ingress.spec.ingress_class_name = min(marked, key=_age_and_name).name


def _is_default(found: CachedObject) -> bool:
    return bool(found.parsed().metadata.annotations.get(ANNOTATION) == "true")


def _age_and_name(found: CachedObject) -> tuple[int, str]:
    """The newest first."""
    return -found.parsed().metadata.creation_timestamp.seconds, found.name


PLUGIN = Plugin("DefaultIngressClass", CREATES, kinds=frozenset({"ingresses.networking.k8s.io"}), mutate=_admit)
