"""A Deployment's decision: revisions, strategies, pauses, sizes, history, and what the status says meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime

from raftsman import metadata
from raftsman.apps import v1 as apps
from raftsman.meta import v1 as meta
from raftsman.services.controllers import deployment_revisions as revisions
from raftsman.services.controllers.deployment_plan import Observed, Plan, decide
from raftsman.services.controllers.deployment_status import condition

EPOCH = 1_700_000_000


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(EPOCH + seconds, UTC)


NOW = at(0)


def deployment(replicas: int = 3, *, image: str = "web:1", strategy: str = "RollingUpdate") -> apps.Deployment:
    found = apps.Deployment()
    found.metadata.name, found.metadata.namespace, found.metadata.uid = "web", "default", "d-1"
    found.metadata.generation = 2
    found.metadata.annotations["team"] = "front"
    found.spec.replicas = replicas
    found.spec.selector.match_labels["app"] = "web"
    found.spec.template.metadata.labels["app"] = "web"
    found.spec.template.spec.containers.add(name="c", image=image)
    found.spec.strategy.type = strategy
    if strategy == "RollingUpdate":
        found.spec.strategy.rolling_update.max_surge.CopyFrom(meta.IntOrString(type=1, int_val=0, str_val="25%"))
        found.spec.strategy.rolling_update.max_unavailable.CopyFrom(meta.IntOrString(type=0, int_val=0, str_val=""))
    found.spec.progress_deadline_seconds = 60
    found.spec.revision_history_limit = 10
    return found


def replica_set(
    owner: apps.Deployment, *, image: str = "web:1", size: int = 3, revision: int = 1, available: int | None = None
) -> apps.ReplicaSet:
    """As the controller builds it for `image`, settled."""
    then = apps.Deployment()
    then.CopyFrom(owner)
    then.spec.template.spec.containers[0].image = image
    most = size + 1
    found = revisions.build(then, revision=revision, replicas=size, most=most)
    found.metadata.uid = f"rs-{image}"
    found.metadata.creation_timestamp.seconds = EPOCH - 1000 + revision
    found.metadata.generation = found.status.observed_generation = 1
    found.status.replicas = size
    found.status.ready_replicas = found.status.available_replicas = size if available is None else available
    revisions.note_size(found, desired=owner.spec.replicas, most=most)
    return found


def look(
    deploy: apps.Deployment,
    *sets: apps.ReplicaSet,
    now: datetime = NOW,
    pods: dict[str, int] | None = None,
) -> Plan:
    return decide(Observed(deploy, sets, pods or {}), now=now)


def progressing(plan: Plan) -> tuple[str, str]:
    assert plan.status is not None
    found = condition(plan.status, "Progressing")
    assert found is not None
    return found.status, found.reason


def sizes(plan: Plan) -> dict[str, int]:
    return {rs.spec.template.spec.containers[0].image: rs.spec.replicas for rs in plan.change}


def test_a_first_revision_is_made_with_all_replicas() -> None:
    plan = look(deployment(3))
    new = plan.create
    assert new is not None
    letters = new.metadata.labels[revisions.TEMPLATE_HASH]
    assert new.metadata.name == f"web-{letters}"
    assert new.spec.selector.match_labels == {"app": "web", "pod-template-hash": letters}
    assert new.spec.template.metadata.labels == {"app": "web", "pod-template-hash": letters}
    assert new.spec.replicas == 3
    assert new.metadata.annotations == {
        "team": "front",
        "deployment.kubernetes.io/revision": "1",
        "deployment.kubernetes.io/desired-replicas": "3",
        "deployment.kubernetes.io/max-replicas": "4",
    }
    (owner,) = new.metadata.owner_references
    assert (owner.kind, owner.uid, owner.controller) == ("Deployment", "d-1", True)
    assert plan.revision == 1
    assert progressing(plan) == ("True", "NewReplicaSetCreated")


def test_the_hash_is_made_of_safe_letters_and_changes_with_the_template_and_with_collisions() -> None:
    one, two = deployment(image="web:1").spec.template, deployment(image="web:2").spec.template
    hashes = {revisions.template_hash(one, 0), revisions.template_hash(two, 0), revisions.template_hash(one, 1)}
    assert len(hashes) == 3
    assert all(set(found) <= set(revisions.HASH_LETTERS) and len(found) == 10 for found in hashes)
    assert revisions.template_hash(one, 0) == revisions.template_hash(deployment(image="web:1").spec.template, 0)


def test_a_complete_rollout_needs_nothing() -> None:
    deploy = deployment()
    plan = look(deploy, replica_set(deploy))
    assert (plan.create, plan.change, plan.delete, plan.requeue_after_s) == (None, (), (), None)
    assert progressing(plan) == ("True", "NewReplicaSetAvailable")
    assert plan.status is not None
    deploy.status.CopyFrom(plan.status)
    deploy.metadata.annotations[revisions.REVISION] = "1"
    assert look(deploy, replica_set(deploy), now=at(500)).status == deploy.status


def test_a_new_image_makes_a_second_revision_within_surge() -> None:
    deploy = deployment(3, image="web:2")
    plan = look(deploy, replica_set(deploy, image="web:1"))
    assert plan.create is not None
    assert (plan.create.spec.replicas, plan.revision) == (1, 2)
    assert plan.change == ()


def test_old_pods_go_when_new_ones_are_available() -> None:
    deploy = deployment(3, image="web:2")
    old = replica_set(deploy, image="web:1")
    waiting = replica_set(deploy, image="web:2", size=1, revision=2, available=0)
    assert look(deploy, old, waiting).change == ()
    ready = replica_set(deploy, image="web:2", size=1, revision=2)
    assert sizes(look(deploy, old, ready)) == {"web:1": 2}


def test_going_back_finds_the_old_set_and_gives_it_the_next_number() -> None:
    deploy = deployment(3, image="web:1")
    old, newer = replica_set(deploy, image="web:1", size=0), replica_set(deploy, image="web:2", revision=2)
    plan = look(deploy, old, newer)
    assert plan.create is None
    assert plan.revision == 3
    (changed,) = plan.change
    assert changed.metadata.annotations[revisions.REVISION] == "3"
    assert changed.metadata.annotations[revisions.HISTORY] == "1"
    assert changed.spec.replicas == 1


def test_a_template_that_went_through_json_is_the_same_template() -> None:
    """`rollout undo` sends a template back as JSON, which does not tell an empty value from one that is not there."""
    deploy = deployment()
    old = replica_set(deploy)
    container = deploy.spec.template.spec.containers[0]
    container.env.add(name="EMPTY", value="")
    old.spec.template.spec.containers[0].env.add(name="EMPTY")
    deploy.spec.template.spec.host_network = False
    assert look(deploy, old).create is None
    assert revisions.template_hash(deploy.spec.template, 0) == revisions.template_hash(old.spec.template, 0)


def test_recreate_waits_for_the_last_pod() -> None:
    deploy = deployment(2, image="web:2", strategy="Recreate")
    old = replica_set(deploy, image="web:1", size=2)
    assert sizes(look(deploy, old, pods={"rs-web:1": 2})) == {"web:1": 0}
    empty = replica_set(deploy, image="web:1", size=0)
    plan = look(deploy, empty, pods={"rs-web:1": 1})
    assert (plan.create, plan.change) == (None, ())
    created = look(deploy, empty).create
    assert created is not None
    assert created.spec.replicas == 2


def test_a_paused_deployment_scales_but_does_not_roll() -> None:
    deploy = deployment(5, image="web:2")
    deploy.spec.paused = True
    plan = look(deploy, replica_set(deploy, image="web:1", size=3))
    assert plan.create is None
    assert sizes(plan) == {"web:1": 5}
    assert progressing(plan) == ("Unknown", "DeploymentPaused")


def test_a_change_of_size_is_made_before_the_rollout_goes_on() -> None:
    deploy = deployment(3, image="web:2")
    old = replica_set(deploy, image="web:1", size=3)
    new = replica_set(deploy, image="web:2", size=1, revision=2)
    deploy.spec.replicas = 8
    plan = look(deploy, old, new)
    assert sum(sizes(plan).values()) == 10
    assert {rs.metadata.annotations[revisions.DESIRED] for rs in plan.change} == {"8"}
    assert {rs.metadata.annotations[revisions.MOST] for rs in plan.change} == {"10"}


def test_sets_beyond_the_history_go_when_the_rollout_is_complete() -> None:
    deploy = deployment(3, image="web:9")
    deploy.spec.revision_history_limit = 1
    olds = [replica_set(deploy, image=f"web:{number}", size=0, revision=number) for number in (1, 2, 3)]
    assert look(deploy, *olds, replica_set(deploy, image="web:9", revision=4, available=2)).delete == ()
    plan = look(deploy, *olds, replica_set(deploy, image="web:9", revision=4))
    assert [revisions.revision_of(rs) for rs in plan.delete] == [1, 2]


def test_a_rollout_that_stands_still_is_late_after_its_deadline() -> None:
    deploy = deployment()
    stuck = replica_set(deploy, available=1)
    first = look(deploy, stuck)
    assert progressing(first) == ("True", "ReplicaSetUpdated")
    assert first.requeue_after_s == 61
    assert first.status is not None
    deploy.status.CopyFrom(first.status)
    assert progressing(look(deploy, stuck, now=at(59))) == ("True", "ReplicaSetUpdated")
    late = look(deploy, stuck, now=at(60))
    assert progressing(late) == ("False", "ProgressDeadlineExceeded")
    assert late.requeue_after_s is None


def test_progress_moves_the_deadline_but_not_the_transition() -> None:
    deploy = deployment()
    first = look(deploy, replica_set(deploy, available=1)).status
    assert first is not None
    deploy.status.CopyFrom(first)
    second = look(deploy, replica_set(deploy, available=2), now=at(50)).status
    assert second is not None
    found = condition(second, "Progressing")
    assert found is not None
    assert (found.last_update_time.seconds, found.last_transition_time.seconds) == (EPOCH + 50, EPOCH)


def test_counters_are_sums_over_all_sets() -> None:
    deploy = deployment(3, image="web:2")
    old = replica_set(deploy, image="web:1", size=2)
    new = replica_set(deploy, image="web:2", size=2, revision=2, available=1)
    status = look(deploy, old, new).status
    assert status is not None
    assert (status.replicas, status.updated_replicas, status.ready_replicas) == (4, 2, 3)
    assert (status.available_replicas, status.unavailable_replicas, status.observed_generation) == (3, 1, 2)
    available = condition(status, "Available")
    assert available is not None
    assert (available.status, available.reason) == ("True", "MinimumReplicasAvailable")


def test_a_set_that_cannot_make_pods_shows_on_its_deployment() -> None:
    deploy = deployment()
    rs = replica_set(deploy, available=0)
    rs.status.conditions.add(type="ReplicaFailure", status="True", reason="FailedCreate", message="quota")
    status = look(deploy, rs).status
    assert status is not None
    found = condition(status, "ReplicaFailure")
    assert found is not None
    assert found.message == "quota"


def test_an_orphan_that_matches_is_adopted_and_one_that_does_not_is_let_go() -> None:
    deploy = deployment()
    orphan = replica_set(deploy)
    del orphan.metadata.owner_references[:]
    plan = look(deploy, orphan)
    assert [rs.metadata.uid for rs in plan.adopt] == ["rs-web:1"]
    assert plan.create is None
    strange = replica_set(deploy)
    strange.metadata.labels["app"] = "other"
    plan = look(deploy, strange)
    assert [rs.metadata.uid for rs in plan.release] == ["rs-web:1"]
    assert plan.create is not None


def test_a_set_of_another_owner_is_left_alone() -> None:
    deploy, other = deployment(), deployment()
    other.metadata.uid = "d-2"
    theirs = replica_set(other)
    plan = look(deploy, theirs)
    assert (plan.adopt, plan.release, plan.change) == ((), (), ())
    assert not metadata.is_controlled_by(theirs, deploy)


def test_a_deployment_on_its_way_out_only_reports() -> None:
    deploy = deployment(3, image="web:2")
    deploy.metadata.deletion_timestamp.seconds = EPOCH
    plan = look(deploy, replica_set(deploy, image="web:1"))
    assert (plan.create, plan.change) == (None, ())
    assert plan.status is not None
    assert plan.status.replicas == 3
