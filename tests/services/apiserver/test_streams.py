"""Logs and Exec go through the server to the agent of the pod's node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from raftsman import errors
from raftsman.admissionregistration import v1 as registration
from raftsman.agent.v1 import agent_pb2_grpc
from raftsman.core import v1 as core

from .admission.webhook import configuration, configured, serving
from .certificates import Authority
from .cluster import Api, ApiServerProcess
from .test_lifecycle import bind
from .test_objects import a_pod


class Agent(agent_pb2_grpc.NodeAgentServicer):
    """Echoes, unless told to `flood` or to `wait`; `common_names` remembers who called."""

    def __init__(self) -> None:
        self.common_names: set[bytes] = set()
        self.open = self.flooded = 0

    async def Logs(self, request: core.LogsRequest, context: Any) -> AsyncIterator[core.LogsResponse]:
        self.common_names.update(context.auth_context()["x509_common_name"])
        for number in range(request.tail_lines or 3):
            yield core.LogsResponse(data=f"{request.container} {number}\n".encode())
        if request.previous:
            error = errors.NotFound("no earlier run")
            details = ((errors.DETAILS_KEY, error.to_details()),)
            await context.abort(error.grpc_code, error.message, details)

    async def Exec(self, requests: AsyncIterator[core.ExecRequest], context: Any) -> AsyncIterator[core.ExecResponse]:
        self.open += 1
        try:
            async for answer in self._answers(requests):
                yield answer
        finally:
            self.open -= 1

    async def _answers(self, requests: AsyncIterator[core.ExecRequest]) -> AsyncIterator[core.ExecResponse]:
        yield core.ExecResponse()
        async for request in requests:
            kind = request.WhichOneof("message")
            if kind == "start":
                command = list(request.start.command)
                yield core.ExecResponse(stdout=" ".join(command).encode())
                while command == ["flood"]:
                    self.flooded += 65_536
                    yield core.ExecResponse(stdout=bytes(65_536))
                if command == ["wait"]:
                    await asyncio.Event().wait()
            elif kind == "stdin":
                yield core.ExecResponse(stdout=request.stdin)
            elif kind == "size":
                yield core.ExecResponse(stderr=f"{request.size.columns}x{request.size.rows}".encode())
            else:
                break
        yield core.ExecResponse(exit=core.ExecExit(code=7))

    async def Attach(self, requests: AsyncIterator[core.ExecRequest], context: Any) -> AsyncIterator[core.ExecResponse]:
        async for answer in self._answers(requests):
            yield answer

    async def PortForward(
        self, requests: AsyncIterator[core.PortForwardRequest], context: Any
    ) -> AsyncIterator[core.PortForwardResponse]:
        """Port 80 echoes until the client ends; nothing listens on others."""
        self.open += 1
        try:
            start = (await anext(aiter(requests))).start
            if start.port != 80:
                error = errors.Unavailable(f"failed to connect to localhost:{start.port}")
                await context.abort(error.grpc_code, error.message, ((errors.DETAILS_KEY, error.to_details()),))
            yield core.PortForwardResponse()
            async for request in requests:
                if request.closed:
                    break
                yield core.PortForwardResponse(data=request.data)
            yield core.PortForwardResponse(closed=True)
        finally:
            self.open -= 1


@pytest.fixture
async def agent(server: ApiServerProcess, api: Api, namespace: str) -> AsyncIterator[Agent]:
    """A node with an agent, and the pod `web` on it."""
    name = f"node-{namespace}"
    (cert, key), ca = server.authority.pems(name, host=name), server.authority.ca_pem
    listening = grpc.aio.server()
    servicer = Agent()
    agent_pb2_grpc.add_NodeAgentServicer_to_server(servicer, listening)
    port = listening.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, cert)], ca, True))
    await listening.start()
    node = core.Node()
    node.metadata.name = name
    node.status.addresses.add(type="InternalIP", address="127.0.0.1")
    node.status.daemon_endpoints.kubelet_endpoint.port = port
    await api.create(node)
    await api.create(a_pod(namespace))
    await bind(api, namespace, node=name)
    yield servicer
    await listening.stop(0)
    await api.delete(core.Node, name, "")


async def test_logs_come_from_the_node(api: Api, agent: Agent, namespace: str) -> None:
    request = core.LogsRequest(namespace=namespace, name="web", tail_lines=2)
    got = [one.data async for one in api.stream(core.Pod, "Logs", request, core.LogsResponse)]
    assert got == [b"app 0\n", b"app 1\n"]
    assert agent.common_names == {b"kube-apiserver-kubelet-client"}


async def test_the_agent_own_errors_reach_the_caller(api: Api, agent: Agent, namespace: str) -> None:
    request = core.LogsRequest(namespace=namespace, name="web", previous=True)
    with pytest.raises(errors.NotFound, match="no earlier run"):
        async for _ in api.stream(core.Pod, "Logs", request, core.LogsResponse):
            pass


async def test_a_command_gets_its_input_and_gives_output_and_code(api: Api, agent: Agent, namespace: str) -> None:
    async def requests() -> AsyncIterator[core.ExecRequest]:
        start = core.ExecStart(namespace=namespace, name="web", command=["cat", "-"], stdin=True)
        yield core.ExecRequest(start=start)
        for number in range(50):
            yield core.ExecRequest(stdin=bytes([number]) * 20_000)
            await asyncio.sleep(0)
        yield core.ExecRequest(stdin_closed=True)

    empty, *answers = [one async for one in api.stream(core.Pod, "Exec", requests(), core.ExecResponse)]
    assert empty == core.ExecResponse()
    assert answers[0].stdout == b"cat -"
    assert b"".join(one.stdout for one in answers[1:-1]) == b"".join(bytes([n]) * 20_000 for n in range(50))
    assert answers[-1].exit.code == 7


async def test_a_container_must_be_one_of_the_pod(api: Api, agent: Agent, namespace: str) -> None:
    request = core.LogsRequest(namespace=namespace, name="web", container="nope")
    with pytest.raises(errors.BadRequest, match="container nope is not valid for pod web"):
        async for _ in api.stream(core.Pod, "Logs", request, core.LogsResponse):
            pass


async def test_a_node_that_does_not_answer_is_said_to(server: ApiServerProcess, api: Api, namespace: str) -> None:
    name = f"dead-{namespace}"
    node = core.Node()
    node.metadata.name = name
    node.status.addresses.add(type="InternalIP", address="127.0.0.1")
    node.status.daemon_endpoints.kubelet_endpoint.port = 1
    await api.create(node)
    await api.create(a_pod(namespace))
    await bind(api, namespace, node=name)
    with pytest.raises(errors.Unavailable, match="the node's agent does not answer"):
        async for _ in api.stream(
            core.Pod, "Logs", core.LogsRequest(namespace=namespace, name="web"), core.LogsResponse
        ):
            pass
    await api.delete(core.Node, name, "")


async def test_webhooks_are_asked_about_terminals(api: Api, agent: Agent, namespace: str, authority: Authority) -> None:
    def refuse(request: dict[str, Any]) -> dict[str, Any]:
        return {"allowed": "web" not in request["name"], "status": {"code": 403, "reason": "Forbidden"}}

    async def requests() -> AsyncIterator[core.ExecRequest]:
        yield core.ExecRequest(start=core.ExecStart(namespace=namespace, name="web", command=["true"], stdout=True))

    kind = registration.ValidatingWebhookConfiguration
    async with serving(authority, refuse) as hook:
        made = configuration(kind, hook, namespace, resources=("pods/exec",), operations=("CONNECT",))
        async with configured(api, made):
            with pytest.raises(errors.Forbidden, match="denied the request"):
                async for _ in api.stream(core.Pod, "Exec", requests(), core.ExecResponse):
                    pass
    (asked,) = hook.asked
    assert (asked["operation"], asked["subResource"], asked["kind"]["kind"]) == ("CONNECT", "exec", "PodExecOptions")
    assert asked["object"]["command"] == ["true"]
    assert not agent.open
