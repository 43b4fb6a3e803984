"""From a gRPC method to a verb of a kind, and from an exception to a gRPC status.

Methods are `/raftsman.<package>.v1.<Service>/<Verb>`; requests and answers stay bytes here. Whatever a verb raises
leaves as a code plus a google.rpc.Status detail that carries the API's Status; an unexpected exception is logged with
its traceback and told to the caller as an internal error without it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from raftsman import errors, logs, resources
from raftsman.meta import v1 as meta

from . import failures, metrics, unsupported
from .access.identity import User
from .flowcontrol import methods
from .flowcontrol.control import FlowControl, Ticket
from .kinds import Kind

log = logs.get(__name__)

# Bounds on what is answered at once; more is told to come back.
RUNNING_MAX = 20_000
STREAMS_MAX = 20_000
RETRY_AFTER_S = 1
WARNING_KEY = "raftsman-warning"
WARNING_CHARACTERS_MAX = 300
MESSAGE_CHARACTERS_MAX = 800
NAME_CHARACTERS_MAX = 253
STATUS_BYTES_MAX = 5000
CUSTOM = "/raftsman.custom."
"""Before the group, version and plural of a custom resource: its service, like a built-in kind's, with JSON objects."""
# To how many characters each cause's sentence is cut, one after the other, before any cause is left out.
CAUSE_CHARACTERS = (300, 160, 80, 40)


@dataclass(slots=True)
class Call:
    """One request: who sent it and, for a kind's methods, of which kind it is."""

    user: User
    kind: Kind
    # Sent as `raftsman-warning` trailing metadata, or as Warning headers.
    warnings: list[str]
    # Over REST the path says of which kind an object is, and of which name: the body may leave the first out.
    rest: bool = False
    named: str = ""
    # Who owns what is written: the name that the request gives, else `agent`, the client's.
    manager: str = ""
    agent: str = ""
    # Set by an apply that made what was not there.
    created: bool = False
    # What is written is checked and answered, not stored.
    dry_run: bool = False
    # The seats that the request has, given back early by what goes on as a stream.
    ticket: Ticket | None = None

    def streams(self) -> None:
        """The work is done; what follows waits for others."""
        if self.ticket is not None:
            self.ticket.release()


Unary = Callable[[Call, bytes], Awaitable[bytes]]
# Writes its answers itself, with back-pressure.
Streaming = Callable[[Call, bytes, Callable[[bytes], Awaitable[None]]], Awaitable[None]]
# The first message comes apart: a client that is refused before it was heard sees an internal error (grpc-core).
Duplex = Callable[[Call, bytes, AsyncIterator[bytes], Callable[[bytes], Awaitable[None]]], Awaitable[None]]
Authenticate = Callable[[Any], Awaitable[User]]


@dataclass(frozen=True, slots=True)
class Custom:
    """A verb of a custom resource."""

    kind: Kind
    run: Any
    streams: bool = False


class Router(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Filled with `unary`, `streaming` and `duplex` before the server starts."""

    def __init__(self, authenticate: Authenticate, flow: FlowControl) -> None:
        self._authenticate, self._flow = authenticate, flow
        self._handlers: dict[str, Any] = {}
        self._services: set[str] = set()
        self._running = self._streams = 0
        # The services of custom resources come and go: what there is is asked for with each call.
        self.customs: Callable[[str, str], Custom | None] = lambda service, verb: None
        self._custom_handlers: dict[str, tuple[Kind, Any]] = {}

    @property
    def services(self) -> set[str]:
        return self._services

    def _enter(self, service: str, verb: str, handler: Any) -> None:
        self._services.add(service)
        self._handlers[f"/{service}/{verb}"] = handler

    def unary(self, service: str, verb: str, kind: Kind, run: Unary) -> None:
        self._enter(service, verb, self._unary(service, verb, kind, run))

    def _unary(self, service: str, verb: str, kind: Kind, run: Unary) -> Any:
        labels = metrics.Request(verb, kind.resource, component=metrics.GRPC)
        asked = methods.asked(service, verb, kind)

        async def handle(request: bytes, context: Any) -> bytes:
            started = time.perf_counter()
            code = "200"
            self._running += 1
            labels.running.inc()
            try:
                if self._running > RUNNING_MAX:
                    raise _too_many(f"{RUNNING_MAX} calls are being answered")
                user = await self._authenticate(context)
                call = Call(user, kind, [], agent=user.name.removeprefix("system:"))
                call.ticket = await self._flow.admit(self._flow.classify(user, asked))
                try:
                    answer = await run(call, request)
                finally:
                    call.ticket.release()
                if call.warnings:
                    context.set_trailing_metadata(tuple((WARNING_KEY, _ascii(text)) for text in call.warnings))
            except Exception as error:
                told = _told(error, f"{service}/{verb}")
                code = str(told.status.code or told.code)
                await _abort(context, told)
                raise AssertionError("abort raises") from error
            else:
                return answer
            finally:
                self._running -= 1
                labels.running.dec()
                labels.done(code, time.perf_counter() - started)

        return grpc.unary_unary_rpc_method_handler(handle)

    def streaming(self, service: str, verb: str, kind: Kind, run: Streaming) -> None:
        self._enter(service, verb, self._streaming(service, verb, kind, run))

    def _streaming(self, service: str, verb: str, kind: Kind, run: Streaming) -> Any:
        asked = methods.asked(service, verb, kind) if verb == "Watch" else None

        async def handle(request: bytes, context: Any) -> None:
            self._streams += 1
            call: Call | None = None
            try:
                if self._streams > STREAMS_MAX:
                    raise _too_many(f"{STREAMS_MAX} streams are open")
                call = Call(await self._authenticate(context), kind, [])
                if asked is not None:
                    call.ticket = await self._flow.admit(self._flow.classify(call.user, asked))
                await run(call, request, context.write)
            except Exception as error:
                await _fail(context, error, f"{service}/{verb}")
            finally:
                self._streams -= 1
                if call is not None:
                    call.streams()

        return grpc.unary_stream_rpc_method_handler(handle)

    def duplex(self, service: str, verb: str, kind: Kind, run: Duplex) -> None:
        async def handle(requests: AsyncIterator[bytes], context: Any) -> None:
            try:
                first = await anext(aiter(requests), b"")
                call = Call(await self._authenticate(context), kind, [])
                await run(call, first, requests, context.write)
            except Exception as error:
                await _fail(context, error, f"{service}/{verb}")

        self._enter(service, verb, grpc.stream_stream_rpc_method_handler(handle))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = handler_call_details.method
        found = self._handlers.get(method)
        if found is not None or method.startswith("/grpc."):
            return found
        if method.startswith(CUSTOM):
            return self._custom(method)
        return _refusing(_unknown(method, self._services))

    def _custom(self, method: str) -> Any:
        """A method of a custom resource's service, made once for each kind."""
        service, _, verb = method.lstrip("/").rpartition("/")
        found = self.customs(service, verb)
        if found is None:
            self._custom_handlers.pop(method, None)
            return _refusing(
                errors.NotFound(f"there is no method {method}: the resource is not served, or has no {verb}")
            )
        known = self._custom_handlers.get(method)
        if known is None or known[0] is not found.kind:
            make: Any = self._streaming if found.streams else self._unary
            known = self._custom_handlers[method] = found.kind, make(service, verb, found.kind, found.run)
        return known[1]


def _unknown(method: str, services: set[str]) -> errors.ApiError:
    """Why there is no such method, by name if the kind or the verb is known."""
    service, _, verb = method.lstrip("/").rpartition("/")
    package, _, name = service.rpartition(".")
    for resource in resources.known():
        own_package = resource.message.DESCRIPTOR.file.package
        if resource.service == service and service in services:
            return failures.not_served(resource, f"/{verb}", unsupported.VERBS.get(verb, "an API method of that name"))
        if own_package == package and resource.name == name.lower():
            return failures.not_served(resource, "", unsupported.KINDS.get(resource.qualified, "a controller for it"))
    return errors.MethodNotSupported(f"there is no method {method}")


def _refusing(error: errors.ApiError) -> Any:
    async def handle(request: bytes, context: Any) -> bytes:
        await _fail(context, error, "")
        raise AssertionError("abort raises")

    return grpc.unary_unary_rpc_method_handler(handle)


def _too_many(why: str) -> errors.ApiError:
    error = errors.TooManyRequests(f"Too many requests, please try again later: {why}")
    error.status.details.retry_after_seconds = RETRY_AFTER_S
    return error


async def refuse(context: Any, why: str) -> None:
    """Abort as unauthenticated."""
    await _fail(context, errors.Unauthorized(why), "")


def _ascii(text: str) -> str:
    """As metadata carries it."""
    return text[:WARNING_CHARACTERS_MAX].encode("ascii", "backslashreplace").decode().replace("\n", " ")


def _shorten(error: errors.ApiError) -> None:
    """Clients take about 8 KiB of metadata. What is too long is cut and says so: sentences before any cause's path."""
    if len(error.message) > MESSAGE_CHARACTERS_MAX:
        error.message = error.message[:MESSAGE_CHARACTERS_MAX] + "…"
        error.status.message = error.message
    details = error.status.details
    if len(details.name) > NAME_CHARACTERS_MAX:
        details.name = details.name[:NAME_CHARACTERS_MAX] + "…"
    for limit in CAUSE_CHARACTERS:
        if error.status.ByteSize() <= STATUS_BYTES_MAX:
            return
        for cause in details.causes:
            if len(cause.message) > limit:
                cause.message = cause.message[:limit] + "…"
    _drop_causes(error.status)


def _drop_causes(status: meta.Status) -> None:
    causes = status.details.causes
    total = len(causes)
    while len(causes) > 1 and status.ByteSize() > STATUS_BYTES_MAX:
        del causes[len(causes) - max(1, len(causes) // 8) :]
    if len(causes) < total:
        causes.add(reason="FieldValueTooMany", message=f"and {total - len(causes)} more causes")


def _told(error: Exception, method: str) -> errors.ApiError:
    """What the caller is told."""
    if isinstance(error, errors.ApiError):
        return error
    if isinstance(error, DecodeError):
        return errors.BadRequest(f"the request is not what {method} takes: {error}")
    log.error("a call failed unexpectedly", method=method, error=type(error).__name__, exc_info=error)
    return errors.InternalError(f"Internal error occurred: {type(error).__name__}")


async def _fail(context: Any, error: Exception, method: str) -> None:
    """Abort the call with the error's code and details; abort raises, except while the server is shut down."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    await _abort(context, _told(error, method))


async def _abort(context: Any, told: errors.ApiError) -> None:
    _shorten(told)
    try:
        await context.abort(told.grpc_code, told.message, ((errors.DETAILS_KEY, told.to_details()),))
    except asyncio.InvalidStateError:
        pass
