"""Workloads are defaulted, checked and kept as Kubernetes does, also where their controllers are still to come."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from raftsman import codec, errors, resources
from raftsman.apps import v1 as apps
from raftsman.autoscaling import v2 as autoscaling
from raftsman.batch import v1 as batch

from .cluster import Api
from .test_validation import causes_of

LABELS = {"app": "a"}
TEMPLATE: dict[str, Any] = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
SELECTOR = {"matchLabels": LABELS}
ONCE = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
CLAIM = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"],
                                               "resources": {"requests": {"storage": "1024Mi"}}}}  # fmt: skip


def text(message: type[Any], spec: dict[str, Any], **more: Any) -> str:
    resource = resources.by_message(message)
    head = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "a"}}
    return orjson.dumps({**head, "spec": spec, **more}).decode()


async def made(api: Api, namespace: str, message: type[Any], spec: dict[str, Any]) -> dict[str, Any]:
    """The spec that the server makes of one."""
    found: dict[str, Any] = codec.to_json(await api.manifest(message, text(message, spec), namespace=namespace))
    return found


async def test_a_daemon_set_is_defaulted_and_counts_its_templates(api: Api, namespace: str) -> None:
    found = await made(api, namespace, apps.DaemonSet, {"selector": SELECTOR, "template": TEMPLATE})
    assert found["spec"]["updateStrategy"] == {
        "type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}
    }  # fmt: skip
    assert (found["spec"]["revisionHistoryLimit"], found["metadata"]["generation"]) == (10, 1)
    key = "deprecated.daemonset.template.generation"
    assert found["metadata"]["annotations"] == {key: "1"}
    obj = await api.get(apps.DaemonSet, "a", namespace)
    obj.spec.template.spec.containers[0].image = "j"
    obj = await api.update(obj)
    assert (obj.metadata.annotations[key], obj.metadata.generation) == ("2", 2)
    obj.spec.min_ready_seconds = 3
    assert (await api.update(obj)).metadata.annotations[key] == "2"


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        ({"selector": {"matchLabels": {"app": "b"}}, "template": TEMPLATE}, {
            "spec.template.metadata.labels":
                'Invalid value: {"app":"a"}: `selector` does not match template `labels`'}),
        ({"selector": {}, "template": TEMPLATE}, {
            "spec.selector": "Invalid value: {}: empty selector is invalid for daemonset"}),
        ({"selector": SELECTOR, "template": {**TEMPLATE, "spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}},
          "minReadySeconds": -1}, {
            "spec.template.spec.restartPolicy": 'Unsupported value: "Never": supported values: "Always"',
            "spec.minReadySeconds": "Invalid value: -1: must be greater than or equal to 0"}),
        ({"selector": SELECTOR, "template": TEMPLATE, "updateStrategy": {
            "type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "50%", "maxSurge": 1}}}, {
            "spec.updateStrategy.rollingUpdate.maxSurge":
                "Invalid value: 1: may not be set when maxUnavailable is non-zero"}),
        ({"selector": SELECTOR, "template": TEMPLATE, "updateStrategy": {
            "type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}}, {
            "spec.updateStrategy.rollingUpdate.maxUnavailable": "Required value: cannot be 0 when maxSurge is 0"}),
    ],
)  # fmt: skip
async def test_a_daemon_set_is_checked(api: Api, namespace: str, spec: dict[str, Any], causes: dict[str, str]) -> None:
    assert await causes_of(api.manifest(apps.DaemonSet, text(apps.DaemonSet, spec), namespace=namespace)) == causes


async def test_a_stateful_set_is_defaulted_with_its_claims(api: Api, namespace: str) -> None:
    template = copy.deepcopy(TEMPLATE)
    template["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **CLAIM}
    found = await made(api, namespace, apps.StatefulSet, {
        "selector": SELECTOR, "serviceName": "a", "template": template, "volumeClaimTemplates": [claim],
    })  # fmt: skip
    spec = found["spec"]
    assert (spec["replicas"], spec["podManagementPolicy"], spec["revisionHistoryLimit"]) == (1, "OrderedReady", 10)
    assert spec["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    (made_claim,) = spec["volumeClaimTemplates"]
    assert made_claim["spec"]["volumeMode"] == "Filesystem"
    assert made_claim["spec"]["resources"] == {"requests": {"storage": "1Gi"}}
    assert made_claim["status"] == {"phase": "Pending"}
    assert (made_claim["apiVersion"], made_claim["kind"]) == ("v1", "PersistentVolumeClaim")


async def test_a_stateful_set_changes_only_what_its_controller_can_follow(api: Api, namespace: str) -> None:
    await made(api, namespace, apps.StatefulSet, {"selector": SELECTOR, "serviceName": "a", "template": TEMPLATE})
    obj = await api.get(apps.StatefulSet, "a", namespace)
    obj.spec.replicas, obj.spec.min_ready_seconds = 3, 1
    obj.spec.template.spec.containers[0].image = "j"
    obj = await api.update(obj)
    assert obj.metadata.generation == 2
    obj.spec.service_name = "b"
    with pytest.raises(errors.Invalid, match="updates to statefulset spec for fields other than 'replicas'"):
        await api.update(obj)


async def test_a_stateful_set_is_scaled(api: Api, namespace: str) -> None:
    await made(api, namespace, apps.StatefulSet, {"selector": SELECTOR, "serviceName": "a", "template": TEMPLATE})
    await api.patch(apps.StatefulSet, "a", b'{"spec":{"replicas":5}}', namespace=namespace)
    assert (await api.get(apps.StatefulSet, "a", namespace)).spec.replicas == 5


async def test_a_job_gets_a_selector_of_its_own(api: Api, namespace: str) -> None:
    found = await made(api, namespace, batch.Job, {"template": ONCE})
    spec, uid = found["spec"], found["metadata"]["uid"]
    labels = {
        "controller-uid": uid, "batch.kubernetes.io/controller-uid": uid, "job-name": "a",
        "batch.kubernetes.io/job-name": "a",
    }  # fmt: skip
    assert spec["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    assert spec["template"]["metadata"]["labels"] == found["metadata"]["labels"] == labels
    rest = {key: value for key, value in spec.items() if key not in ("selector", "template")}
    assert rest == {
        "completions": 1, "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": False,
        "manualSelector": False, "podReplacementPolicy": "TerminatingOrFailed",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        ({"template": TEMPLATE}, {
            "spec.template.spec.restartPolicy": 'Required value: valid values: "OnFailure", "Never"'}),
        ({"template": ONCE, "completionMode": "Indexed", "parallelism": 2}, {
            "spec.completions": "Required value: when completion mode is Indexed"}),
        ({"template": ONCE, "parallelism": -1, "backoffLimit": -2}, {
            "spec.parallelism": "Invalid value: -1: must be greater than or equal to 0",
            "spec.backoffLimit": "Invalid value: -2: must be greater than or equal to 0"}),
        ({"template": ONCE, "selector": {"matchLabels": {"a": "b"}}}, {
            "spec.selector": "`selector` not auto-generated",
            "spec.template.metadata.labels": "`selector` does not match template `labels`"}),
        ({"template": ONCE, "podFailurePolicy": {"rules": [
            {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [2, 0]}}]}}, {
            "spec.podFailurePolicy.rules[0].onExitCodes.values[1]":
                "Invalid value: 0: must not be 0 for the In operator",
            "spec.podFailurePolicy.rules[0].onExitCodes.values": "Invalid value: [2,0]: must be ordered"}),
        ({"template": ONCE, "completionMode": "Indexed", "completions": 3, "successPolicy": {"rules": [
            {"succeededIndexes": "0-3"}, {}]}}, {
            "spec.successPolicy.rules[0].succeededIndexes":
                'Invalid value: "0-3": error parsing succeededIndexes: too large index: "3"',
            "spec.successPolicy.rules[1]":
                "Required value: at least one of succeededCount or succeededIndexes must be specified"}),
    ],
)  # fmt: skip
async def test_a_job_is_checked(api: Api, namespace: str, spec: dict[str, Any], causes: dict[str, str]) -> None:
    found = await causes_of(api.manifest(batch.Job, text(batch.Job, spec), namespace=namespace))
    assert set(found) == set(causes)
    assert all(found[path].endswith(why) for path, why in causes.items())


async def test_what_a_job_is_for_does_not_change(api: Api, namespace: str) -> None:
    obj = await api.manifest(batch.Job, text(batch.Job, {"template": ONCE}), namespace=namespace)
    obj.spec.parallelism, obj.spec.backoff_limit = 4, 2
    obj = await api.update(obj)
    assert (obj.spec.parallelism, obj.metadata.generation) == (4, 2)
    obj.spec.completions = 9
    obj.spec.template.spec.containers[0].image = "j"
    found = await causes_of(api.update(obj))
    assert set(found) == {"spec.completions", "spec.template"}
    assert found["spec.completions"] == "Invalid value: 9: field is immutable"


async def test_a_suspended_job_may_be_placed_anew(api: Api, namespace: str) -> None:
    obj = await api.manifest(batch.Job, text(batch.Job, {"template": ONCE, "suspend": True}), namespace=namespace)
    obj.spec.template.spec.node_selector["zone"] = "z"
    obj = await api.update(obj)
    assert obj.spec.template.spec.node_selector == {"zone": "z"}
    obj.spec.suspend = False
    obj = await api.update(obj)
    obj.spec.template.spec.node_selector["zone"] = "y"
    assert set(await causes_of(api.update(obj))) == {"spec.template"}


async def test_the_status_of_a_job_agrees_with_itself(api: Api, namespace: str) -> None:
    obj = await api.manifest(batch.Job, text(batch.Job, {"template": ONCE}), namespace=namespace)
    obj.status.start_time.seconds, obj.status.active = 100, 1
    obj = await api.update_status(obj)
    obj.status.conditions.add(type="Complete", status="True")
    found = await causes_of(api.update_status(obj))
    assert set(found) == {"status.conditions", "status.completionTime", "status.active"}
    obj.status.conditions.add(type="SuccessCriteriaMet", status="True")
    obj.status.completion_time.seconds, obj.status.active, obj.status.succeeded = 200, 0, 1
    obj = await api.update_status(obj)
    obj.status.ClearField("conditions")
    assert "status.conditions" in await causes_of(api.update_status(obj))


async def test_jobs_are_selected_by_their_successes(api: Api, namespace: str) -> None:
    obj = await api.manifest(batch.Job, text(batch.Job, {"template": ONCE}), namespace=namespace)
    obj.status.succeeded = 2
    await api.update_status(obj)
    for count, names in (("2", ["a"]), ("0", [])):
        found = await api.list(batch.Job, namespace=namespace, field_selector=f"status.successful={count}")
        assert [one.metadata.name for one in found.items] == names


async def test_a_cron_job_is_defaulted(api: Api, namespace: str) -> None:
    spec = {"schedule": "*/5 * * * mon-fri", "timeZone": "Europe/Berlin", "jobTemplate": {"spec": {"template": ONCE}}}
    found = (await made(api, namespace, batch.CronJob, spec))["spec"]
    assert (found["concurrencyPolicy"], found["suspend"]) == ("Allow", False)
    assert (found["successfulJobsHistoryLimit"], found["failedJobsHistoryLimit"]) == (3, 1)
    assert found["jobTemplate"]["spec"]["template"]["spec"]["schedulerName"] == "default-scheduler"


@pytest.mark.parametrize(
    ("spec", "path", "why"),
    [
        ({"schedule": "* * * *"}, "spec.schedule", "expected exactly 5 fields, found 4: [* * * *]"),
        ({"schedule": "61 * * * *"}, "spec.schedule", "end of range (61) above maximum (59): 61"),
        ({"schedule": "TZ=UTC 0 * * * *"}, "spec.schedule",
         "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"),
        ({"timeZone": "Mars/Olympus"}, "spec.timeZone", "unknown time zone Mars/Olympus"),
        ({"timeZone": "Local"}, "spec.timeZone",
         "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"),
        ({"concurrencyPolicy": "Never"}, "spec.concurrencyPolicy",
         'Unsupported value: "Never": supported values: "Allow", "Forbid", "Replace"'),
        ({"jobTemplate": {"spec": {"template": TEMPLATE}}}, "spec.jobTemplate.spec.template.spec.restartPolicy",
         'valid values: "OnFailure", "Never"'),
    ],
)  # fmt: skip
async def test_a_cron_job_is_checked(api: Api, namespace: str, spec: dict[str, Any], path: str, why: str) -> None:
    whole = {"schedule": "@daily", "jobTemplate": {"spec": {"template": ONCE}}, **spec}
    found = await causes_of(api.manifest(batch.CronJob, text(batch.CronJob, whole), namespace=namespace))
    assert list(found) == [path]
    assert found[path].endswith(why)


TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}


async def test_an_autoscaler_is_defaulted(api: Api, namespace: str) -> None:
    spec = {"maxReplicas": 3, "scaleTargetRef": TARGET, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}}
    found = (await made(api, namespace, autoscaling.HorizontalPodAutoscaler, spec))["spec"]
    assert found["minReplicas"] == 1
    assert found["metrics"] == [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
    ]
    assert found["behavior"]["scaleUp"] == {
        "stabilizationWindowSeconds": 0, "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15},
                     {"type": "Percent", "value": 100, "periodSeconds": 15}],
    }  # fmt: skip
    assert found["behavior"]["scaleDown"]["policies"] == [{"type": "Percent", "value": 100, "periodSeconds": 15}]


async def test_an_autoscaler_is_checked(api: Api, namespace: str) -> None:
    metrics = [{"type": "Resource"}, {"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "Value"}}}]
    spec = {"minReplicas": 5, "maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": ""},
            "metrics": metrics, "behavior": {"scaleUp": {"policies": [
                {"type": "Some", "value": 0, "periodSeconds": 1801}]}}}  # fmt: skip
    message = autoscaling.HorizontalPodAutoscaler
    assert set(await causes_of(api.manifest(message, text(message, spec), namespace=namespace))) == {
        "spec.maxReplicas", "spec.scaleTargetRef.name", "spec.metrics[0].resource",
        "spec.metrics[1].pods.target.averageValue", "spec.behavior.scaleUp.policies[0].type",
        "spec.behavior.scaleUp.policies[0].value", "spec.behavior.scaleUp.policies[0].periodSeconds",
    }  # fmt: skip


async def test_a_revision_keeps_its_data(api: Api, namespace: str) -> None:
    document = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "a"}, "revision": 1}
    bad = await causes_of(api.manifest(apps.ControllerRevision, orjson.dumps(document).decode(), namespace=namespace))
    assert bad == {"data": "Required value: data is mandatory"}
    whole = {**document, "data": {"spec": {"x": [1, "2"]}}}
    obj = await api.manifest(apps.ControllerRevision, orjson.dumps(whole).decode(), namespace=namespace)
    assert codec.to_json(obj)["data"] == {"spec": {"x": [1, "2"]}}
    obj.revision = 2
    obj = await api.update(obj)
    obj.data.raw = b'{"spec":{}}'
    with pytest.raises(errors.Invalid, match=r"data: Invalid value: .*: field is immutable"):
        await api.update(obj)
