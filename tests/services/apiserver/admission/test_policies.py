"""Validating admission policies on a real server."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from raftsman import errors, manifests
from raftsman.admissionregistration import v1 as registration
from raftsman.codec import from_json
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.services.apiserver.cel import authorizer, expressions

from tests.services.apiserver.cluster import Api, ApiServerProcess
from tests.services.apiserver.rest import Rest

from .webhook import a_map, configured

Policy, Binding = registration.ValidatingAdmissionPolicy, registration.ValidatingAdmissionPolicyBinding


def a_policy(spec: str) -> registration.ValidatingAdmissionPolicy:
    """Of config maps and pods; `spec` is YAML."""
    value = manifests.parse(f"{{apiVersion: v1, kind: X, metadata: {{}}, spec: {{{spec}}}}}".encode())[0].value
    value.setdefault("spec", {}).setdefault("matchConstraints", {
        "resourceRules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
             "resources": ["configmaps", "pods"]},
        ],
    })  # fmt: skip
    decoded = from_json({"spec": value["spec"]}, Policy)
    assert not decoded.problems
    policy: registration.ValidatingAdmissionPolicy = decoded.message
    policy.metadata.name = f"p-{secrets.token_hex(4)}"
    return policy


def a_binding(policy: Any, namespace: str, *actions: str) -> registration.ValidatingAdmissionPolicyBinding:
    """In a test's own namespace alone."""
    binding = Binding(metadata=meta.ObjectMeta(name=policy.metadata.name))
    binding.spec.policy_name = policy.metadata.name
    binding.spec.validation_actions.extend(actions or ("Deny",))
    selector = binding.spec.match_resources.namespace_selector
    selector.match_labels["kubernetes.io/metadata.name"] = namespace
    return binding


@contextlib.asynccontextmanager
async def bound(api: Api, namespace: str, spec: str, *actions: str) -> AsyncIterator[str]:
    """The policy's name."""
    policy = a_policy(spec)
    async with configured(api, policy, a_binding(policy, namespace, *actions)):
        yield policy.metadata.name


async def test_what_is_not_true_is_denied_in_kubernetes_words(api: Api, namespace: str) -> None:
    rule = "validations: [{expression: \"!has(object.data) || object.data.all(k, k.startsWith('a'))\"}]"
    async with bound(api, namespace, rule) as name:
        await api.create(a_map(namespace, "good", a="1"))
        with pytest.raises(errors.Invalid) as refused:
            await api.create(a_map(namespace, "bad", b="1"))
        # What is not matched is not asked about.
        await api.create(core.Secret(metadata=meta.ObjectMeta(namespace=namespace, name="b"), data={"b": b"1"}))
    assert refused.value.message == (
        f"configmaps \"bad\" is forbidden: ValidatingAdmissionPolicy '{name}' with binding '{name}' denied request: "
        "failed expression: !has(object.data) || object.data.all(k, k.startsWith('a'))"
    )
    assert refused.value.status.code == 422


async def test_messages_reasons_and_variables(api: Api, namespace: str) -> None:
    spec = """
    variables: [{name: keys, expression: "has(object.data) ? size(object.data) : 0"},
                {name: double, expression: "variables.keys * 2"}],
    validations: [{expression: "variables.double < 4", reason: Forbidden,
                   messageExpression: "'too many: ' + string(variables.keys) + ' in ' + namespaceObject.metadata.name"}]
    """
    async with bound(api, namespace, spec):
        await api.create(a_map(namespace, "one", a="1"))
        with pytest.raises(errors.Forbidden, match=f"denied request: too many: 2 in {namespace}"):
            await api.create(a_map(namespace, "two", a="1", b="2"))


async def test_an_update_is_compared_with_what_was(api: Api, namespace: str) -> None:
    spec = 'validations: [{expression: "oldObject == null || object.data.a == oldObject.data.a", message: "a stays"}]'
    async with bound(api, namespace, spec):
        made = await api.create(a_map(namespace, a="1"))
        made.data["b"] = "2"
        made = await api.update(made)
        made.data["a"] = "2"
        with pytest.raises(errors.Invalid, match="denied request: a stays"):
            await api.update(made)


async def test_parameters_come_from_objects(api: Api, namespace: str) -> None:
    spec = """paramKind: {apiVersion: v1, kind: Secret},
    validations: [{expression: "size(object.data) <= int(params.metadata.labels.most)"}]"""
    policy = a_policy(spec)
    binding = a_binding(policy, namespace)
    binding.spec.param_ref.name, binding.spec.param_ref.parameter_not_found_action = "limits", "Deny"
    async with configured(api, policy, binding):
        with pytest.raises(errors.Invalid, match="failed to configure binding: no params found"):
            await api.create(a_map(namespace, a="1"))
        limits = core.Secret(metadata=meta.ObjectMeta(namespace=namespace, name="limits"))
        limits.metadata.labels["most"] = "1"
        await api.create(limits)
        await api.create(a_map(namespace, a="1"))
        with pytest.raises(errors.Invalid, match="failed expression"):
            await api.create(a_map(namespace, "two", a="1", b="2"))


async def test_failures_deny_or_are_ignored(api: Api, namespace: str) -> None:
    spec = "validations: [{expression: \"object.data.nope == 'x'\"}]"
    async with bound(api, namespace, spec):
        with pytest.raises(errors.Invalid, match="resulted in error: no such key"):
            await api.create(a_map(namespace))
    async with bound(api, namespace, f"failurePolicy: Ignore, {spec}"):
        await api.create(a_map(namespace))


async def test_match_conditions_come_first(api: Api, namespace: str) -> None:
    spec = """matchConditions: [{name: mine, expression: "request.userInfo.username != 'kubernetes-admin'"}],
    validations: [{expression: "false"}]"""
    async with bound(api, namespace, spec):
        await api.create(a_map(namespace))


async def test_a_warning_is_told_and_denies_nothing(server: ApiServerProcess, api: Api, namespace: str) -> None:
    async with bound(api, namespace, 'validations: [{expression: "false", message: "hm"}]', "Warn", "Audit") as name:
        rest = Rest(server)
        body = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}'
        status, headers, _ = rest.raw("POST", f"/api/v1/namespaces/{namespace}/configmaps", body=body)
        rest.close()
    assert status == 201
    told = f"Validation failed for ValidatingAdmissionPolicy '{name}' with binding '{name}': hm"
    assert headers["warning"] == f'299 - "{told}"'


async def test_rights_can_be_asked_for(server: ApiServerProcess, api: Api, namespace: str) -> None:
    spec = """validations: [{expression:
      "authorizer.group('').resource('secrets').namespace(request.namespace).check('delete').allowed()"}]"""
    async with bound(api, namespace, spec):
        await api.create(a_map(namespace))
    # Whoever is asked about may be somebody else.
    program = expressions.compiled("authorizer.requestResource.check('create').allowed()", ("authorizer",))
    with authorizer.answering(lambda question: question == {"resource": "pods", "verb": "create"}):
        assert program.evaluate({"authorizer": {"requestResource": {"resource": "pods"}}}) is True
    with pytest.raises(expressions.EvaluationError):
        program.evaluate({"authorizer": {"requestResource": {"resource": "pods"}}})


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ("validations: []", "spec.validations"),
        ('validations: [{expression: "1 +"}]', "spec.validations[0].expression"),
        ("validations: [{expression: \"'text'\"}]", "spec.validations[0].expression"),
        ('validations: [{expression: "params.x"}]', "spec.validations[0].expression"),
        ('validations: [{expression: "true", messageExpression: "1"}]', "spec.validations[0].messageExpression"),
        ('validations: [{expression: "true", reason: Whim}]', "spec.validations[0].reason"),
        ('validations: [{expression: "true"}], variables: [{name: a-b, expression: "1"}]', "spec.variables[0].name"),
        ('validations: [{expression: "true"}], matchConstraints: {}', "spec.matchConstraints.resourceRules"),
    ],
)
async def test_a_policy_that_cannot_work_is_refused(api: Api, spec: str, path: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        await api.create(a_policy(spec))
    assert path in [cause.field for cause in refused.value.causes]


async def test_a_binding_that_makes_no_sense_is_refused(api: Api, namespace: str) -> None:
    policy = a_policy('validations: [{expression: "true"}]')
    for actions, path in (("Deny", "Warn"), "spec.validationActions"), (("Shout",), "spec.validationActions[0]"):
        with pytest.raises(errors.Invalid) as refused:
            await api.create(a_binding(policy, namespace, *actions))
        assert path in [cause.field for cause in refused.value.causes]


async def test_a_policy_is_observed_once_it_is_stored(api: Api, namespace: str) -> None:
    async with bound(api, namespace, 'validations: [{expression: "true"}]') as name:
        policy = await api.get(Policy, name)
    assert policy.status.observed_generation == policy.metadata.generation == 1
    assert policy.status.HasField("type_checking")


async def test_mutating_policies_are_refused_by_name(api: Api) -> None:
    policy = registration.MutatingAdmissionPolicy(metadata=meta.ObjectMeta(name="m"))
    with pytest.raises(errors.Invalid, match="not supported yet: mutations in CEL"):
        await api.create(policy)
