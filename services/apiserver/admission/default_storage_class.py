"""DefaultStorageClass: a claim that names no storage class gets the one that is marked as the default."""

from __future__ import annotations

from raftsman.core import v1 as core
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.watchcache.object import CachedObject

from .attributes import CREATES, Attributes, Plugin

CLASSES_KIND = "storageclasses.storage.k8s.io"
ANNOTATIONS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
CLAIMS_OWN = "volume.beta.kubernetes.io/storage-class"


async def _admit(attributes: Attributes) -> None:
    """An empty name is a name: it asks for a volume of no class."""
    claim: core.PersistentVolumeClaim = attributes.new
    if claim.spec.HasField("storage_class_name") or CLAIMS_OWN in claim.metadata.annotations:
        return
    name = default_name(attributes.api)
    if name:
        claim.spec.storage_class_name = name


def default_name(api: Api) -> str:
    """Of several the newest, of those made in one second the first by name; "" if there is none."""
    marked = [one for one in api.cache(api.kinds[CLASSES_KIND]).values() if _is_default(one)]
    return min(marked, key=_age_and_name).name if marked else ""


def _is_default(found: CachedObject) -> bool:
    annotations = found.parsed().metadata.annotations
    return any(annotations.get(name) == "true" for name in ANNOTATIONS)


def _age_and_name(found: CachedObject) -> tuple[int, str]:
    return -found.parsed().metadata.creation_timestamp.seconds, found.name


PLUGIN = Plugin("DefaultStorageClass", CREATES, kinds=frozenset({"persistentvolumeclaims"}), mutate=_admit)
