"""Webhooks: real HTTPS servers, asked by a real API server."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from raftsman import errors
from raftsman.admissionregistration import v1 as registration
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

from tests.services.apiserver.certificates import Authority
from tests.services.apiserver.cluster import Api

from .webhook import a_map, allow, configuration, configured, patch, serving

Mutating, Validating = registration.MutatingWebhookConfiguration, registration.ValidatingWebhookConfiguration


async def test_it_is_told_who_wants_what(api: Api, namespace: str, authority: Authority) -> None:
    async with serving(authority, allow) as hook, configured(api, configuration(Validating, hook, namespace)):
        made = await api.create(a_map(namespace, a="1"))
        made.data["a"] = "2"
        await api.update(made)
    created, updated = hook.asked
    assert created["operation"] == "CREATE"
    assert created["kind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert created["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert (created["name"], created["namespace"]) == ("one", namespace)
    assert created["userInfo"]["username"] == "kubernetes-admin"
    assert "system:masters" in created["userInfo"]["groups"]
    assert (created["object"]["kind"], created["object"]["data"], created["oldObject"]) == (
        "ConfigMap",
        {"a": "1"},
        None,
    )
    assert created["dryRun"] is False
    assert (updated["oldObject"]["data"], updated["object"]["data"]) == ({"a": "1"}, {"a": "2"})


async def test_a_refusal_reaches_the_caller_with_code_and_words(api: Api, namespace: str, authority: Authority) -> None:
    def refuse(request: dict[str, Any]) -> dict[str, Any]:
        status = {"code": 403, "reason": "Forbidden", "message": "not on a Friday"}
        return {"allowed": False, "status": status, "warnings": ["think again"]}

    async with serving(authority, refuse) as hook, configured(api, configuration(Validating, hook, namespace)):
        with pytest.raises(errors.Forbidden) as refused:
            await api.create(a_map(namespace))
        assert refused.value.message == 'admission webhook "check.example.com" denied the request: not on a Friday'
        hook.answer = lambda request: {"allowed": False}
        with pytest.raises(errors.ApiError, match="denied the request without explanation") as unexplained:
            await api.create(a_map(namespace))
        assert unexplained.value.status.code == 400


async def test_a_patch_is_applied_defaulted_and_checked_again(api: Api, namespace: str, authority: Authority) -> None:
    def add_port(request: dict[str, Any]) -> dict[str, Any]:
        return patch({"op": "add", "path": "/spec/ports/-", "value": {"name": "more", "port": 81}})

    service = core.Service(metadata=meta.ObjectMeta(namespace=namespace, name="web"))
    service.spec.ports.add(name="http", port=80)
    async with (
        serving(authority, add_port) as hook,
        configured(api, configuration(Mutating, hook, namespace, resources=("services",))),
    ):
        made = await api.create(service, dry_run=True)
        assert [(one.port, one.protocol, one.target_port.int_val) for one in made.spec.ports] == [
            (80, "TCP", 80), (81, "TCP", 81),
        ]  # fmt: skip
        hook.answer = lambda request: patch({"op": "replace", "path": "/spec/ports/0/port", "value": 99999})
        with pytest.raises(errors.Invalid, match=r"spec\.ports\[0\]\.port"):
            await api.create(service)
        hook.answer = lambda request: patch({"op": "replace", "path": "/spec/ports", "value": "no list"})
        with pytest.raises(errors.InternalError, match=r"failed calling webhook .*spec\.ports"):
            await api.create(service)


async def test_those_that_ask_for_it_are_asked_again_after_a_change(
    api: Api, namespace: str, authority: Authority
) -> None:
    def count(request: dict[str, Any]) -> dict[str, Any]:
        number = int(request["object"].get("data", {}).get("a", "0"))
        return patch({"op": "add", "path": "/data/a", "value": str(number + 1)})

    async with serving(authority, allow) as first, serving(authority, count) as second:
        one = configuration(Mutating, first, namespace, name=f"a-{namespace}", reinvocation_policy="IfNeeded")
        other = configuration(Mutating, second, namespace, name=f"b-{namespace}")
        async with configured(api, one, other):
            made = await api.create(a_map(namespace, b="x"))
    assert made.data["a"] == "1"
    assert [asked["object"]["data"] for asked in first.asked] == [{"b": "x"}, {"b": "x", "a": "1"}]
    assert len(second.asked) == 1


async def test_one_that_fails_refuses_unless_it_is_to_be_ignored(
    api: Api, namespace: str, authority: Authority
) -> None:
    async with serving(authority, allow) as hook:
        broken = configuration(Validating, hook, namespace)
        broken.webhooks[0].client_config.url = "https://localhost:1/nobody"
        async with configured(api, broken):
            with pytest.raises(errors.InternalError) as refused:
                await api.create(a_map(namespace))
            told = 'Internal error occurred: failed calling webhook "check.example.com": failed to call webhook: '
            assert refused.value.message.startswith(told)
            found = await api.get(Validating, broken.metadata.name)
            found.webhooks[0].failure_policy = "Ignore"
            await api.update(found)
            await api.create(a_map(namespace))


async def test_one_that_is_slow_or_not_trusted_counts_as_failed(
    api: Api, namespace: str, authority: Authority, tmp_path: Any
) -> None:
    async with serving(authority, allow) as hook:
        async with configured(api, configuration(Validating, hook, namespace, timeout_seconds=1)):
            hook.delay_s = 30
            with pytest.raises(errors.InternalError, match="context deadline exceeded"):
                await api.create(a_map(namespace))
            hook.delay_s = 0
        stranger = configuration(Validating, hook, namespace)
        stranger.webhooks[0].client_config.ca_bundle = Authority(tmp_path).ca_pem
        async with configured(api, stranger):
            with pytest.raises(errors.InternalError, match=r"failed calling webhook .*certificate"):
                await api.create(a_map(namespace))


async def test_only_what_is_selected_is_asked_about(api: Api, namespace: str, authority: Authority) -> None:
    async with serving(authority, allow) as hook:
        made = configuration(Validating, hook, namespace)
        made.webhooks[0].object_selector.match_labels["checked"] = "yes"
        made.webhooks[0].match_conditions.add(name="not-b", expression="object.metadata.name != 'b'")
        async with configured(api, made):
            for name, labels in (("a", {"checked": "yes"}), ("b", {"checked": "yes"}), ("c", {})):
                one = a_map(namespace, name)
                one.metadata.labels.update(labels)
                await api.create(one)
            await api.create(core.Secret(metadata=meta.ObjectMeta(namespace=namespace, name="s")))
    assert [asked["name"] for asked in hook.asked] == ["a"]


async def test_a_dry_run_asks_only_those_that_leave_no_trace(api: Api, namespace: str, authority: Authority) -> None:
    async with serving(authority, allow) as hook, configured(api, configuration(Validating, hook, namespace)):
        await api.create(a_map(namespace), dry_run=True)
    assert [asked["dryRun"] for asked in hook.asked] == [True]


async def test_deletes_statuses_scales_and_bindings_are_asked_about(
    api: Api, namespace: str, authority: Authority
) -> None:
    pod = core.Pod(metadata=meta.ObjectMeta(namespace=namespace, name="web"))
    pod.spec.containers.add(name="app", image="localhost/raftsman-demo:1")
    async with serving(authority, allow) as hook:
        made = configuration(
            Validating, hook, namespace, resources=("pods", "pods/*"), operations=("*",), failure_policy="Fail"
        )
        async with configured(api, made):
            pod = await api.create(pod)
            pod.status.message = "x"
            await api.update_status(pod)
            binding = core.Binding(metadata=meta.ObjectMeta(namespace=namespace, name="web"))
            binding.target.kind, binding.target.name = "Node", "n1"
            await api.of(core.Pod, "Bind", core.BindRequest(namespace=namespace, binding=binding), core.BindResponse)
            await api.delete(core.Pod, "web", namespace, grace_period_seconds=0)
    # A change of what was changed meanwhile is made out, and asked about, once more.
    told = {(asked["operation"], asked.get("subResource", "")): asked for asked in hook.asked}
    assert list(told) == [
        ("CREATE", ""), ("UPDATE", "status"), ("CREATE", "binding"), ("DELETE", ""),
    ]  # fmt: skip
    assert told["CREATE", "binding"]["object"]["target"]["name"] == "n1"
    deleted = told["DELETE", ""]
    assert (deleted["object"], deleted["oldObject"]["metadata"]["name"]) == (None, "web")


async def test_a_service_outside_the_cluster_is_asked_by_its_name(
    api: Api, namespace: str, authority: Authority
) -> None:
    async with serving(authority, allow, host=f"hook.{namespace}.svc") as hook:
        service = core.Service(metadata=meta.ObjectMeta(namespace=namespace, name="hook"))
        service.spec.type, service.spec.external_name = "ExternalName", "localhost"
        service.spec.ports.add(name="https", port=hook.port)
        await api.create(service)
        made = configuration(Validating, hook, namespace)
        client = made.webhooks[0].client_config
        client.ClearField("url")
        client.service.MergeFrom(registration.ServiceReference(namespace=namespace, name="hook", path="/review"))
        client.service.port = hook.port
        async with configured(api, made):
            await asyncio.gather(*(api.create(a_map(namespace, f"m{n}")) for n in range(20)))
        assert len(hook.asked) == 20


async def test_nobody_is_asked_about_webhooks(api: Api, namespace: str, authority: Authority) -> None:
    def refuse(request: dict[str, Any]) -> dict[str, Any]:
        return {"allowed": False}

    async with serving(authority, refuse) as hook:
        made = configuration(Validating, hook, namespace, resources=("*",), operations=("*",))
        # Of every namespace and none: it has to go soon.
        made.webhooks[0].ClearField("namespace_selector")
        made.webhooks[0].rules[0].rule.ClearField("api_groups")
        made.webhooks[0].rules[0].rule.api_groups.append("admissionregistration.k8s.io")
        async with configured(api, made):
            found = await api.get(Validating, made.metadata.name)
            found.metadata.labels["a"] = "b"
            await api.update(found)
    assert not hook.asked


@pytest.mark.parametrize(
    ("broken", "path"),
    [
        (lambda hook: hook.ClearField("side_effects"), "webhooks[0].sideEffects"),
        (lambda hook: setattr(hook, "name", "short"), "webhooks[0].name"),
        (lambda hook: setattr(hook.client_config, "url", "http://x"), "webhooks[0].clientConfig.url"),
        (lambda hook: setattr(hook, "timeout_seconds", 31), "webhooks[0].timeoutSeconds"),
        (lambda hook: hook.rules[0].operations.append("*"), "webhooks[0].rules[0].operations"),
        (lambda hook: hook.match_conditions.add(name="x", expression="1 +"), "webhooks[0].matchConditions[0]."),
        (lambda hook: hook.match_conditions.add(name="x", expression="'a'"), "webhooks[0].matchConditions[0]."),
        (lambda hook: hook.admission_review_versions.remove("v1"), "webhooks[0].admissionReviewVersions"),
    ],
)
async def test_a_configuration_that_cannot_work_is_refused(
    api: Api, namespace: str, authority: Authority, broken: Any, path: str
) -> None:
    async with serving(authority, allow) as hook:
        made = configuration(Validating, hook, namespace)
        broken(made.webhooks[0])
        with pytest.raises(errors.Invalid) as refused:
            await api.create(made)
        assert any(cause.field.startswith(path) for cause in refused.value.causes)


async def test_what_is_left_out_is_as_in_kubernetes(api: Api, namespace: str, authority: Authority) -> None:
    async with serving(authority, allow) as hook:
        made = configuration(Mutating, hook, namespace)
        made.webhooks[0].ClearField("namespace_selector")
        made.webhooks[0].rules[0].rule.ClearField("resources")
        made.webhooks[0].rules[0].rule.resources.append("nothing")
        found = await api.create(made)
        with contextlib.suppress(errors.NotFound):
            await api.delete(Mutating, made.metadata.name)
    webhook = found.webhooks[0]
    assert (webhook.failure_policy, webhook.match_policy, webhook.timeout_seconds) == ("Fail", "Equivalent", 10)
    assert (webhook.reinvocation_policy, webhook.rules[0].rule.scope) == ("Never", "*")
    assert webhook.HasField("namespace_selector")
    assert webhook.HasField("object_selector")
