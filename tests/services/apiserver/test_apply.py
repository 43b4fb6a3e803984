"""Server-side apply over REST and through kubectl: merging, ownership, conflicts, pruning."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .cluster import ApiServerProcess
from .rest import Kubectl, Rest, kubeconfig

APPLY = {"Content-Type": "application/apply-patch+yaml"}
MERGE = {"Content-Type": "application/merge-patch+json"}
CONFIGS = "/api/v1/namespaces/default/configmaps"
SERVICES = "/api/v1/namespaces/default/services"


@pytest.fixture
def rest(server: ApiServerProcess) -> Iterator[Rest]:
    client = Rest(server)
    yield client
    client.close()


@pytest.fixture
def name() -> str:
    return f"a-{secrets.token_hex(4)}"


def applied(rest: Rest, path: str, config: dict[str, Any], manager: str, **query: str) -> tuple[int, Any]:
    kind = "Service" if path.startswith(SERVICES) else "ConfigMap"
    tree = {"apiVersion": "v1", "kind": kind, **config}
    return rest.json("PATCH", path, tree, headers=APPLY, fieldManager=manager, **query)


def owners(obj: Any) -> dict[tuple[str, str], Any]:
    return {(one["manager"], one["operation"]): one["fieldsV1"] for one in obj["metadata"]["managedFields"]}


def test_what_is_not_there_is_created_and_owned(rest: Rest, name: str) -> None:
    status, made = applied(rest, f"{CONFIGS}/{name}", {"data": {"a": "1"}}, "one")
    assert (status, made["data"]) == (201, {"a": "1"})
    assert owners(made) == {("one", "Apply"): {"f:data": {"f:a": {}}}}
    status, same = applied(rest, f"{CONFIGS}/{name}", {"data": {"a": "1"}}, "one")
    assert (status, same) == (200, made), "nothing changed: no revision"


def test_two_managers_own_what_each_names_and_share_what_both_do(rest: Rest, name: str) -> None:
    applied(rest, f"{CONFIGS}/{name}", {"data": {"a": "1", "b": "2"}}, "one")
    status, both = applied(rest, f"{CONFIGS}/{name}", {"data": {"b": "2", "c": "3"}}, "two")
    assert (status, both["data"]) == (200, {"a": "1", "b": "2", "c": "3"})
    assert owners(both) == {
        ("one", "Apply"): {"f:data": {"f:a": {}, "f:b": {}}},
        ("two", "Apply"): {"f:data": {"f:b": {}, "f:c": {}}},
    }


def test_changing_what_another_owns_is_a_conflict_unless_forced(rest: Rest, name: str) -> None:
    applied(rest, f"{CONFIGS}/{name}", {"data": {"a": "1"}}, "one")
    status, refused = applied(rest, f"{CONFIGS}/{name}", {"data": {"a": "2"}}, "two")
    assert (status, refused["reason"]) == (409, "Conflict")
    assert refused["message"] == 'Apply failed with 1 conflict: conflict with "one": .data.a'
    assert refused["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.a"}
    ]
    status, taken = applied(rest, f"{CONFIGS}/{name}", {"data": {"a": "2"}}, "two", force="true")
    assert (status, taken["data"]) == (200, {"a": "2"})
    assert owners(taken) == {("two", "Apply"): {"f:data": {"f:a": {}}}}


def test_what_is_no_longer_named_goes_unless_another_owns_it(rest: Rest, name: str) -> None:
    applied(rest, f"{CONFIGS}/{name}", {"data": {"a": "1", "b": "2", "c": "3"}}, "one")
    applied(rest, f"{CONFIGS}/{name}", {"data": {"b": "2"}}, "two")
    _, left = applied(rest, f"{CONFIGS}/{name}", {"data": {"c": "3"}}, "one")
    assert left["data"] == {"b": "2", "c": "3"}


def test_an_update_takes_what_it_changes(rest: Rest, name: str) -> None:
    applied(rest, f"{CONFIGS}/{name}", {"data": {"a": "1", "b": "2"}}, "one")
    _, changed = rest.json("PATCH", f"{CONFIGS}/{name}", {"data": {"a": "9"}}, headers=MERGE, fieldManager="editor")
    assert owners(changed) == {
        ("one", "Apply"): {"f:data": {"f:b": {}}},
        ("editor", "Update"): {"f:data": {"f:a": {}}},
    }
    _, removed = rest.json("PATCH", f"{CONFIGS}/{name}", {"data": {"a": None}}, headers=MERGE, fieldManager="editor")
    assert owners(removed) == {("one", "Apply"): {"f:data": {"f:b": {}}}}


def test_the_default_manager_is_the_client_program(rest: Rest, name: str) -> None:
    sent = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}}
    _, made = rest.json("POST", CONFIGS, sent, headers={"User-Agent": "my-tool/1.2 (linux)"})
    assert owners(made) == {("my-tool", "Update"): {"f:data": {".": {}, "f:a": {}}}}


def test_items_of_a_list_with_keys_are_merged_one_by_one(rest: Rest, name: str) -> None:
    web = {"name": "web", "port": 80, "targetPort": 8080}
    metrics = {"name": "metrics", "port": 9090}
    applied(rest, f"{SERVICES}/{name}", {"spec": {"selector": {"a": "b"}, "ports": [web]}}, "one")
    status, both = applied(rest, f"{SERVICES}/{name}", {"spec": {"ports": [metrics]}}, "two")
    assert (status, [port["name"] for port in both["spec"]["ports"]]) == (200, ["web", "metrics"])
    _, left = applied(rest, f"{SERVICES}/{name}", {"spec": {}}, "two")
    assert [port["name"] for port in left["spec"]["ports"]] == ["web"]


def test_a_dry_run_tells_conflicts_and_stores_nothing(rest: Rest, name: str) -> None:
    applied(rest, f"{CONFIGS}/{name}", {"data": {"a": "1"}}, "one")
    assert applied(rest, f"{CONFIGS}/{name}", {"data": {"a": "2"}}, "two", dryRun="All")[0] == 409
    status, shown = applied(rest, f"{CONFIGS}/{name}", {"data": {"b": "2"}}, "two", dryRun="All")
    assert (status, shown["data"]) == (200, {"a": "1", "b": "2"})
    assert rest.json("GET", f"{CONFIGS}/{name}")[1]["data"] == {"a": "1"}


def test_a_client_can_take_all_ownership_away(rest: Rest, name: str) -> None:
    applied(rest, f"{CONFIGS}/{name}", {"data": {"a": "1"}}, "one")
    patch = {"metadata": {"managedFields": [{}]}}
    _, bare = rest.json("PATCH", f"{CONFIGS}/{name}", patch, headers=MERGE)
    assert "managedFields" not in bare["metadata"]
    status, refused = applied(rest, f"{CONFIGS}/{name}", {"data": {"a": "2"}}, "two")
    assert (status, 'conflict with "before-first-apply"' in refused["message"]) == (409, True)


@pytest.mark.parametrize(
    ("config", "query", "status"),
    [
        ({"data": {"a": "1"}}, {}, 422),
        ({"metadata": {"managedFields": [{"manager": "x"}]}}, {"fieldManager": "m"}, 400),
        ({"metadata": {"name": "other"}}, {"fieldManager": "m"}, 400),
        ({"kind": "Secret"}, {"fieldManager": "m"}, 400),
        ({"data": {"a": 1}}, {"fieldManager": "m"}, 400),
        ({"data": {"a": "1"}}, {"fieldManager": "m" * 200}, 400),
    ],
)
def test_what_cannot_be_applied_is_refused(
    rest: Rest, name: str, config: dict[str, Any], query: dict[str, str], status: int
) -> None:
    tree = {"apiVersion": "v1", "kind": "ConfigMap", **config}
    found, answer = rest.json("PATCH", f"{CONFIGS}/{name}", tree, headers=APPLY, **query)
    assert (found, answer["kind"]) == (status, "Status"), answer


@pytest.mark.kubectl
def test_kubectl_applies_on_the_server_after_it_applied_by_itself(server: ApiServerProcess, tmp_path: Path) -> None:
    kubectl = Kubectl(kubeconfig(server, tmp_path), tmp_path)
    name = f"k-{secrets.token_hex(4)}"
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1", "b": "2"}}
    kubectl("apply", "-f", "-", stdin=json.dumps(config))
    del config["data"]["b"]  # type: ignore[attr-defined]
    said = kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(config))
    assert "serverside-applied" in said
    found = json.loads(kubectl("get", "configmap", name, "-o", "json", "--show-managed-fields"))
    assert found["data"] == {"a": "1"}, "what only the earlier apply owned went"
    assert ("kubectl", "Apply") in owners(found)
    kubectl("patch", "configmap", name, "--field-manager=other", "-p", '{"data":{"a":"9"}}')
    assert "conflict" in kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(config), fails=True)
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(config))
