"""JSON as Kubernetes prints it, by example."""

from __future__ import annotations

from typing import Any

import pytest
from raftsman import codec, errors
from raftsman.apps import v1 as apps
from raftsman.coordination import v1 as coordination
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.rbac import v1 as rbac

DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "creationTimestamp": "2026-01-31T15:04:05Z", "generation": 3},
    "spec": {
        "replicas": 0,
        "selector": {"matchLabels": {"app": "web"}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {
                        "name": "c",
                        "image": "i",
                        "env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
                        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 5},
                    }
                ],
                "volumes": [{"name": "v", "configMap": {"name": "cm"}}, {"name": "e", "emptyDir": {}}],
            },
        },
    },
    "status": {},
}


def test_a_deployment_is_printed_as_it_was_written() -> None:
    decoded = codec.from_json(DEPLOYMENT, apps.Deployment)
    assert not decoded.problems
    assert decoded.message.spec.HasField("replicas")
    assert decoded.message.spec.template.spec.volumes[0].volume_source.config_map.local_object_reference.name == "cm"
    assert codec.to_json(decoded.message) == DEPLOYMENT


def test_zero_values_are_printed_where_kubernetes_prints_them() -> None:
    pod = core.Pod()
    pod.spec.containers.add()
    pod.status.container_statuses.add()
    pod.status.conditions.add(type="Ready", status="True")
    value = codec.to_json(pod)
    assert value["spec"]["containers"] == [{"name": "", "resources": {}}]
    assert value["status"]["containerStatuses"] == [
        {"name": "", "state": {}, "lastState": {}, "ready": False, "restartCount": 0, "image": "", "imageID": ""}
    ]
    assert value["status"]["conditions"][0]["lastProbeTime"] is None
    assert codec.to_json(core.PodSpec())["containers"] is None
    assert codec.to_json(rbac.ClusterRole())["rules"] is None


def test_special_types_have_their_own_text() -> None:
    lease = coordination.Lease()
    lease.spec.renew_time.seconds, lease.spec.renew_time.nanos = 1769871845, 123456789
    assert codec.to_json(lease)["spec"]["renewTime"] == "2026-01-31T15:04:05.123456Z"
    secret = core.Secret(data={"k": b"\x00\xff"})
    assert codec.to_json(secret)["data"] == {"k": "AP8="}
    service = core.Service()
    service.spec.ports.add(port=80, target_port=meta.IntOrString(type=1, str_val="http"))
    assert codec.to_json(service)["spec"]["ports"] == [{"port": 80, "targetPort": "http"}]
    event = core.Event()
    assert codec.to_json(event)["eventTime"] is None


def test_quantities_may_be_numbers_and_become_canonical() -> None:
    value = {"limits": {"cpu": 0.5, "memory": 1073741824, "x": "1024Mi"}}
    decoded = codec.from_json(value, core.ResourceRequirements)
    assert codec.to_json(decoded.message) == {"limits": {"cpu": "500m", "memory": "1073741824", "x": "1Gi"}}


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"replicas": "3"}, "spec.replicas", codec.TYPE_INVALID),
        ({"replicas": 3.5}, "spec.replicas", codec.TYPE_INVALID),
        ({"replicas": True}, "spec.replicas", codec.TYPE_INVALID),
        ({"replicas": 2**31}, "spec.replicas", codec.INVALID),
        ({"Replicas": 3}, "spec.Replicas", codec.UNKNOWN),
        ({"paused": "no"}, "spec.paused", codec.TYPE_INVALID),
        ({"selector": []}, "spec.selector", codec.TYPE_INVALID),
        ({"selector": {"matchLabels": {"a": 1}}}, "spec.selector.matchLabels[a]", codec.TYPE_INVALID),
        ({"template": {"spec": {"containers": {}}}}, "spec.template.spec.containers", codec.TYPE_INVALID),
        ({"template": {"spec": {"containers": [{"imag": 1}]}}}, "spec.template.spec.containers[0].imag", codec.UNKNOWN),
        ({"template": {"spec": {"containers": [{"command": ["a", 1]}]}}},
         "spec.template.spec.containers[0].command[1]", codec.TYPE_INVALID),
        ({"template": {"spec": {"containers": [{"resources": {"limits": {"cpu": "x"}}}]}}},
         "spec.template.spec.containers[0].resources.limits[cpu]", codec.INVALID),
        ({"strategy": {"rollingUpdate": {"maxSurge": 1.5}}}, "spec.strategy.rollingUpdate.maxSurge", codec.INVALID),
        ({"template": {"metadata": {"creationTimestamp": "now"}}}, "spec.template.metadata.creationTimestamp",
         codec.INVALID),
    ],
)  # fmt: skip
def test_a_problem_is_named_by_its_path(change: dict[str, Any], field: str, reason: str) -> None:
    (problem,) = codec.from_json({"spec": change}, apps.Deployment).problems
    assert (problem.field, problem.reason) == (field, reason)


def test_every_problem_is_listed_and_the_rest_is_taken() -> None:
    decoded = codec.from_json({"spec": {"replicas": "x", "paused": True, "foo": 1}, "bar": 2}, apps.Deployment)
    assert [p.field for p in decoded.problems] == ["spec.replicas", "spec.foo", "bar"]
    assert [p.field for p in decoded.unknown] == ["spec.foo", "bar"]
    assert decoded.message.spec.paused
    with pytest.raises(errors.BadRequest, match=r"spec.replicas.*spec.foo.*bar") as refused:
        codec.check(decoded.problems, what="Deployment")
    assert len(refused.value.causes) == 3


def test_a_secret_that_is_not_base64_is_not_quoted() -> None:
    (problem,) = codec.from_json({"data": {"password": "hunter2!"}}, core.Secret).problems
    assert problem.field == "data[password]"
    assert "hunter2" not in problem.message


def test_null_is_absent_and_inlined_fields_stand_in_their_parent() -> None:
    decoded = codec.from_json({"spec": None, "metadata": {"labels": None}}, core.Pod)
    assert not decoded.problems
    assert not decoded.message.HasField("spec")
    volume = codec.from_json({"name": "v", "emptyDir": {}}, core.Volume).message
    assert volume.volume_source.HasField("empty_dir")
    assert codec.to_json(volume) == {"name": "v", "emptyDir": {}}
