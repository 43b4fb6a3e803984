"""A namespace that is deleted is emptied first, says what holds it up, and then goes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from raftsman import resources
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.services.controllers.namespace import Content, NamespaceController, Observed, Plan, decide

from .running import eventually, quiet, running

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PODS = resources.by_message(core.Pod)


def namespace(*, deleting: bool = True) -> core.Namespace:
    made = core.Namespace(metadata=meta.ObjectMeta(name="a"))
    made.spec.finalizers.append("kubernetes")
    made.status.phase = "Terminating" if deleting else "Active"
    if deleting:
        made.metadata.deletion_timestamp.seconds = 1
    return made


def test_an_active_namespace_is_left_alone() -> None:
    assert decide(Observed(namespace(deleting=False), (Content(PODS, 3),)), now=NOW) == Plan()


def test_an_empty_namespace_is_let_go() -> None:
    assert decide(Observed(namespace()), now=NOW) == Plan(finalize=True)


def test_what_is_there_is_deleted_once_and_named() -> None:
    plan = decide(Observed(namespace(), (Content(PODS, 3, deleting=1, finalizers=("x/y",)),)), now=NOW)
    assert plan.delete == (PODS,)
    assert plan.look_again
    assert plan.status is not None
    assert {c.type: c.message for c in plan.status.conditions} == {
        "NamespaceContentRemaining": "still there: pods: 3",
        "NamespaceFinalizersRemaining": "waiting for: x/y: 1",
    }
    assert decide(Observed(namespace(), (Content(PODS, 3, deleting=3),)), now=NOW).delete == ()


def test_a_kind_that_cannot_be_listed_keeps_the_namespace() -> None:
    plan = decide(Observed(namespace(), failures=("pods: forbidden",)), now=NOW)
    assert not plan.finalize
    assert plan.status is not None
    assert plan.status.conditions[0].type == "NamespaceDeletionContentFailure"


def test_an_unchanged_state_is_not_written_again() -> None:
    contents = (Content(PODS, 1, deleting=1),)
    first = decide(Observed(namespace(), contents), now=NOW)
    assert first.status is not None
    told = core.Namespace(metadata=namespace().metadata, spec=namespace().spec, status=first.status)
    assert decide(Observed(told, contents), now=NOW).status is None


async def test_everything_in_it_goes_and_then_the_namespace(fake_api: Any) -> None:
    async with running(fake_api, NamespaceController()):
        await fake_api.put(namespace(deleting=False))
        held = core.Pod(metadata=meta.ObjectMeta(name="held", namespace="a", finalizers=["example.com/hold"]))
        for obj in (held, core.Secret(metadata=meta.ObjectMeta(name="s", namespace="a")),
                    core.Secret(metadata=meta.ObjectMeta(name="s", namespace="other"))):  # fmt: skip
            await fake_api.put(obj)
        await quiet(fake_api)
        await fake_api.put(namespace())
        await eventually(lambda: fake_api.find(core.Pod, "held", "a").metadata.HasField("deletion_timestamp"))
        await eventually(lambda: not fake_api.find(core.Secret, "s", "a"))
        assert fake_api.find(core.Namespace, "a") is not None
        await fake_api.remove(held)
        await eventually(lambda: fake_api.find(core.Namespace, "a") is None)
        assert fake_api.find(core.Secret, "s", "other") is not None
