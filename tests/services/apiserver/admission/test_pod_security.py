"""How much a namespace lets its pods ask for, by its labels."""

from __future__ import annotations

import json
from typing import Any

import pytest
from raftsman import errors, manifests
from raftsman.codec import from_json
from raftsman.core import v1 as core
from raftsman.services.apiserver.policies import pods

from tests.services.apiserver.cluster import Api, ApiServerProcess
from tests.services.apiserver.rest import Rest

MINIMAL = "{containers: [{name: a, image: i}, {name: b, image: i}]}"
STRICT = """{securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}},
  containers: [{name: a, image: i, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}"""


def a_spec(text: str) -> core.PodSpec:
    value = manifests.parse(f"{{apiVersion: v1, kind: Pod, metadata: {{name: x}}, spec: {text}}}".encode())[0].value
    decoded = from_json(value, core.Pod)
    assert not decoded.problems
    spec: core.PodSpec = decoded.message.spec
    return spec


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (MINIMAL, []),
        ("{hostNetwork: true, hostPID: true, containers: [{name: a}]}",
         ["host namespaces (hostNetwork=true, hostPID=true)"]),
        ("{containers: [{name: a, securityContext: &p {privileged: true}}, {name: b, securityContext: *p}]}",
         ['privileged (containers "a", "b" must not set securityContext.privileged=true)']),
        ("{containers: [{name: a, securityContext: {capabilities: {add: [NET_ADMIN, CHOWN]}}}]}",
         ['non-default capabilities (container "a" must not include "NET_ADMIN" in '
          "securityContext.capabilities.add)"]),
        ("{containers: [{name: a}], volumes: [{name: v, hostPath: {path: /}}]}", ['hostPath volumes (volume "v")']),
        ("{containers: [{name: a, ports: [{containerPort: 1, hostPort: 80}]}]}",
         ['hostPort (container "a" uses hostPort 80)']),
        ("{securityContext: {sysctls: [{name: kernel.msgmax, value: '1'}]}, containers: [{name: a}]}",
         ["forbidden sysctls (kernel.msgmax)"]),
        ("{securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: a}]}",
         ['seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")']),
    ],
)  # fmt: skip
def test_what_baseline_does_not_allow(spec: str, said: list[str]) -> None:
    assert pods.violations(a_spec(spec), "baseline") == said
    assert pods.violations(a_spec(spec), "privileged") == []


def test_what_restricted_asks_for() -> None:
    assert pods.violations(a_spec(STRICT), "restricted") == []
    assert pods.violations(a_spec("{containers: [{name: a}], volumes: [{name: v, nfs: {server: s, path: /}}]}"),
                           "restricted") == [
        'restricted volume types (volume "v" uses restricted volume type "nfs")',
        'allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false)',
        'unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"])',
        'runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true)',
        'seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or '
        '"Localhost")',
    ]  # fmt: skip


async def labelled(api: Api, namespace: str, **labels: str) -> Any:
    found = await api.get(core.Namespace, namespace)
    for mode, level in labels.items():
        found.metadata.labels[f"pod-security.kubernetes.io/{mode}"] = level
    return await api.update(found)


def a_pod(namespace: str, name: str, *, privileged: bool) -> core.Pod:
    pod = core.Pod()
    pod.metadata.namespace, pod.metadata.name = namespace, name
    container = pod.spec.containers.add(name="app", image="localhost/raftsman-demo:1")
    container.security_context.privileged = privileged
    return pod


async def test_an_enforced_level_refuses_pods(api: Api, namespace: str) -> None:
    await labelled(api, namespace, enforce="baseline")
    with pytest.raises(errors.Forbidden) as refused:
        await api.create(a_pod(namespace, "loud", privileged=True))
    assert refused.value.message == (
        'pods "loud" is forbidden: violates PodSecurity "baseline:latest": privileged '
        '(container "app" must not set securityContext.privileged=true)'
    )
    await api.create(a_pod(namespace, "quiet", privileged=False))


async def test_warnings_are_of_templates_too_and_of_pods_that_are_there(
    server: ApiServerProcess, api: Api, namespace: str
) -> None:
    await labelled(api, namespace, warn="restricted")
    await api.create(a_pod(namespace, "there", privileged=True))
    rest = Rest(server)
    try:
        labels = {"app": "web"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "i"}]}}
        body = {"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": labels}, "template": template}}
        status, headers, _ = rest.raw("POST", f"/apis/apps/v1/namespaces/{namespace}/deployments", body=dumped(body))
        assert status == 201
        assert 'would violate PodSecurity \\"restricted:latest\\": allowPrivilegeEscalation' in headers["warning"]
        patch = dumped({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}})
        kind = {"Content-Type": "application/merge-patch+json"}
        status, headers, _ = rest.raw("PATCH", f"/api/v1/namespaces/{namespace}", body=patch, headers=kind)
        assert status == 200
        # The last of several warnings.
        assert "there: privileged" in headers["warning"]
    finally:
        rest.close()


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


async def test_a_level_that_is_none_is_refused(api: Api, namespace: str) -> None:
    with pytest.raises(errors.Invalid, match="must be one of privileged, baseline, restricted"):
        await labelled(api, namespace, enforce="paranoid")
