"""Strategic merge: what is made can be applied, and what others own stays."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raftsman import errors, patch
from raftsman.apps import v1 as apps
from raftsman.core import v1 as core

names = st.sampled_from(["a", "b", "c", "d", "e"])
texts = st.sampled_from(["x", "y", "z"])
labels = st.dictionaries(names, texts, max_size=3)


def keyed(key: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    item = st.fixed_dictionaries({key: names}, optional=fields)
    return st.lists(item, max_size=4, unique_by=lambda i: i[key])


containers = keyed(
    "name",
    image=texts,
    command=st.lists(texts, max_size=2),
    env=keyed("name", value=texts),
    resources=st.fixed_dictionaries({}, optional={"requests": st.dictionaries(names, texts, max_size=2)}),
    livenessProbe=st.fixed_dictionaries({}, optional={"periodSeconds": st.integers(1, 9)}),
)
volumes = st.lists(
    st.one_of(
        st.fixed_dictionaries({"name": names, "emptyDir": st.just({})}),
        st.fixed_dictionaries({"name": names, "configMap": st.fixed_dictionaries({"name": texts})}),
    ),
    max_size=3,
    unique_by=lambda v: str(v["name"]),
)
pod_specs = st.fixed_dictionaries({}, optional={"containers": containers, "volumes": volumes, "nodeName": texts})
metadata = st.fixed_dictionaries(
    {}, optional={"labels": labels, "finalizers": st.lists(names, max_size=4, unique=True), "name": texts}
)
pods = st.fixed_dictionaries({}, optional={"metadata": metadata, "spec": pod_specs})
strategy_blocks = st.fixed_dictionaries({}, optional={"type": texts, "rollingUpdate": st.just({"maxSurge": 1})})
deployments = st.fixed_dictionaries(
    {"spec": st.fixed_dictionaries({}, optional={"strategy": strategy_blocks, "template": pods})}
)


def contains(whole: Any, part: Any, *, key: str = "") -> bool:
    """Whether `whole` says all that `part` says; elements of merged lists are matched by name."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(k in whole and contains(whole[k], v, key=k) for k, v in part.items())
    if isinstance(part, list) and key in ("containers", "env", "volumes"):
        named = {item["name"]: item for item in whole}
        return all(item["name"] in named and contains(named[item["name"]], item) for item in part)
    if isinstance(part, list) and key == "finalizers":
        return set(part) <= set(whole)
    return bool(whole == part)


@given(original=deployments, target=deployments)
@settings(max_examples=200, deadline=None)
def test_a_two_way_patch_turns_the_original_into_the_target(original: Any, target: Any) -> None:
    made = patch.two_way_strategic(original, target, apps.Deployment)
    before = copy.deepcopy(original)
    assert patch.strategic_merge(original, made, apps.Deployment) == target
    assert original == before
    assert not patch.two_way_strategic(target, target, apps.Deployment)


@given(original=pods, modified=pods, current=pods)
@settings(max_examples=200, deadline=None)
def test_a_three_way_patch_leaves_all_that_was_asked_for(original: Any, modified: Any, current: Any) -> None:
    made = patch.three_way_strategic(original, modified, current, core.Pod)
    result = patch.strategic_merge(current, made, core.Pod)
    assert contains(result, modified)
    again = patch.three_way_strategic(modified, modified, result, core.Pod)
    assert again == {}


@given(original=pods, target=pods)
@settings(max_examples=100, deadline=None)
def test_a_merge_patch_turns_the_original_into_the_target(original: Any, target: Any) -> None:
    assert patch.merge_patch(original, patch.two_way_merge(original, target)) == target


def test_what_was_applied_and_is_gone_is_deleted_and_what_others_added_stays() -> None:
    original = {"spec": {"containers": [{"name": "web"}, {"name": "side"}]}, "metadata": {"labels": {"a": "1"}}}
    modified = {"spec": {"containers": [{"name": "web", "image": "v2"}]}, "metadata": {}}
    current = {
        "spec": {"containers": [{"name": "web", "image": "v1"}, {"name": "side"}, {"name": "injected"}]},
        "metadata": {"labels": {"a": "1", "b": "2"}},
    }
    made = patch.three_way_strategic(original, modified, current, core.Pod)
    result = patch.strategic_merge(current, made, core.Pod)
    assert result["spec"]["containers"] == [{"name": "web", "image": "v2"}, {"name": "injected"}]
    assert made["metadata"] == {"labels": {"a": None}}
    assert result["metadata"]["labels"] == {"b": "2"}


def test_one_quantity_written_in_two_ways_is_no_change() -> None:
    modified = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": 0.5, "memory": "1024Mi"}}}]}}
    current = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}}]}}
    assert patch.three_way_strategic({}, modified, current, core.Pod) == {}


def test_a_change_of_strategy_drops_the_parameters_of_the_old_one() -> None:
    current = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}}}}
    modified = {"spec": {"strategy": {"type": "Recreate"}}}
    made = patch.three_way_strategic({}, modified, current, apps.Deployment)
    assert made == {"spec": {"strategy": {"type": "Recreate", "$retainKeys": ["type"]}}}
    assert patch.strategic_merge(current, made, apps.Deployment) == modified


@pytest.mark.parametrize(
    ("original", "change", "result"),
    [
        ({"spec": {"a": 1}}, {"spec": {"$patch": "replace", "nodeName": "n"}}, {"spec": {"nodeName": "n"}}),
        ({"spec": {"a": 1}}, {"spec": {"$patch": "delete"}}, {"spec": {}}),
        (
            {"spec": {"containers": [{"name": "a"}, {"name": "b"}]}},
            {"spec": {"containers": [{"$patch": "replace"}, {"name": "c"}]}},
            {"spec": {"containers": [{"name": "c"}]}},
        ),
        (
            {"spec": {"containers": [{"name": "a"}, {"name": "b"}, {"name": "s"}]}},
            {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}},
            {"spec": {"containers": [{"name": "b"}, {"name": "a"}, {"name": "s"}]}},
        ),
        (
            {"metadata": {"finalizers": ["a", "b"]}},
            {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}},
            {"metadata": {"finalizers": ["b", "c"]}},
        ),
        (
            {"spec": {"tolerations": [{"key": "a"}]}},
            {"spec": {"tolerations": [{"key": "b"}]}},
            {"spec": {"tolerations": [{"key": "b"}]}},
        ),
    ],
)
def test_directives_do_what_they_say(original: Any, change: Any, result: Any) -> None:
    assert patch.strategic_merge(original, change, core.Pod) == result


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"spec": {"containers": [{"image": "x"}]}}, "spec.containers[0]"),
        ({"spec": {"$patch": "explode"}}, "spec.$patch"),
        ({"spec": {"containers": [{"name": "z"}], "$setElementOrder/containers": [{"name": "a"}]}}, "spec.containers"),
        ({"spec": {"$retainKeys": ["a"], "nodeName": "n"}}, "spec.nodeName"),
    ],
)
def test_a_malformed_patch_is_refused_with_its_path(change: Any, path: str) -> None:
    with pytest.raises(errors.BadRequest) as refused:
        patch.strategic_merge({"spec": {"containers": [{"name": "a"}]}}, change, core.Pod)
    assert refused.value.causes[0].field == path
