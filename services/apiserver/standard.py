"""gRPC's standard health and reflection services.

Health is for everybody, reflection for whoever has shown who they are; its modules are imported when first asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from .access.identity import ANONYMOUS
from .rpc import Authenticate, refuse

_HEALTH = "grpc.health.v1.Health"
_REFLECTION = "grpc.reflection.v1alpha.ServerReflection"
# HealthCheckResponse{status: SERVING} and {status: NOT_SERVING}
_SERVING, _NOT_SERVING = b"\x08\x01", b"\x08\x02"


class Standard(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """`names` are the services that reflection lists; `ready` says whether calls are served."""

    def __init__(self, names: set[str], *, authenticate: Authenticate, ready: Callable[[], bool]) -> None:
        self._names, self._authenticate, self._ready = names, authenticate, ready
        self._reflection: Any = None

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        service, _, verb = handler_call_details.method.lstrip("/").rpartition("/")
        if service == _HEALTH and verb == "Check":
            return grpc.unary_unary_rpc_method_handler(self._check)
        if service == _HEALTH and verb == "Watch":
            return grpc.unary_stream_rpc_method_handler(self._watch)
        if service == _REFLECTION:
            return grpc.stream_stream_rpc_method_handler(self._reflect)
        return None

    def _health(self) -> bytes:
        return _SERVING if self._ready() else _NOT_SERVING

    async def _check(self, request: bytes, context: Any) -> bytes:
        return self._health()

    async def _watch(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        """The health once; it changes only when the server stops, which ends the call."""
        yield self._health()
        await asyncio.Event().wait()

    async def _reflect(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        from grpc_reflection.v1alpha import reflection_pb2
        from grpc_reflection.v1alpha.reflection import ReflectionServicer

        if self._reflection is None:
            self._reflection = ReflectionServicer(sorted({*self._names, _HEALTH, _REFLECTION}))
        async for raw in requests:
            if await self._authenticate(context) is ANONYMOUS:
                await refuse(context, "reflection needs a client certificate or a token")
            request = reflection_pb2.ServerReflectionRequest.FromString(raw)
            for answer in self._reflection.ServerReflectionInfo(iter((request,)), context):
                yield answer.SerializeToString()
