"""Both decisions together, in every order that a seed leads to: limits hold at each step, and every rollout ends.

The world is what the API holds. A ReplicaSet's status is as old as its last reconcile, pods become ready and go away
when they like, and the image changes in the middle; only pods do not fail by themselves.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from raftsman import metadata
from raftsman.apps import v1 as apps
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.services.controllers import deployment_plan, replica_set_plan
from raftsman.services.controllers.deployment_status import is_complete
from raftsman.services.controllers.replica_set_pods import is_active, is_ready, is_terminating

NOW = datetime.fromtimestamp(1_700_000_000, UTC)
ROUNDS_MAX = 300


class World:
    def __init__(self, replicas: int, surge: int, unavailable: int, strategy: str) -> None:
        self.deployment = apps.Deployment()
        self.deployment.metadata.name = self.deployment.metadata.uid = "web"
        self.deployment.metadata.namespace = "default"
        spec = self.deployment.spec
        spec.replicas = replicas
        spec.selector.match_labels["app"] = "web"
        spec.template.metadata.labels["app"] = "web"
        spec.template.spec.containers.add(name="c", image="web:0")
        spec.strategy.type = strategy
        spec.strategy.rolling_update.max_surge.CopyFrom(meta.IntOrString(type=0, int_val=surge))
        spec.strategy.rolling_update.max_unavailable.CopyFrom(meta.IntOrString(type=0, int_val=unavailable))
        self.limits = deployment_plan.limits_of(self.deployment)
        self.sets: dict[str, apps.ReplicaSet] = {}
        self.pods: dict[str, core.Pod] = {}
        self.made = 0

    def set_image(self, number: int) -> None:
        self.deployment.spec.template.spec.containers[0].image = f"web:{number}"

    def reconcile_deployment(self) -> bool:
        counts = {
            uid: sum(metadata.is_controlled_by(pod, rs) for pod in self.pods.values())
            for uid, rs in ((rs.metadata.uid, rs) for rs in self.sets.values())
        }
        observed = deployment_plan.Observed(self.deployment, tuple(self.sets.values()), counts)
        plan = deployment_plan.decide(observed, now=NOW)
        before = self.deployment.status.SerializeToString(deterministic=True)
        for changed in plan.change:
            changed.metadata.generation += changed.spec != self.sets[changed.metadata.name].spec
            self.sets[changed.metadata.name] = changed
        if plan.create is not None:
            self.made += 1
            plan.create.metadata.uid = f"rs-{self.made}"
            plan.create.metadata.generation = 1
            plan.create.metadata.creation_timestamp.seconds = self.made
            self.sets[plan.create.metadata.name] = plan.create
        assert plan.status is not None
        self.deployment.status.CopyFrom(plan.status)
        moved = before != self.deployment.status.SerializeToString(deterministic=True)
        return bool(plan.change or plan.create is not None or moved)

    def reconcile_set(self, name: str) -> bool:
        rs = self.sets[name]
        plan = replica_set_plan.decide(replica_set_plan.Observed(rs, tuple(self.pods.values())), now=NOW)
        for _ in range(plan.create):
            self.made += 1
            pod = core.Pod()
            pod.metadata.name = pod.metadata.uid = f"pod-{self.made}"
            pod.metadata.labels.update(rs.spec.template.metadata.labels)
            pod.metadata.owner_references.append(metadata.owner_reference(rs))
            pod.spec.node_name = "n"
            pod.status.phase = "Running"
            self.pods[pod.metadata.uid] = pod
        for pod in plan.delete:
            pod.metadata.deletion_timestamp.seconds = 1
        assert plan.status is not None
        plan.status.replicas += plan.create
        moved = plan.status != rs.status
        rs.status.CopyFrom(plan.status)
        return bool(plan.create or plan.delete or moved)

    def run_pod(self, number: int) -> bool:
        """One pod becomes ready, or is gone."""
        waiting = [pod for pod in self.pods.values() if is_terminating(pod) or not is_ready(pod)]
        if not waiting:
            return False
        pod = waiting[number % len(waiting)]
        if is_terminating(pod):
            del self.pods[pod.metadata.uid]
        else:
            pod.status.conditions.add(type="Ready", status="True").last_transition_time.seconds = self.made
        return True

    @property
    def active(self) -> int:
        return sum(map(is_active, self.pods.values()))

    @property
    def available(self) -> int:
        return sum(is_active(pod) and is_ready(pod) for pod in self.pods.values())

    def settle(self) -> None:
        """Everybody in turn, until nobody has anything to do."""
        for _ in range(ROUNDS_MAX):
            busy = self.reconcile_deployment()
            for name in [*self.sets]:
                busy |= self.reconcile_set(name)
            busy |= self.run_pod(0)
            if not busy:
                return
        raise AssertionError("it never comes to rest")


STEPS = 120
WHAT = ("deployment",) * 6 + ("set",) * 8 + ("pod",) * 8 + ("image",)


def walk(world: World, seed: int) -> Iterator[None]:
    """STEPS steps, which ones the seed says."""
    choose = random.Random(seed)
    for _ in range(STEPS):
        step(world, choose.choice(WHAT), choose.randrange(100))
        yield


def step(world: World, what: str, number: int) -> None:
    if what == "deployment":
        world.reconcile_deployment()
    elif what == "set" and world.sets:
        world.reconcile_set(sorted(world.sets)[number % len(world.sets)])
    elif what == "pod":
        world.run_pod(number)
    elif what == "image":
        world.set_image(number % 3)


seeds = st.integers(0, 2**32)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 6), st.integers(0, 3), st.integers(0, 3), seeds)
def test_a_rolling_update_keeps_its_limits_at_every_step_and_ends(
    replicas: int, surge: int, unavailable: int, seed: int
) -> None:
    world = World(replicas, surge, unavailable, "RollingUpdate")
    world.settle()
    assert world.available == replicas
    world.set_image(1)
    for _ in walk(world, seed):
        assert world.active <= world.limits.most
        assert world.available >= world.limits.least_available
    world.settle()
    assert is_complete(world.deployment.status, replicas)
    image = world.deployment.spec.template.spec.containers[0].image
    sizes = {rs.spec.template.spec.containers[0].image: rs.spec.replicas for rs in world.sets.values()}
    assert sizes == {found: replicas if found == image else 0 for found in sizes}


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), seeds)
def test_recreate_never_runs_two_revisions_side_by_side(replicas: int, seed: int) -> None:
    world = World(replicas, 0, 0, "Recreate")
    world.settle()
    for _ in walk(world, seed):
        alive = {pod.metadata.labels["pod-template-hash"] for pod in world.pods.values()}
        assert len(alive) <= 1
    world.settle()
    assert is_complete(world.deployment.status, replicas)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 2), seeds)
def test_a_change_of_size_in_the_middle_ends_too(before: int, after: int, surge: int, seed: int) -> None:
    world = World(before, surge, 1, "RollingUpdate")
    world.settle()
    world.set_image(1)
    world.reconcile_deployment()
    world.deployment.spec.replicas = after
    for _ in walk(world, seed):
        pass
    world.settle()
    assert is_complete(world.deployment.status, after)
    assert world.active == after
