"""Priority and fairness on a real server: one user's flood is shed, everybody else goes on."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

import pytest
from raftsman import errors
from raftsman.admissionregistration import v1 as registration
from raftsman.core import v1 as core
from raftsman.flowcontrol import v1 as flowcontrol
from raftsman.meta import v1 as meta
from raftsman.rbac import v1 as rbac
from raftsman.services.apiserver.access.identity import ANONYMOUS, User
from raftsman.services.apiserver.flowcontrol.schemas import Asked, in_order

from tests.services.apiserver.admission.webhook import a_map, allow, configuration, configured, serving
from tests.services.apiserver.certificates import Authority
from tests.services.apiserver.cluster import Api, ApiServerProcess
from tests.services.apiserver.rest import Rest


def a_level(name: str, *, length: int) -> flowcontrol.PriorityLevelConfiguration:
    """Of one share: three seats, none of others."""
    level = flowcontrol.PriorityLevelConfiguration()
    level.metadata.name, level.spec.type = name, "Limited"
    limited = level.spec.limited
    limited.nominal_concurrency_shares, limited.borrowing_limit_percent = 1, 0
    limited.limit_response.type = "Queue"
    queuing = limited.limit_response.queuing
    queuing.queues, queuing.hand_size, queuing.queue_length_limit = 1, 1, length
    return level


def a_schema(name: str, user: str) -> flowcontrol.FlowSchema:
    schema = flowcontrol.FlowSchema()
    schema.metadata.name = name
    schema.spec.priority_level_configuration.name = name
    schema.spec.matching_precedence = 50
    schema.spec.distinguisher_method.type = "ByUser"
    rule = schema.spec.rules.add()
    rule.subjects.add(kind="User").user.name = user
    rule.resource_rules.add(verbs=["*"], api_groups=["*"], resources=["*"], namespaces=["*"], cluster_scope=True)
    return schema


def may_write(namespace: str, user: str) -> rbac.RoleBinding:
    binding = rbac.RoleBinding(metadata=meta.ObjectMeta(namespace=namespace, name="writer"))
    binding.role_ref.MergeFrom(rbac.RoleRef(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name="edit"))
    binding.subjects.add(kind="User", api_group="rbac.authorization.k8s.io", name=user)
    return binding


async def test_a_flood_is_shed_and_others_go_on(
    server: ApiServerProcess, api: Api, namespace: str, authority: Authority
) -> None:
    user = f"flood-{secrets.token_hex(3)}"
    await api.create(may_write(namespace, user))
    async with serving(authority, allow) as hook:
        hook.delay_s = 3.0
        slow = configuration(registration.ValidatingWebhookConfiguration, hook, namespace)
        async with (
            configured(api, a_level(user, length=4), a_schema(user, user), slow),
            server.client(user, groups=()) as flood,
        ):
            running = [asyncio.ensure_future(flood.create(a_map(namespace, f"m{n}"))) for n in range(40)]
            shed: list[Any] = []
            while len(shed) < 33:
                done, waiting = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED, timeout=30)
                assert done
                shed += [one.exception() for one in done]
                running = list(waiting)
            # Others are answered meanwhile, the flood's neighbour in kind and namespace among them.
            assert waiting
            await api.get(core.Namespace, namespace)
            await api.create(core.Secret(metadata=meta.ObjectMeta(namespace=namespace, name="s")))
            assert waiting
            outcomes = shed + list(await asyncio.gather(*waiting, return_exceptions=True))
    refused = [one for one in outcomes if isinstance(one, errors.TooManyRequests)]
    assert len(refused) == 33
    assert {one.retry_after_s for one in refused} == {1}
    assert not [one for one in outcomes if isinstance(one, BaseException) and one not in refused]


def test_answers_name_schema_and_level_over_rest(server: ApiServerProcess) -> None:
    admin, somebody = Rest(server), Rest(server, name="somebody", groups=())
    try:
        status, headers, _ = admin.raw("GET", "/api/v1/namespaces/default")
        uids = [headers["x-kubernetes-pf-flowschema-uid"], headers["x-kubernetes-pf-prioritylevel-uid"]]
        group = "/apis/flowcontrol.apiserver.k8s.io/v1"
        for kind, uid in zip(("flowschemas", "prioritylevelconfigurations"), uids, strict=True):
            found = json.loads(admin.raw("GET", f"{group}/{kind}/exempt")[2])
            assert found["metadata"]["uid"] == uid
        status, other, _ = somebody.raw("GET", "/api/v1/namespaces/default")
        assert status == 403
        found = json.loads(admin.raw("GET", f"{group}/flowschemas/global-default")[2])
        assert other["x-kubernetes-pf-flowschema-uid"] == found["metadata"]["uid"]
    finally:
        admin.close()
        somebody.close()


async def test_a_watch_holds_no_seat(server: ApiServerProcess, api: Api, namespace: str) -> None:
    user = f"watch-{secrets.token_hex(3)}"
    await api.create(may_write(namespace, user))
    async with (
        configured(api, a_level(user, length=1), a_schema(user, user)),
        server.client(user, groups=()) as watcher,
    ):
        watches = [watcher.watch(core.ConfigMap, namespace=namespace, send_initial_events=True) for _ in range(10)]
        for one in watches:
            await anext(one)
        assert (await watcher.create(a_map(namespace))).metadata.uid
        for one in watches:
            await one.aclose()


@pytest.mark.parametrize(
    ("user", "asked", "schema"),
    [
        (User("a", ("system:masters", "system:authenticated")), Asked("get", "", "pods", "x"), "exempt"),
        (User("system:node:n", ("system:nodes", "system:authenticated")), Asked("update", "", "nodes/status"),
         "system-node-high"),
        (User("system:node:n", ("system:nodes", "system:authenticated")), Asked("get", "", "pods", "x"),
         "system-nodes"),
        (User("system:kube-scheduler", ("system:authenticated",)),
         Asked("update", "coordination.k8s.io", "leases", "kube-system"), "system-leader-election"),
        (User("system:serviceaccount:x:y", ("system:serviceaccounts", "system:authenticated")),
         Asked("list", "", "pods", "*"), "service-accounts"),
        (User("bob", ("system:authenticated",)), Asked("list", "", "pods", "x"), "global-default"),
        (ANONYMOUS, Asked("get", path="/healthz"), "probes"),
        (ANONYMOUS, Asked("get", path="/version"), "global-default"),
    ],
)  # fmt: skip
async def test_the_default_schemas_sort_requests_as_in_kubernetes(
    api: Api, user: User, asked: Asked, schema: str
) -> None:
    found = in_order((await api.list(flowcontrol.FlowSchema)).items)
    assert next(one for one in found if one.matches(user, asked)).name == schema
