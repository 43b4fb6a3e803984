"""A client that goes while an answer is written to it: that ends its stream, and is no error of the server."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc.aio

_Method = TypeVar("_Method", bound=Callable[..., Awaitable[None]])
# Not in grpc's type stubs.
_WriteFailed: Any = grpc.aio.InternalError


def ends_with_its_client(method: _Method) -> _Method:
    """For a method that answers with a stream; gRPC takes a cancelled one for what it is, and logs nothing."""

    @functools.wraps(method)
    async def until_gone(*arguments: Any) -> None:
        gone = False
        try:
            await method(*arguments)
        except* _WriteFailed:
            gone = True
        if gone:
            raise asyncio.CancelledError

    return until_gone  # type: ignore[return-value]
