"""Which objects another one mentions by name. The node agent follows them, the API server lets it read no others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from raftsman.core import v1 as core


def of_pod(pod: core.Pod) -> Iterator[tuple[type[Any], str]]:
    """(message, name) of everything in the pod's namespace that its variables, volumes and pull secrets name."""
    return ((message, name) for message, name in _names(pod) if name)


def _names(pod: core.Pod) -> Iterable[tuple[type[Any], str]]:
    for container in (*pod.spec.init_containers, *pod.spec.containers):
        for bulk in container.env_from:
            yield core.ConfigMap, bulk.config_map_ref.local_object_reference.name
            yield core.Secret, bulk.secret_ref.local_object_reference.name
        for variable in container.env:
            origin = variable.value_from
            yield core.ConfigMap, origin.config_map_key_ref.local_object_reference.name
            yield core.Secret, origin.secret_key_ref.local_object_reference.name
    for volume in pod.spec.volumes:
        source = volume.volume_source
        yield core.ConfigMap, source.config_map.local_object_reference.name
        yield core.Secret, source.secret.secret_name
        for part in source.projected.sources:
            yield core.ConfigMap, part.config_map.local_object_reference.name
            yield core.Secret, part.secret.local_object_reference.name
    for reference in pod.spec.image_pull_secrets:
        yield core.Secret, reference.name
