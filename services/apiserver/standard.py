"""gRPC's standard health and reflection services; reflection's modules are imported when somebody first asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

_HEALTH = "grpc.health.v1.Health"
_REFLECTION = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
# HealthCheckResponse{status: SERVING}
_SERVING = b"\x08\x01"


def add(server: Any, names: set[str]) -> None:
    """`names` are the services that reflection lists."""
    server.add_generic_rpc_handlers((_Standard(names),))


class _Standard(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    def __init__(self, names: set[str]) -> None:
        self._names = names
        self._reflection: Any = None

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        service, _, verb = handler_call_details.method.lstrip("/").rpartition("/")
        if service == _HEALTH and verb == "Check":
            return grpc.unary_unary_rpc_method_handler(self._check)
        if service == _REFLECTION[1]:
            return grpc.stream_stream_rpc_method_handler(self._reflect)
        return None

    async def _check(self, request: bytes, context: Any) -> bytes:
        return _SERVING

    async def _reflect(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        from grpc_reflection.v1alpha import reflection_pb2
        from grpc_reflection.v1alpha.reflection import ReflectionServicer

        if self._reflection is None:
            self._reflection = ReflectionServicer(sorted({*self._names, _HEALTH, *_REFLECTION[1:]}))

        async for raw in requests:
            request = reflection_pb2.ServerReflectionRequest.FromString(raw)
            for answer in self._reflection.ServerReflectionInfo(iter((request,)), context):
                yield answer.SerializeToString()
