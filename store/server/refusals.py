"""Every RPC of etcd's API that is not served answers UNIMPLEMENTED with its name, instead of grpc's bare text."""

from __future__ import annotations

from typing import Any

from raftsman.etcd import rpc_pb2
from raftsman.store import errors

from .answers import Context


def refuse_rest(service: str, servicer: object) -> None:
    """Give a servicer a refusal for every method of the service that it lacks."""
    described = rpc_pb2.DESCRIPTOR.services_by_name[service]
    for method in described.methods:
        if not hasattr(servicer, method.name):
            setattr(servicer, method.name, _refusal(f"{service}.{method.name}", streaming=method.server_streaming))


def _refusal(name: str, *, streaming: bool) -> Any:
    async def unary(request: object, context: Context) -> None:
        error = errors.unsupported(name)
        await context.abort(error.code, error.text)

    async def stream(request: object, context: Context) -> Any:
        error = errors.unsupported(name)
        await context.abort(error.code, error.text)
        yield  # makes it the generator that grpc wants

    return stream if streaming else unary
