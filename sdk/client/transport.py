"""One gRPC channel: how calls are sent, bounded, retried and how their failures become typed errors.

Every unary call has a deadline that its repetitions share. A call that only reads is sent up to `attempts_max` times
while the server is unavailable, with jittered pauses, at least as long as the server asks; a call that writes is sent
again only if the server answered that it was too busy to look at it, or that it does not know the credential while
another may be had. After a lost connection every call first gives the channel RECONNECT_S to find the server again; a
server that was never there is an error at once. Messages are at most MESSAGE_BYTES_MAX.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, TypeVar

import grpc
import grpc.aio
from raftsman import errors

from .config import ClientConfig
from .credentials import Credentials, Identity

T = TypeVar("T")

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
PAUSE_S = 0.1
RETRY_AFTER_MAX_S = 5
RECONNECT_S = 2.5
LEAVE_S = 30.0
WARNING_KEY = "raftsman-warning"

_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.primary_user_agent", "raftsman-sdk"),
)


class Transport:
    """Sends serialised requests. The channel opens with the first call, on the loop that makes it, and again when the
    certificate is another."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._channel: grpc.aio.Channel | None = None
        self._shown: tuple[bytes | None, bytes | None] = (None, None)
        self._calls: dict[tuple[str, Any], Any] = {}
        self._credentials = Credentials(config)
        self._leaving: dict[grpc.aio.Channel, asyncio.Task[None]] = {}
        self._met = False

    async def unary(
        self, method: str, request: Any, answer: type[T], *, read: bool = False, timeout_s: float | None = None,
        wait_for_ready: bool = False,
    ) -> T:  # fmt: skip
        """Send one message, get one. `method` is `/package.Service/Verb`. Raises errors.ApiError."""
        now = asyncio.get_running_loop().time
        deadline = now() + (self._config.timeout_s if timeout_s is None else timeout_s)
        reconnect_until = min(deadline, now() + (RECONNECT_S if self._met else 0))
        for attempt in range(1, self._config.attempts_max + 1):
            await self._reconnected(reconnect_until)
            identity = self._credentials.at_hand or await self._credentials.identity()
            try:
                message = await self._once(method, request, answer, identity, deadline - now(), wait_for_ready)
                self._met = True
                return message
            except errors.Unauthorized:
                if attempt > 1 or self._config.attempts_max == 1 or not self._credentials.refused(identity):
                    raise
                continue
            except (errors.Unavailable, errors.TooManyRequests) as error:
                pause_s = self._pause_s(error, attempt, read)
                if pause_s is None or now() + pause_s >= deadline:
                    raise
            await asyncio.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")

    def _pause_s(self, error: errors.ApiError, attempt: int, read: bool) -> float | None:
        """How long to wait before a call is sent again; None if it must not be."""
        may_repeat = isinstance(error, errors.TooManyRequests) or (read and self._met)
        if attempt == self._config.attempts_max or not may_repeat:
            return None
        asked_s = min(error.retry_after_s, RETRY_AFTER_MAX_S)
        pause_s: float = PAUSE_S * 2**attempt * random.uniform(0.5, 1.0)
        return max(pause_s, asked_s)

    async def _once(
        self, method: str, request: Any, answer: type[T], identity: Identity, timeout_s: float, wait_for_ready: bool
    ) -> T:
        call = self._callable("unary_unary", method, answer, identity)(
            request, timeout=max(timeout_s, 0), metadata=identity.metadata, wait_for_ready=wait_for_ready or None
        )
        try:
            message: T = await call
            if self._config.on_warning is not None:
                await self._warn(call, self._config.on_warning)
        except grpc.RpcError as error:
            raise self._typed(error) from None
        return message

    async def _reconnected(self, until: float) -> None:
        """Return when the channel is not known to be broken, or at `until` (the loop's time). gRPC fails calls at once
        while it waits to connect again, also when the server has long been back."""
        channel = self._channel
        if channel is None or channel.get_state() is not grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            return
        broken = (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.CONNECTING)
        try:
            async with asyncio.timeout_at(until):
                while (state := channel.get_state(try_to_connect=True)) in broken:
                    await channel.wait_for_state_change(state)
        except TimeoutError:
            pass

    async def _warn(self, call: Any, sink: Callable[[str], None]) -> None:
        for key, value in await call.trailing_metadata() or ():
            if key == WARNING_KEY:
                sink(value if isinstance(value, str) else value.decode())

    def stream(
        self, method: str, request: Any, answer: type[T], *, timeout_s: float | None = None,
        wait_for_ready: bool = False,
    ) -> AsyncGenerator[T, None]:  # fmt: skip
        """Send one message, get a stream of them. Raises errors.ApiError; closing the iterator ends the call."""
        return self._answers(
            lambda identity: self._callable("unary_stream", method, answer, identity)(
                request, timeout=timeout_s, metadata=identity.metadata, wait_for_ready=wait_for_ready or None
            )
        )

    def duplex(
        self, method: str, requests: AsyncIterator[Any], answer: type[T], *, timeout_s: float | None = None
    ) -> AsyncGenerator[T, None]:
        """Send a stream and get one."""
        return self._answers(
            lambda identity: self._callable("stream_stream", method, answer, identity)(
                requests, timeout=timeout_s, metadata=identity.metadata
            ),
            repeat=False,
        )

    async def _answers(self, start: Callable[[Identity], Any], *, repeat: bool = True) -> AsyncGenerator[Any, None]:
        """`repeat`: once more, if the server does not know the credential and another may be had."""
        while True:
            identity = self._credentials.at_hand or await self._credentials.identity()
            call = start(identity)
            try:
                async for message in call:
                    repeat = False
                    yield message
                return
            except grpc.RpcError as error:
                typed = self._typed(error)
                if not (repeat and isinstance(typed, errors.Unauthorized) and self._credentials.refused(identity)):
                    raise typed from None
                repeat = False
            finally:
                call.cancel()

    def _typed(self, error: grpc.RpcError) -> errors.ApiError:
        typed = errors.from_rpc(error)
        if isinstance(typed, errors.Unavailable) and not _has_status(error):
            return errors.Unavailable(f"the API server at {self._config.target} cannot be reached: {typed.message}")
        if isinstance(typed, errors.TooManyRequests) and not _has_status(error) and "larger than" in typed.message:
            sent = typed.message.startswith("SERVER")
            why = "an object is too large" if sent else "ask for less at a time, with a limit"
            return errors.BadRequest(f"{typed.message}: {why}")
        if isinstance(typed, errors.Timeout) and not _has_status(error):
            return errors.Timeout(f"the API server at {self._config.target} did not answer in time")
        return typed

    def _callable(self, shape: str, method: str, answer: Any, identity: Identity) -> Any:
        shown = (identity.certificate, identity.key)
        if self._channel is None or shown != self._shown:
            self._reopen(identity)
            self._shown = shown
        found = self._calls.get((method, answer))
        if found is None:
            found = getattr(self._channel, shape)(
                method, request_serializer=_serialise, response_deserializer=answer.FromString
            )
            self._calls[method, answer] = found
        return found

    def _reopen(self, identity: Identity) -> None:
        """A channel that shows `identity`; what runs on the one before has LEAVE_S to end."""
        old, self._channel = self._channel, _open(self._config, identity)
        self._calls.clear()
        if old is not None:
            self._leaving[old] = asyncio.create_task(old.close(LEAVE_S))
            self._leaving[old].add_done_callback(lambda _: self._leaving.pop(old, None))

    async def close(self) -> None:
        leaving = dict(self._leaving)
        channel, self._channel = self._channel, None
        self._calls.clear()
        for task in leaving.values():
            task.cancel()
        await asyncio.gather(*leaving.values(), return_exceptions=True)
        for one in (*leaving, *([channel] if channel is not None else [])):
            await one.close(None)


def _serialise(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def _has_status(error: grpc.RpcError) -> bool:
    trailing: Any = error.trailing_metadata() or ()
    return any(key == errors.DETAILS_KEY for key, _ in trailing)


def _open(config: ClientConfig, identity: Identity) -> grpc.aio.Channel:
    proxy = (("grpc.http_proxy", config.proxy),) if config.proxy else ()
    options: tuple[tuple[str, Any], ...] = (*_OPTIONS, ("grpc.enable_http_proxy", int(bool(proxy))), *proxy)
    if config.plaintext:
        return grpc.aio.insecure_channel(config.target, options=options)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=config.root_ca, private_key=identity.key, certificate_chain=identity.certificate
    )
    if config.server_name:
        options += (("grpc.ssl_target_name_override", config.server_name),)
    return grpc.aio.secure_channel(config.target, credentials, options=options)
