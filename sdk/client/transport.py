"""One gRPC channel: how calls are sent, bounded, retried and how their failures become typed errors.

Every unary call has a deadline. A call that only reads is sent up to ATTEMPTS_MAX times while the server is
unavailable, with jittered pauses; a call that writes is sent again only if the server answered that it was too busy to
look at it. After a lost connection every call first gives the channel RECONNECT_S to find the server again; a server
that was never there is an error at once. Messages are at most MESSAGE_BYTES_MAX.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, TypeVar

import grpc
import grpc.aio
from raftsman import errors

from .config import ClientConfig, ConfigError

T = TypeVar("T")

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
ATTEMPTS_MAX = 4
PAUSE_S = 0.1
RETRY_AFTER_MAX_S = 5
RECONNECT_S = 2.5
TOKEN_REREAD_S = 60.0
WARNING_KEY = "raftsman-warning"

_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.primary_user_agent", "raftsman-sdk"),
)


class Transport:
    """Sends serialised requests. The channel opens with the first call, on the loop that makes it."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._channel: grpc.aio.Channel | None = None
        self._calls: dict[tuple[str, Any], Any] = {}
        self._token = _Token(config)
        self._met = False

    async def unary(
        self, method: str, request: Any, answer: type[T], *, read: bool = False, timeout_s: float | None = None,
        wait_for_ready: bool = False,
    ) -> T:  # fmt: skip
        """Send one message, get one. `method` is `/package.Service/Verb`. Raises errors.ApiError."""
        reconnect_until = asyncio.get_running_loop().time() + (RECONNECT_S if self._met else 0)
        for attempt in range(1, ATTEMPTS_MAX + 1):
            await self._reconnected(reconnect_until)
            try:
                message = await self._once(method, request, answer, timeout_s, wait_for_ready)
                self._met = True
                return message
            except (errors.Unavailable, errors.TooManyRequests) as error:
                may_repeat = isinstance(error, errors.TooManyRequests) or (read and self._met)
                if attempt == ATTEMPTS_MAX or not may_repeat:
                    raise
                asked_s = min(error.retry_after_s, RETRY_AFTER_MAX_S)
            await asyncio.sleep(max(PAUSE_S * 2**attempt * random.uniform(0.5, 1.0), asked_s))
        raise AssertionError("the last attempt returns or raises")

    async def _once(
        self, method: str, request: Any, answer: type[T], timeout_s: float | None, wait_for_ready: bool
    ) -> T:
        call = self._callable("unary_unary", method, answer)(
            request,
            timeout=self._config.timeout_s if timeout_s is None else timeout_s,
            metadata=self._token.metadata(),
            wait_for_ready=wait_for_ready or None,
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
            lambda: self._callable("unary_stream", method, answer)(
                request, timeout=timeout_s, metadata=self._token.metadata(), wait_for_ready=wait_for_ready or None
            )
        )

    def duplex(self, method: str, requests: AsyncIterator[Any], answer: type[T]) -> AsyncGenerator[T, None]:
        """Send a stream and get one."""
        return self._answers(
            lambda: self._callable("stream_stream", method, answer)(requests, metadata=self._token.metadata())
        )

    async def _answers(self, start: Callable[[], Any]) -> AsyncGenerator[Any, None]:
        call = start()
        try:
            async for message in call:
                yield message
        except grpc.RpcError as error:
            raise self._typed(error) from None
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

    def _callable(self, shape: str, method: str, answer: Any) -> Any:
        found = self._calls.get((method, answer))
        if found is None:
            if self._channel is None:
                self._channel = _open(self._config)
            found = getattr(self._channel, shape)(
                method, request_serializer=_serialise, response_deserializer=answer.FromString
            )
            self._calls[method, answer] = found
        return found

    async def close(self) -> None:
        channel, self._channel = self._channel, None
        self._calls.clear()
        if channel is not None:
            await channel.close(None)


class _Token:
    """The bearer token of each call; a token file is read again every TOKEN_REREAD_S."""

    def __init__(self, config: ClientConfig) -> None:
        self._file = config.token_file
        self._metadata = _bearer(config.token)
        self._stale_at = 0.0

    def metadata(self) -> tuple[tuple[str, str], ...] | None:
        if self._file is not None and time.monotonic() >= self._stale_at:
            try:
                self._metadata = _bearer(self._file.read_text().strip())
            except OSError as error:
                if self._metadata is None:
                    raise ConfigError(f"token file {self._file}: {error.strerror}") from error
            self._stale_at = time.monotonic() + TOKEN_REREAD_S
        return self._metadata


def _bearer(token: str) -> tuple[tuple[str, str], ...] | None:
    return (("authorization", f"Bearer {token}"),) if token else None


def _serialise(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def _has_status(error: grpc.RpcError) -> bool:
    trailing: Any = error.trailing_metadata() or ()
    return any(key == errors.DETAILS_KEY for key, _ in trailing)


def _open(config: ClientConfig) -> grpc.aio.Channel:
    if config.plaintext:
        return grpc.aio.insecure_channel(config.target, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=config.root_ca, private_key=config.key, certificate_chain=config.certificate
    )
    options = _OPTIONS
    if config.server_name:
        options += (("grpc.ssl_target_name_override", config.server_name),)
    return grpc.aio.secure_channel(config.target, credentials, options=options)
