"""What of a pod nothing acts upon is found by its path."""

from __future__ import annotations

from typing import Any

import pytest
from raftsman import codec, unsupported
from raftsman.core import v1 as core


def pod(spec: dict[str, Any]) -> core.Pod:
    decoded = codec.from_json({"spec": {"containers": [{"name": "a", **spec.pop("container", {})}], **spec}}, core.Pod)
    assert not decoded.problems
    return decoded.message


@pytest.mark.parametrize(
    ("spec", "paths"),
    [
        ({}, set()),
        ({"affinity": {"nodeAffinity": {}}, "schedulingGates": [{"name": "g"}], "hostUsers": True,
          "os": {"name": "linux"}, "resources": {}}, set()),
        ({"hostNetwork": True, "container": {"ports": [{"containerPort": 80, "hostPort": 80}]}}, set()),
        ({"container": {"ports": [{"containerPort": 80, "hostPort": 80}]}}, {"spec.containers[0].ports[0].hostPort"}),
        ({"hostUsers": False, "setHostnameAsFQDN": True}, {"spec.hostUsers", "spec.setHostnameAsFQDN"}),
        ({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "persistentVolumeClaim": {"claimName": "c"}}]},
         {"spec.volumes[1].persistentVolumeClaim"}),
        ({"container": {"resources": {"limits": {"ephemeral-storage": "1Gi"}}}},
         {"spec.containers[0].resources.limits[ephemeral-storage]"}),
        ({"container": {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}}, set()),
        ({"container": {"securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}},
         {"spec.containers[0].securityContext.appArmorProfile"}),
        ({"os": {"name": "windows"}}, {"spec.os.name"}),
    ],
)  # fmt: skip
def test_fields_that_no_node_acts_upon_are_found(spec: dict[str, Any], paths: set[str]) -> None:
    assert {path for path, _ in unsupported.on_nodes(pod(spec))} == paths


def test_what_only_the_scheduler_would_act_upon_is_nothing_to_a_node() -> None:
    terms = [{"topologyKey": "zone", "namespaceSelector": selector} for selector in ({}, {"matchLabels": {"a": "b"}})]
    found = pod({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}})
    assert not unsupported.on_nodes(found)
    assert unsupported.sentence(unsupported.in_scheduler(found)) == (
        "spec.affinity.podAffinity.namespaceSelector is not supported yet: it needs labels of namespaces in the "
        "scheduler"
    )
