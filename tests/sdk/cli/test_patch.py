"""What `patch` calls no change, while others write to the same object."""

from __future__ import annotations

from typing import Any

import pytest
from raftsman.apps import v1 as apps
from raftsman.cli import patch


def deployment(revision: str, replicas: int = 1, ready: int = 0, image: str = "a") -> apps.Deployment:
    found = apps.Deployment()
    found.metadata.resource_version = revision
    found.metadata.annotations["deployment.kubernetes.io/revision"] = revision
    found.metadata.managed_fields.add(manager="controller", subresource=revision)
    found.spec.replicas = replicas
    found.spec.template.spec.containers.add(name="app", image=image)
    found.status.ready_replicas = ready
    return found


CONTAINERS = {"containers": [{"name": "app", "image": "b"}], "$setElementOrder/containers": [{"name": "app"}]}
IMAGE = {"spec": {"template": {"spec": CONTAINERS}}}
JSON_IMAGE = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "b"}]
JSON_REPLICAS = [{"op": "replace", "path": "/spec/replicas", "value": 2}]


@pytest.mark.parametrize(
    ("change", "new"),
    [
        ({"spec": {"replicas": 2}}, deployment("2", replicas=2)),
        (IMAGE, deployment("2", image="b")),
        (JSON_IMAGE, deployment("2", image="b")),
        (JSON_REPLICAS, deployment("2", replicas=2)),
        ({"status": {"readyReplicas": 3}}, deployment("2", ready=3)),
    ],
)
def test_a_patch_changed_something_only_if_that_differs_which_it_names(change: Any, new: apps.Deployment) -> None:
    assert not patch.changed_nothing(deployment("1"), new, change)
    assert patch.changed_nothing(new, deployment("3", new.spec.replicas, new.status.ready_replicas,
                                                 new.spec.template.spec.containers[0].image), change)  # fmt: skip


def test_a_controller_that_writes_its_status_and_revision_is_no_change_by_the_patch() -> None:
    assert patch.changed_nothing(deployment("1"), deployment("2", ready=5), {"spec": {"replicas": 1}})
    assert patch.changed_nothing(deployment("1"), deployment("2", ready=5), JSON_REPLICAS)
