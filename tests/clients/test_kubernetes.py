"""The official Python client: typed and dynamic, watches, leader election, manifests, server-side apply."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest
import yaml
from kubernetes import client as k8s
from kubernetes.client import exceptions
from kubernetes.dynamic import DynamicClient
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

from .manifests import WEB

# How much of a kind's changes the API server remembers.
WINDOW_BYTES = 16 << 20
LARGE = "x" * 900_000


@pytest.fixture(scope="module")
def api(kubeconfig: Path) -> Iterator[k8s.ApiClient]:
    with kubernetes.config.new_client_from_config(str(kubeconfig)) as found:
        yield found


@pytest.fixture
def core(api: k8s.ApiClient) -> k8s.CoreV1Api:
    return k8s.CoreV1Api(api)


def config_map(name: str, **data: str) -> k8s.V1ConfigMap:
    return k8s.V1ConfigMap(metadata=k8s.V1ObjectMeta(name=name), data=data)


def test_objects_live_a_whole_life(core: k8s.CoreV1Api, namespace: str) -> None:
    made = core.create_namespaced_config_map(namespace, config_map("c", a="1"))
    with pytest.raises(exceptions.ApiException) as refused:
        core.create_namespaced_config_map(namespace, config_map("c"))
    assert refused.value.status == 409
    core.patch_namespaced_config_map("c", namespace, {"data": {"b": "2"}})
    made.data = {"a": "3"}
    with pytest.raises(exceptions.ApiException) as refused:
        core.replace_namespaced_config_map("c", namespace, made)
    assert refused.value.status == 409
    assert core.read_namespaced_config_map("c", namespace).data == {"a": "1", "b": "2"}
    assert core.delete_namespaced_config_map("c", namespace)["status"] == "Success"
    with pytest.raises(exceptions.ApiException) as refused:
        core.read_namespaced_config_map("c", namespace)
    assert refused.value.status == 404


def test_lists_come_in_pages(core: k8s.CoreV1Api, namespace: str) -> None:
    for index in range(5):
        core.create_namespaced_config_map(namespace, config_map(f"c{index}"))
    selected = {"field_selector": "metadata.name!=kube-root-ca.crt"}
    first = core.list_namespaced_config_map(namespace, limit=2, **selected)
    rest = core.list_namespaced_config_map(namespace, limit=50, _continue=first.metadata._continue, **selected)
    assert [item.metadata.name for item in (*first.items, *rest.items)] == [f"c{index}" for index in range(5)]


def test_a_watch_goes_on_from_a_revision_and_shows_every_change(core: k8s.CoreV1Api, namespace: str) -> None:
    revision = core.list_namespaced_config_map(namespace).metadata.resource_version
    core.create_namespaced_config_map(namespace, config_map("c"))
    core.patch_namespaced_config_map("c", namespace, {"data": {"a": "1"}})
    core.delete_namespaced_config_map("c", namespace)
    watch = kubernetes.watch.Watch()
    seen = []
    for event in watch.stream(
        core.list_namespaced_config_map, namespace, resource_version=revision, field_selector="metadata.name=c",
        timeout_seconds=60,
    ):  # fmt: skip
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "DELETED":
            watch.stop()
    assert seen == [("ADDED", "c"), ("MODIFIED", "c"), ("DELETED", "c")]


def test_a_watch_from_a_revision_that_is_gone_says_410(core: k8s.CoreV1Api, namespace: str) -> None:
    core.create_namespaced_config_map(namespace, config_map("large"))
    revision = core.list_namespaced_config_map(namespace).metadata.resource_version
    for index in range(2 * WINDOW_BYTES // len(LARGE)):
        core.patch_namespaced_config_map("large", namespace, {"data": {"a": f"{index}{LARGE}"}})
    with pytest.raises(exceptions.ApiException) as refused:
        for _ in kubernetes.watch.Watch().stream(
            core.list_namespaced_config_map, namespace, resource_version=revision, timeout_seconds=10
        ):
            pass
    assert refused.value.status == 410


def test_a_watch_ends_when_its_time_is_over(core: k8s.CoreV1Api, namespace: str) -> None:
    stream = kubernetes.watch.Watch().stream(core.list_namespaced_secret, namespace, timeout_seconds=1)
    assert [event["type"] for event in stream] == []


def test_manifests_are_created(api: k8s.ApiClient, core: k8s.CoreV1Api, namespace: str) -> None:
    documents = [*yaml.safe_load_all(WEB), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}]
    kubernetes.utils.create_from_yaml(api, yaml_objects=documents, namespace=namespace)
    assert core.read_namespaced_config_map("c", namespace).metadata.name == "c"
    with pytest.raises(kubernetes.utils.FailToCreateError):
        kubernetes.utils.create_from_yaml(api, yaml_objects=documents, namespace=namespace)


def test_the_dynamic_client_finds_kinds_applies_and_watches(api: k8s.ApiClient, namespace: str) -> None:
    dynamic = DynamicClient(api)
    deployments = dynamic.resources.get(api_version="apps/v1", kind="Deployment")
    body = yaml.safe_load(WEB)
    made = deployments.server_side_apply(body=body, namespace=namespace, field_manager="py")
    assert made.spec.replicas == 2
    body["spec"]["replicas"] = 3
    with pytest.raises(kubernetes.dynamic.exceptions.ConflictError, match="conflict"):
        deployments.server_side_apply(body=body, namespace=namespace, field_manager="other")
    deployments.server_side_apply(body=body, namespace=namespace, field_manager="other", force_conflicts=True)
    merge = {"content_type": "application/merge-patch+json"}
    deployments.patch(body={"metadata": {"labels": {"x": "y"}}}, name="web", namespace=namespace, **merge)
    assert [item.metadata.name for item in deployments.get(namespace=namespace, label_selector="x=y").items] == ["web"]
    seen = [event["type"] for event in deployments.watch(namespace=namespace, timeout=1)]
    assert "ADDED" in seen
    scale = deployments.scale.get(name="web", namespace=namespace)
    assert scale.spec.replicas == 3
    deployments.delete(name="web", namespace=namespace, body={"propagationPolicy": "Foreground"})


def test_every_served_kind_is_found_by_discovery(api: k8s.ApiClient) -> None:
    groups = {group.name for group in k8s.ApisApi(api).get_api_versions().groups}
    assert {"apps", "rbac.authorization.k8s.io"} <= groups
    assert "v1" in k8s.CoreApi(api).get_api_versions().versions
    assert k8s.VersionApi(api).get_code().major == "1"
    names = {entry.name for entry in k8s.AppsV1Api(api).get_api_resources().resources}
    assert {"deployments", "deployments/scale", "deployments/status"} <= names


def test_reviews_and_tokens_are_answered(api: k8s.ApiClient, core: k8s.CoreV1Api, namespace: str) -> None:
    request = k8s.AuthenticationV1TokenRequest(spec=k8s.V1TokenRequestSpec(audiences=[], expiration_seconds=3600))
    token = core.create_namespaced_service_account_token("default", namespace, request).status.token
    review = k8s.AuthenticationV1Api(api).create_token_review(
        k8s.V1TokenReview(spec=k8s.V1TokenReviewSpec(token=token))
    )
    assert review.status.user.username == f"system:serviceaccount:{namespace}:default"
    attributes = k8s.V1ResourceAttributes(verb="list", resource="pods", namespace=namespace)
    spec = k8s.V1SubjectAccessReviewSpec(user=review.status.user.username, resource_attributes=attributes)
    answer = k8s.AuthorizationV1Api(api).create_subject_access_review(k8s.V1SubjectAccessReview(spec=spec))
    assert answer.status.allowed is False


def test_collections_are_deleted_with_preconditions_and_dry_runs(core: k8s.CoreV1Api, namespace: str) -> None:
    for name in ("a", "b"):
        made = config_map(name)
        made.metadata.labels = {"x": "y"}
        core.create_namespaced_config_map(namespace, made)
    wrong = k8s.V1DeleteOptions(preconditions=k8s.V1Preconditions(uid="nope"))
    with pytest.raises(exceptions.ApiException) as refused:
        core.delete_namespaced_config_map("a", namespace, body=wrong)
    assert refused.value.status == 409
    core.delete_collection_namespaced_config_map(namespace, label_selector="x=y", dry_run="All")
    assert len(core.list_namespaced_config_map(namespace, label_selector="x=y").items) == 2
    core.delete_collection_namespaced_config_map(namespace, label_selector="x=y")
    assert core.list_namespaced_config_map(namespace, label_selector="x=y").items == []


class OneTerm:
    """A lock whose holder loses it when it is told to: the module knows no other end."""

    def __init__(self, lock: LeaseLock) -> None:
        self._lock, self.over = lock, threading.Event()
        self.identity, self.name, self.namespace = lock.identity, lock.name, lock.namespace

    def get(self, name: str, namespace: str) -> Any:
        return self._lock.get(name, namespace)

    def create(self, name: str, namespace: str, election_record: Any) -> bool:
        return bool(self._lock.create(name, namespace, election_record))

    def update(self, name: str, namespace: str, updated_record: Any) -> bool:
        return not self.over.is_set() and bool(self._lock.update(name, namespace, updated_record))


def test_a_leader_is_elected_and_another_takes_over(kubeconfig: Path, namespace: str) -> None:
    kubernetes.config.load_kube_config(str(kubeconfig))
    for name in ("one", "two"):
        lock, led, lost = OneTerm(LeaseLock("lock", namespace, name)), threading.Event(), threading.Event()
        config = electionconfig.Config(
            lock, lease_duration=3, renew_deadline=2, retry_period=1.1, onstarted_leading=led.set,
            onstopped_leading=lost.set,
        )  # fmt: skip
        thread = threading.Thread(target=leaderelection.LeaderElection(config).run)
        thread.start()
        assert led.wait(60)
        lock.over.set()
        assert lost.wait(60)
        thread.join(60)
