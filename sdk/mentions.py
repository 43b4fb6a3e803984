"""Which objects another one mentions by name. The node agent follows them, the API server lets it read no others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from raftsman.core import v1 as core
from raftsman.resource import v1 as resource


def of_pod(pod: core.Pod) -> Iterator[tuple[type[Any], str]]:
    """(message, name) of all in the pod's namespace that its variables, volumes, claims and pull secrets name."""
    return ((message, name) for message, name in _names(pod) if name)


def _names(pod: core.Pod) -> Iterable[tuple[type[Any], str]]:
    containers: list[core.Container | core.EphemeralContainerCommon]
    containers = [*pod.spec.init_containers, *pod.spec.containers]
    containers += [one.ephemeral_container_common for one in pod.spec.ephemeral_containers]
    for container in containers:
        for bulk in container.env_from:
            yield core.ConfigMap, bulk.config_map_ref.local_object_reference.name
            yield core.Secret, bulk.secret_ref.local_object_reference.name
        for variable in container.env:
            origin = variable.value_from
            yield core.ConfigMap, origin.config_map_key_ref.local_object_reference.name
            yield core.Secret, origin.secret_key_ref.local_object_reference.name
    for volume in pod.spec.volumes:
        source = volume.volume_source
        yield core.PersistentVolumeClaim, source.persistent_volume_claim.claim_name
        if source.HasField("ephemeral"):
            yield core.PersistentVolumeClaim, f"{pod.metadata.name}-{volume.name}"
        for secret in (source.csi.node_publish_secret_ref, source.cephfs.secret_ref, source.rbd.secret_ref):
            yield core.Secret, secret.name
        yield core.ConfigMap, source.config_map.local_object_reference.name
        yield core.Secret, source.secret.secret_name
        for part in source.projected.sources:
            yield core.ConfigMap, part.config_map.local_object_reference.name
            yield core.Secret, part.secret.local_object_reference.name
    for reference in pod.spec.image_pull_secrets:
        yield core.Secret, reference.name
    for made in pod.status.resource_claim_statuses:
        yield resource.ResourceClaim, made.resource_claim_name
    for claim in pod.spec.resource_claims:
        yield resource.ResourceClaim, claim.resource_claim_name
