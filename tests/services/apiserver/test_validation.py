"""Bad input is refused with every cause, by field path; so is what nothing would act upon."""

from __future__ import annotations

import pytest
from raftsman import errors
from raftsman.apps import v1 as apps
from raftsman.core import v1 as core

from .cluster import Api
from .test_objects import a_pod

BAD_POD = """
apiVersion: v1
kind: Pod
metadata: {name: Bad_Name}
spec:
  restartPolicy: Sometimes
  containers:
  - name: app
    image: ""
    ports:
    - {containerPort: 80, name: web}
    - {containerPort: 99999, name: web}
    env: [{name: "A=B", value: x}]
    resources: {requests: {cpu: 2, memory: -1}, limits: {cpu: 1}}
    volumeMounts: [{name: nope, mountPath: /x}]
  - name: app
    image: a
"""


async def causes_of(call: object) -> dict[str, str]:
    with pytest.raises(errors.Invalid) as caught:
        await call  # type: ignore[misc]
    return {cause.field: cause.message for cause in caught.value.causes}


async def test_all_causes_are_told_at_once_by_field_path(api: Api, namespace: str) -> None:
    found = await causes_of(api.manifest(core.Pod, BAD_POD, namespace=namespace))
    assert set(found) == {
        "metadata.name", "spec.restartPolicy", "spec.containers[0].image", "spec.containers[0].ports[1].name",
        "spec.containers[0].ports[1].containerPort", "spec.containers[0].env[0].name",
        "spec.containers[0].resources.requests", "spec.containers[0].resources.requests[memory]",
        "spec.containers[0].volumeMounts[0].name", "spec.containers[1].name",
    }  # fmt: skip
    assert found["spec.containers[1].name"] == 'Duplicate value: "app"'
    assert found["spec.restartPolicy"] == (
        'Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"'
    )
    assert found["spec.containers[0].resources.requests"] == (
        'Invalid value: "2": must be less than or equal to cpu limit of 1'
    )


async def test_unknown_and_mistyped_fields_of_a_manifest_are_refused(api: Api, namespace: str) -> None:
    text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, dta: {a: b}, data: {n: 1}}"
    with pytest.raises(errors.BadRequest) as caught:
        await api.manifest(core.ConfigMap, text, namespace=namespace)
    assert {cause.field for cause in caught.value.causes} == {"dta", "data[n]"} or "dta" in caught.value.message


async def test_a_running_pod_changes_only_its_images_and_tolerations(api: Api, namespace: str) -> None:
    pod = await api.create(a_pod(namespace))
    pod.spec.containers[0].image = "localhost/raftsman-demo:2"
    pod.spec.tolerations.add(key="k", operator="Exists")
    pod = await api.update(pod)
    assert pod.metadata.generation == 2
    pod.spec.containers[0].command.append("sh")
    with pytest.raises(errors.Invalid, match="pod updates may not change fields other than"):
        await api.update(pod)


async def test_the_selector_of_a_deployment_is_immutable(api: Api, namespace: str) -> None:
    text = """
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web}
    spec:
      selector: {matchLabels: {app: web}}
      template:
        metadata: {labels: {app: web}}
        spec: {containers: [{name: a, image: "a:1"}]}
    """
    created = await api.manifest(apps.Deployment, text, namespace=namespace)
    assert created.spec.replicas == 1
    assert created.spec.strategy.rolling_update.max_surge.str_val == "25%"
    created.spec.selector.match_labels["app"] = "other"
    created.spec.template.metadata.labels["app"] = "other"
    with pytest.raises(errors.Invalid, match=r"spec.selector: Invalid value: .*: field is immutable"):
        await api.update(created)


async def test_a_template_must_match_its_selector(api: Api, namespace: str) -> None:
    deployment = apps.Deployment()
    deployment.metadata.namespace, deployment.metadata.name = namespace, "web"
    deployment.spec.selector.match_labels["app"] = "web"
    deployment.spec.template.spec.containers.add(name="a", image="a")
    found = await causes_of(api.create(deployment))
    assert found == {
        "spec.template.metadata.labels": "Invalid value: null: `selector` does not match template `labels`"
    }


async def test_duplicate_service_ports_are_refused(api: Api, namespace: str) -> None:
    service = core.Service()
    service.metadata.namespace, service.metadata.name = namespace, "web"
    service.spec.ports.add(name="a", port=80)
    service.spec.ports.add(name="a", port=80)
    found = await causes_of(api.create(service))
    assert set(found) == {"spec.ports[1].name", "spec.ports[1]"}


async def test_an_immutable_config_map_does_not_change(api: Api, namespace: str) -> None:
    config = core.ConfigMap(immutable=True, data={"a": "b"})
    config.metadata.namespace, config.metadata.name = namespace, "c"
    created = await api.create(config)
    created.data["a"] = "c"
    with pytest.raises(errors.Invalid, match="field is immutable when `immutable` is set"):
        await api.update(created)


async def test_an_object_that_is_too_large_is_refused(api: Api, namespace: str) -> None:
    config = core.ConfigMap(data={"a": "x" * (1 << 20), "b": "y"})
    config.metadata.namespace, config.metadata.name = namespace, "c"
    with pytest.raises(errors.Invalid, match="Too long: may not be more than 1048576 bytes"):
        await api.create(config)


async def test_defaults_are_kubernetes_own(api: Api, namespace: str) -> None:
    pod = a_pod(namespace)
    pod.spec.containers[0].resources.limits["cpu"].string = "1000m"
    pod.spec.containers[0].resources.limits["memory"].string = "1024Mi"
    made = await api.create(pod)
    container = made.spec.containers[0]
    assert made.status.phase == "Pending"
    assert made.status.qos_class == "Guaranteed"
    assert container.resources.requests["memory"].string == "1Gi"
    assert container.image_pull_policy == "IfNotPresent"
    assert (made.spec.restart_policy, made.spec.dns_policy) == ("Always", "ClusterFirst")
    assert made.spec.termination_grace_period_seconds == 30
    assert [one.toleration_seconds for one in made.spec.tolerations] == [300, 300]
    mount = container.volume_mounts[0]
    assert mount.mount_path == "/var/run/secrets/kubernetes.io/serviceaccount"
    assert mount.name == made.spec.volumes[0].name
    assert made.spec.volumes[0].name.startswith("kube-api-access-")


async def test_more_causes_than_an_answer_can_carry_are_counted(api: Api, namespace: str) -> None:
    pod = a_pod(namespace)
    for number in range(500):
        pod.spec.containers[0].env.add(name=f"={number}", value="x")
    with pytest.raises(errors.Invalid) as caught:
        await api.create(pod)
    assert len(caught.value.causes) > 5
    more = caught.value.causes[-1].message.split()[1]
    assert int(more) == 500 - len(caught.value.causes) + 1


async def test_what_cannot_be_decoded_is_told_with_what_is_invalid(api: Api, namespace: str) -> None:
    text = """
    {apiVersion: v1, kind: Pod, metadata: {name: No_Name}, spec: {oops: 1, containers: [
      {name: a, image: "", ports: [{containerPort: eighty}, {containerPort: 80}, {containerPort: 80}],
       resources: {limits: {memory: 1x}}, command: sh}]}}
    """
    with pytest.raises(errors.Invalid) as caught:
        await api.manifest(core.Pod, text, namespace=namespace)
    at = "spec.containers[0]"
    assert sorted(cause.field for cause in caught.value.causes) == sorted([
        "metadata.name", "spec.oops", f"{at}.image", f"{at}.ports[0].containerPort",
        f"{at}.resources.limits[memory]", f"{at}.command",
    ])  # fmt: skip


async def test_forty_causes_are_each_told_by_path(api: Api, namespace: str) -> None:
    pod = a_pod(namespace)
    for number in range(40):
        pod.spec.containers[0].env.add(name=f"={number}", value="x")
    with pytest.raises(errors.Invalid) as caught:
        await api.create(pod)
    assert [cause.field for cause in caught.value.causes] == [f"spec.containers[0].env[{n}].name" for n in range(40)]


async def test_an_init_container_that_restarts_always_is_a_sidecar(api: Api, namespace: str) -> None:
    pod = a_pod(namespace)
    sidecar = pod.spec.init_containers.add(name="log", image="a", restart_policy="Always")
    sidecar.readiness_probe.handler.tcp_socket.port.int_val = 80
    sidecar.lifecycle.pre_stop.exec.command.append("true")
    assert (await api.create(pod)).spec.init_containers[0].restart_policy == "Always"


async def test_a_restart_policy_of_a_container_is_one_of_three(api: Api, namespace: str) -> None:
    pod = a_pod(namespace)
    pod.spec.containers[0].restart_policy = "Often"
    init = pod.spec.init_containers.add(name="init", image="a", restart_policy="Never")
    init.liveness_probe.handler.tcp_socket.port.int_val = 80
    causes = await causes_of(api.create(pod))
    assert set(causes) == {"spec.containers[0].restartPolicy", "spec.initContainers[0].livenessProbe"}


async def test_what_a_runtime_would_stumble_over_is_refused_before(api: Api, namespace: str) -> None:
    pod = a_pod(namespace)
    container = pod.spec.containers[0]
    container.security_context.seccomp_profile.type = "Maybe"
    pod.spec.security_context.seccomp_profile.type = "Localhost"
    pod.spec.security_context.sysctls.add(name="net.ipv4.A", value="1")
    for _ in range(2):
        pod.spec.security_context.sysctls.add(name="net.core.somaxconn", value="1")
    container.liveness_probe.handler.grpc.port = 0
    container.lifecycle.pre_stop.sleep.seconds = -1
    assert set(await causes_of(api.create(pod))) == {
        "spec.containers[0].securityContext.seccompProfile.type",
        "spec.securityContext.seccompProfile.localhostProfile", "spec.securityContext.sysctls[0].name",
        "spec.securityContext.sysctls[2].name", "spec.containers[0].livenessProbe.grpc.port",
        "spec.containers[0].lifecycle.preStop.sleep.seconds",
    }  # fmt: skip


async def test_external_addresses_are_addresses_of_others(api: Api, namespace: str) -> None:
    service = core.Service()
    service.metadata.name, service.metadata.namespace = "web", namespace
    service.spec.ports.add(port=80)
    service.spec.external_ips.extend(["nowhere", "127.0.0.1", "0.0.0.0", "192.0.2.7"])
    assert set(await causes_of(api.create(service))) == {f"spec.externalIPs[{index}]" for index in range(3)}
