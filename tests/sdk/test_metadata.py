"""Keys and owners."""

from __future__ import annotations

from raftsman import Key, metadata
from raftsman.apps import v1 as apps
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta


def replica_set() -> apps.ReplicaSet:
    return apps.ReplicaSet(metadata=meta.ObjectMeta(name="web", namespace="a", uid="u"))


def test_a_key_prints_as_people_write_it() -> None:
    assert str(metadata.key_of(replica_set())) == "a/web"
    assert str(Key("", "node-1")) == "node-1"


def test_an_owner_reference_names_kind_version_and_uid() -> None:
    reference = metadata.owner_reference(replica_set())
    assert (reference.api_version, reference.kind, reference.name, reference.uid) == (
        "apps/v1",
        "ReplicaSet",
        "web",
        "u",
    )
    assert reference.controller
    assert reference.block_owner_deletion
    assert not metadata.owner_reference(replica_set(), controller=False).HasField("controller")


def test_the_controller_is_the_one_owner_marked_so() -> None:
    pod = core.Pod()
    assert metadata.controller_of(pod) is None
    pod.metadata.owner_references.append(metadata.owner_reference(core.ConfigMap(), controller=False))
    assert metadata.controller_of(pod) is None
    pod.metadata.owner_references.append(metadata.owner_reference(replica_set()))
    found = metadata.controller_of(pod)
    assert found is not None
    assert found.uid == "u"
    assert metadata.is_controlled_by(pod, replica_set())


def test_deleting_is_told_by_the_timestamp() -> None:
    pod = core.Pod()
    assert not metadata.is_deleting(pod)
    pod.metadata.deletion_timestamp.seconds = 1
    assert metadata.is_deleting(pod)
