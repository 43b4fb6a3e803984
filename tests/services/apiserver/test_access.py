"""Who is who, and who may what."""

from __future__ import annotations

import secrets

import grpc
import jwt
import pytest
from raftsman import errors
from raftsman.apiserver import v1 as apiserver
from raftsman.authentication import v1 as authentication
from raftsman.coordination import v1 as coordination
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.rbac import v1 as rbac

from .cluster import Api, ApiServerProcess
from .rest import Rest
from .test_lifecycle import a_config, bind
from .test_objects import a_pod

APISERVER = "raftsman.apiserver.v1.ApiServer"


async def who(client: Api) -> apiserver.WhoAmIResponse:
    return await client.call(APISERVER, "WhoAmI", apiserver.WhoAmIRequest(), apiserver.WhoAmIResponse)


async def token_of(api: Api, namespace: str, pod: core.Pod | None = None) -> str:
    request = authentication.TokenWriteRequest(namespace=namespace, name="default")
    request.object.spec.expiration_seconds = 3600
    if pod is not None:
        reference = request.object.spec.bound_object_ref
        reference.kind, reference.name, reference.uid = "Pod", pod.metadata.name, pod.metadata.uid
    made = await api.of(core.ServiceAccount, "CreateToken", request, authentication.TokenRequest)
    return made.status.token


async def test_a_certificate_tells_user_and_groups(server: ApiServerProcess) -> None:
    async with server.client("jane", groups=("devs", "ops")) as jane:
        told = await who(jane)
        assert (told.username, sorted(told.groups)) == ("jane", ["devs", "ops", "system:authenticated"])


async def test_nobody_is_anonymous_and_reads_nothing(server: ApiServerProcess) -> None:
    async with server.client("") as nobody:
        version = await nobody.call(
            APISERVER, "GetVersion", apiserver.GetVersionRequest(), apiserver.GetVersionResponse
        )
        assert version.git_version == "v1.36.0"
        with pytest.raises(errors.Unauthorized):
            await who(nobody)
        with pytest.raises(errors.Forbidden, match='User "system:anonymous" cannot list resource "pods" in API group'):
            await nobody.list(core.Pod)


async def test_a_bad_token_is_not_anonymous(server: ApiServerProcess) -> None:
    async with server.client("", token="x.y.z") as bad:
        with pytest.raises(errors.Unauthorized):
            await who(bad)


async def test_a_token_names_its_account_and_dies_with_its_pod(
    server: ApiServerProcess, api: Api, namespace: str
) -> None:
    pod = await api.create(a_pod(namespace))
    token = await token_of(api, namespace, pod)
    async with server.client("", token=token) as client:
        told = await who(client)
        assert told.username == f"system:serviceaccount:{namespace}:default"
        assert f"system:serviceaccounts:{namespace}" in told.groups
        await api.delete(core.Pod, "web", namespace)
        await api.get(core.Namespace, namespace)
        with pytest.raises(errors.Unauthorized):
            await who(client)


async def test_a_token_tells_its_pods_node_and_has_a_number_of_its_own(
    server: ApiServerProcess, api: Api, namespace: str
) -> None:
    node = core.Node()
    node.metadata.name = f"n-{secrets.token_hex(3)}"
    node = await api.create(node)
    pod = a_pod(namespace)
    pod.spec.node_name = node.metadata.name
    token = await token_of(api, namespace, await api.create(pod))
    async with server.client("", token=token) as client:
        question = await client.of(
            authentication.SelfSubjectReview, "Create", meta.WriteRequest(),
            authentication.SelfSubjectReview,
        )  # fmt: skip
    extra = {key.rpartition("/")[2]: list(value.items) for key, value in question.status.user_info.extra.items()}
    assert extra.pop("credential-id")[0].startswith("JTI=")
    assert extra == {
        "node-name": [node.metadata.name], "node-uid": [node.metadata.uid],
        "pod-name": ["web"], "pod-uid": [extra["pod-uid"][0]],
    }  # fmt: skip


async def test_a_token_that_is_bound_to_a_node_dies_with_it(server: ApiServerProcess, api: Api, namespace: str) -> None:
    node = core.Node()
    node.metadata.name = f"n-{secrets.token_hex(3)}"
    await api.create(node)
    request = authentication.TokenWriteRequest(namespace=namespace, name="default")
    reference = request.object.spec.bound_object_ref
    reference.kind, reference.api_version, reference.name = "Node", "v1", node.metadata.name
    made = await api.of(core.ServiceAccount, "CreateToken", request, authentication.TokenRequest)
    async with server.client("", token=made.status.token) as client:
        await who(client)
        await api.delete(core.Node, node.metadata.name, "")
        await api.get(core.Namespace, namespace)  # this server knows of it when it answers
        with pytest.raises(errors.Unauthorized):
            await who(client)


async def test_others_verify_tokens_by_the_issuers_own_documents(
    server: ApiServerProcess, api: Api, namespace: str
) -> None:
    rest = Rest(server)
    status, found = rest.json("GET", "/.well-known/openid-configuration")
    assert (status, found["response_types_supported"]) == (200, ["id_token"])
    assert found["jwks_uri"].endswith("/openid/v1/jwks")
    _, keys = rest.json("GET", "/openid/v1/jwks")
    token = await token_of(api, namespace)
    wanted = jwt.get_unverified_header(token)["kid"]
    key = jwt.PyJWK.from_dict(next(one for one in keys["keys"] if one["kid"] == wanted))
    claims = jwt.decode(token, key.key, algorithms=[key.algorithm_name], audience=found["issuer"])
    assert claims["sub"] == f"system:serviceaccount:{namespace}:default"
    assert "d" not in keys["keys"][0]
    rest.close()


async def test_roles_allow_and_nothing_else_does(server: ApiServerProcess, api: Api, namespace: str) -> None:
    name = f"u-{secrets.token_hex(3)}"
    await api.create(a_config(namespace, "one"))
    await api.create(a_config(namespace, "two"))
    async with server.client(name, groups=()) as user:
        with pytest.raises(errors.Forbidden):
            await user.get(core.ConfigMap, "one", namespace)
        role = rbac.Role()
        role.metadata.namespace, role.metadata.name = namespace, "reader"
        role.rules.add(verbs=["get"], api_groups=[""], resources=["configmaps"], resource_names=["one"])
        role.rules.add(verbs=["list"], api_groups=[""], resources=["secrets"])
        await api.create(role)
        binding = rbac.RoleBinding()
        binding.metadata.namespace, binding.metadata.name = namespace, "reader"
        binding.role_ref.kind, binding.role_ref.name = "Role", "reader"
        binding.subjects.add(kind="User", name=name)
        await api.create(binding)
        await api.get(core.ConfigMap, "one", namespace)
        assert (await user.get(core.ConfigMap, "one", namespace)).metadata.name == "one"
        await user.list(core.Secret, namespace=namespace)
        with pytest.raises(errors.Forbidden, match='cannot get resource "configmaps" in API group "" in the namespace'):
            await user.get(core.ConfigMap, "two", namespace)
        with pytest.raises(errors.Forbidden):
            await user.list(core.Secret)


async def test_the_view_role_aggregates_and_shows_no_secrets(
    server: ApiServerProcess, api: Api, namespace: str
) -> None:
    name = f"u-{secrets.token_hex(3)}"
    binding = rbac.RoleBinding()
    binding.metadata.namespace, binding.metadata.name = namespace, "viewer"
    binding.role_ref.kind, binding.role_ref.name = "ClusterRole", "view"
    binding.subjects.add(kind="User", name=name)
    await api.create(binding)
    await api.list(rbac.RoleBinding, namespace=namespace)
    async with server.client(name, groups=()) as user:
        await user.list(core.Pod, namespace=namespace)
        with pytest.raises(errors.Forbidden):
            await user.list(core.Secret, namespace=namespace)
        with pytest.raises(errors.Forbidden):
            await user.delete(core.Pod, "web", namespace)


async def test_the_scheduler_binds_and_the_node_reports(server: ApiServerProcess, api: Api, namespace: str) -> None:
    await api.create(a_pod(namespace))
    binding = core.Binding(target=core.ObjectReference(kind="Node", name="n1"))
    binding.metadata.name = "web"
    request = core.BindRequest(namespace=namespace, binding=binding)
    async with server.client("system:node:n1", groups=("system:nodes",)) as node:
        with pytest.raises(errors.Forbidden, match='cannot create resource "pods/binding"'):
            await node.of(core.Pod, "Bind", request, core.BindResponse)
        async with server.client("system:kube-scheduler", groups=()) as scheduler:
            await scheduler.of(core.Pod, "Bind", request, core.BindResponse)
        pod = await node.get(core.Pod, "web", namespace)
        pod.status.phase = "Running"
        await node.update_status(pod)


async def test_two_identities_do_not_mix_on_one_server(server: ApiServerProcess) -> None:
    clients = [server.client(f"user-{number}", groups=()) for number in range(10)]
    try:
        for _ in range(3):
            for number, client in enumerate(clients):
                assert (await who(client)).username == f"user-{number}"
    finally:
        for client in clients:
            await client.__aexit__()


async def test_a_foreign_certificate_is_refused_in_the_handshake(server: ApiServerProcess, tmp_path_factory) -> None:
    from .certificates import Authority

    other = Authority(tmp_path_factory.mktemp("other"))
    cert, key = other.issue("kubernetes-admin", groups=("system:masters",))
    async with Api(server.address, ca=server.authority.ca, cert=cert, key=key) as client:
        with pytest.raises(errors.ApiError):
            await client.call(APISERVER, "WhoAmI", apiserver.WhoAmIRequest(), apiserver.WhoAmIResponse, timeout=5)


async def test_health_and_reflection_answer(server: ApiServerProcess) -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

    ca = server.authority.ca_pem
    async with grpc.aio.secure_channel(server.address, grpc.ssl_channel_credentials(ca)) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        unknown = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        assert await unknown.code() is grpc.StatusCode.UNAUTHENTICATED
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    cert, key = server.authority.pems("jane")
    async with grpc.aio.secure_channel(server.address, grpc.ssl_channel_credentials(ca, key, cert)) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        requests = iter([
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="raftsman.core.v1.Pods"),
        ])  # fmt: skip
        listed, described = [one async for one in stub.ServerReflectionInfo(requests)]
        assert "raftsman.core.v1.Pods" in {one.name for one in listed.list_services_response.service}
        assert described.file_descriptor_response.file_descriptor_proto


async def test_an_account_that_does_not_exist_gets_no_pod(api: Api, namespace: str) -> None:
    pod = a_pod(namespace)
    pod.spec.service_account_name = "ghost"
    with pytest.raises(errors.Forbidden, match='serviceaccount "ghost" not found'):
        await api.create(pod)


async def test_nobody_grants_what_they_do_not_have(server: ApiServerProcess, api: Api, namespace: str) -> None:
    name = f"u-{secrets.token_hex(3)}"
    binding = rbac.RoleBinding()
    binding.metadata.namespace, binding.metadata.name = namespace, "admin"
    binding.role_ref.kind, binding.role_ref.name = "ClusterRole", "admin"
    binding.subjects.add(kind="User", name=name)
    await api.create(binding)
    await api.list(rbac.RoleBinding, namespace=namespace)
    async with server.client(name, groups=()) as user:
        binding.metadata.name, binding.role_ref.name = "more", "cluster-admin"
        with pytest.raises(errors.Forbidden, match="attempting to grant RBAC permissions not currently held"):
            await user.create(binding)
        binding.role_ref.name = "edit"
        await user.create(binding)
        role = rbac.Role()
        role.metadata.namespace, role.metadata.name = namespace, "r"
        role.rules.add(verbs=["get"], api_groups=[""], resources=["pods"])
        made = await user.create(role)
        made.rules.add(verbs=["*"], api_groups=["*"], resources=["*"])
        with pytest.raises(errors.Forbidden, match="not currently held"):
            await user.update(made)


async def test_a_node_writes_nothing_of_another_node(server: ApiServerProcess, api: Api, namespace: str) -> None:
    await api.create(a_pod(namespace))
    await bind(api, namespace, "web", "n1")
    own, other = f"n-{secrets.token_hex(3)}", f"n-{secrets.token_hex(3)}"
    for name in (own, other):
        await api.create(core.Node(metadata=meta.ObjectMeta(name=name)))
    async with server.client(f"system:node:{own}", groups=("system:nodes",)) as node:
        await node.update_status(await node.get(core.Node, own, ""))
        with pytest.raises(errors.Forbidden, match=f'node "{own}" cannot get pods "web": it runs on another node'):
            await node.get(core.Pod, "web", namespace)
        pod = await api.get(core.Pod, "web", namespace)
        for refused in (
            node.update_status(pod), node.delete(core.Pod, "web", namespace), node.create(a_pod(namespace, "mine")),
            node.update_status(await node.get(core.Node, other, "")), token_of(node, namespace, pod),
            node.patch(core.Node, other, b'{"spec":{"unschedulable":true}}', namespace=""),
            node.create(coordination.Lease(metadata=meta.ObjectMeta(name=other, namespace="kube-node-lease"))),
        ):  # fmt: skip
            with pytest.raises(errors.Forbidden, match=f'node "{own}"'):
                await refused
    async with server.client("system:node:n1", groups=("system:nodes",)) as node:
        assert await token_of(node, namespace, pod)
        pod.status.phase = "Running"
        await node.update_status(pod)
        await node.delete(core.Pod, "web", namespace)


async def test_a_node_reads_only_what_its_pods_use(server: ApiServerProcess, api: Api, namespace: str) -> None:
    claim = core.PersistentVolumeClaim(metadata=meta.ObjectMeta(namespace=namespace))
    claim.spec.access_modes.append("ReadWriteOnce")
    claim.spec.resources.requests["storage"].string = "1Gi"
    for name in ("used", "other"):
        claim.metadata.name = name
        await api.create(claim)
    pod = a_pod(namespace)
    pod.spec.volumes.add(name="v").volume_source.persistent_volume_claim.claim_name = "used"
    await api.create(pod)
    await bind(api, namespace, "web", "n1")
    async with server.client("system:node:n1", groups=("system:nodes",)) as node:
        assert (await node.get(core.PersistentVolumeClaim, "used", namespace)).metadata.name == "used"
        assert (await node.get(core.ServiceAccount, "default", namespace)).metadata.name == "default"
        assert (await node.list(core.Pod, namespace=namespace, field_selector="spec.nodeName=n1")).items
        for refused in (
            node.get(core.PersistentVolumeClaim, "other", namespace), node.list(core.Pod, namespace=namespace),
            node.list(core.Pod, namespace=namespace, field_selector="spec.nodeName=n2"),
        ):  # fmt: skip
            with pytest.raises(errors.Forbidden, match='node "n1" cannot'):
                await refused
    async with server.client("system:node:n2", groups=("system:nodes",)) as node:
        with pytest.raises(errors.Forbidden, match="no pod that runs on it"):
            await node.get(core.ServiceAccount, "default", namespace)


async def test_a_node_reads_the_secrets_that_its_pods_mention_and_no_others(
    server: ApiServerProcess, api: Api, namespace: str
) -> None:
    for name in ("mentioned", "other"):
        await api.create(core.Secret(metadata=meta.ObjectMeta(name=name, namespace=namespace)))
    pod = a_pod(namespace)
    pod.spec.containers[0].env_from.add().secret_ref.local_object_reference.name = "mentioned"
    await api.create(pod)
    await bind(api, namespace, "web", "n1")
    async with server.client("system:node:n1", groups=("system:nodes",)) as node:
        assert (await node.get(core.Secret, "mentioned", namespace)).metadata.name == "mentioned"
        for refused in (node.get(core.Secret, "other", namespace), node.list(core.Secret, namespace=namespace)):
            with pytest.raises(errors.Forbidden, match='node "n1" cannot'):
                await refused
    async with server.client("system:node:n2", groups=("system:nodes",)) as node:
        with pytest.raises(errors.Forbidden, match='node "n2" cannot get'):
            await node.get(core.Secret, "mentioned", namespace)
