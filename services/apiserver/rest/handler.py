"""What each path and method does. Every answer to a failure is a Status, whatever went wrong."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from google.protobuf import message as protobuf
from google.protobuf.message import DecodeError
from raftsman import errors, logs
from raftsman.authentication import v1 as authentication
from raftsman.autoscaling import v1 as autoscaling
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.policy import v1 as policy
from raftsman.services.apiserver import failures, metrics
from raftsman.services.apiserver.access.authentication import Authenticator
from raftsman.services.apiserver.access.identity import User
from raftsman.services.apiserver.access.tokens import Tokens
from raftsman.services.apiserver.aggregation.autoregister import AutoRegistration
from raftsman.services.apiserver.aggregation.proxy import Proxy
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.flowcontrol.control import Ticket
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.rpc import RETRY_AFTER_S, Call
from raftsman.services.apiserver.verbs import (
    bind,
    components,
    delete,
    evict,
    finalize,
    patch,
    read,
    reviews,
    scale,
    streams,
    tokens,
    watch,
    write,
)
from raftsman.services.apiserver.verbs.agents import Agents

from . import (
    builtin,
    checks,
    custom,
    documents,
    flows,
    measured,
    media,
    paths,
    pod_proxy,
    port_forwards,
    requests,
    terminals,
    watches,
)
from .about import About
from .catalog import Catalog
from .http import Answer, Exchange, Request
from .media import View, Wanted
from .paths import Target

log = logs.get(__name__)

# Beside streams, of which a connection has one at most: the terminator bounds connections.
RUNNING_MAX = 20_000
_ONE = frozenset({View.WHOLE, View.TABLE, View.METADATA})
_MANY = frozenset({View.WHOLE, View.TABLE, View.METADATA, View.METADATA_LIST})

# What goes on as another protocol on the same connection.
_UPGRADING = {"exec": terminals.serve, "attach": terminals.serve, "portforward": port_forwards.serve}


class Handler:
    """Answers requests; made once, called for each."""

    def __init__(
        self,
        api: Api,
        authenticator: Authenticator,
        issuer: Tokens | None,
        agents: Agents,
        *,
        health: Mapping[str, checks.Check],
    ) -> None:
        self._api, self._authenticator = api, authenticator
        self._pod_streams = streams.Service(api, agents)
        self._issuer = issuer
        customs = functools.partial(custom.group_versions, api.registry)
        self.catalog = Catalog(builtin.group_versions, customs)
        api.registry.listeners.append(self.catalog.forget)
        self.proxy = Proxy(api, self.catalog)
        self.autoregistration = AutoRegistration(api, customs)
        self._about = About(api, issuer, self.catalog, health)
        self._running = self._streams = 0

    async def __call__(self, request: Request, exchange: Exchange) -> None:
        started = time.perf_counter()
        status = "200"
        target = paths.target(request.path, self._api.registry)
        counters = None if target is None else measured.of(request, target)
        lasts = measured.lasts(request, target)
        self._running += 1
        try:
            if self._running - self._streams > RUNNING_MAX:
                raise _too_many(f"{RUNNING_MAX} requests are being answered")
            if lasts:
                await self._serve(request, exchange, target)
            else:
                await self._in_time(request, exchange, target, counters)
        except Exception as error:
            told = _told(error, request)
            status = str(told.status.code)
            if exchange.begun:
                raise
            self._fail(request, exchange, told)
        finally:
            self._running -= 1
            if counters is not None:
                counters.done(status, time.perf_counter() - started)

    def _fail(self, request: Request, exchange: Exchange, error: errors.ApiError) -> None:
        accept = request.headers.get("accept", "")
        form = Wanted(media.PROTOBUF if accept.startswith(media.PROTOBUF) else media.JSON)
        headers = [("Cache-Control", "no-cache, private")]
        if error.retry_after_s:
            headers.append(("Retry-After", str(error.retry_after_s)))
        body = documents.of_message(error.status, form)
        exchange.send(Answer(error.status.code or 500, body, form.media, headers))

    async def _in_time(
        self, request: Request, exchange: Exchange, target: Target | None, counters: metrics.Request | None
    ) -> None:
        """errors.Timeout if it is not answered when it has to be."""
        running = metrics.READING if counters is None else counters.running
        running.inc()
        try:
            async with asyncio.timeout(requests.deadline_s(request)):
                await self._serve(request, exchange, target)
        except TimeoutError:
            raise errors.Timeout("Timeout: request did not complete within requested timeout") from None
        finally:
            running.dec()

    async def _serve(self, request: Request, exchange: Exchange, target: Target | None) -> None:
        user = await self._authenticator.identify(request.user, request.lines)
        asked = flows.asked(request, target)
        if asked is None:
            return await self._answer(user, request, exchange, target, None)
        flow = self._api.flow
        found = flow.classify(user, asked)
        exchange.headers = found.headers
        ticket = await flow.admit(found, seats=flows.seats(self._api, request, target, asked.verb))
        try:
            await self._answer(user, request, exchange, target, ticket)
        finally:
            ticket.release()
        return None

    async def _answer(
        self, user: User, request: Request, exchange: Exchange, target: Target | None, ticket: Ticket | None
    ) -> None:
        if (there := pod_proxy.place(request.path)) is not None:
            await self._streaming(pod_proxy.serve(self._api, user, request, exchange, there))
        elif target is not None:
            await self._resource(user, request, exchange, target, ticket)
        elif (service := self.proxy.service(request.path)) is not None:
            await self.proxy.pass_on(user, request, exchange, service)
        else:
            exchange.send(documents.as_read(await self._about.answer(user, request), request))

    # -- objects

    async def _resource(
        self, user: User, request: Request, exchange: Exchange, target: Target, ticket: Ticket | None
    ) -> None:
        kind = self._api.registry.of(target.resource)
        agent = request.headers.get("user-agent", "").partition("/")[0].strip() or "unknown"
        call = Call(user, kind, [], rest=True, agent=agent, ticket=ticket)
        if request.method in ("GET", "HEAD") and (target.watch or requests.flag(request, "watch")):
            return await self._watch(call, request, exchange, target)
        if target.watch:
            raise paths.not_allowed()
        if target.subresource == "log" and request.method == "GET" and kind.message is core.Pod:
            return await self._logs(call, request, exchange, target)
        if kind.message is core.Pod and request.method in ("GET", "POST") and target.subresource in _UPGRADING:
            serve = _UPGRADING[target.subresource]
            return await self._streaming(serve(self._pod_streams, call, request, exchange, target))
        if kind.computed:
            answer = await self._computed(call, request, target)
        elif not kind.stored:
            answer = await self._review(call, request, target)
        elif target.subresource:
            answer = await self._part(call, request, target)
        elif target.name:
            answer = await self._one(call, request, target)
        else:
            answer = await self._many(call, request, target)
        answer.headers.append(("Cache-Control", "no-cache, private"))
        told = [kind.warning, *call.warnings] if kind.warning else call.warnings
        answer.headers += [("Warning", f'299 - "{_quoted(text)}"') for text in told]
        exchange.send(documents.as_read(answer, request))
        return None

    async def _one(self, call: Call, request: Request, target: Target) -> Answer:
        api = self._api
        wanted = _form(call, request, _ONE)
        status_on_removal = False
        if request.method in ("GET", "HEAD"):
            found = await read.got(api, call, requests.get(request, target), subresource=target.subresource)
            body = documents.of_found(found, wanted, include=request.first("includeObject"))
            return Answer(200, body, _media(wanted))
        if request.method == "PUT":
            data = await self._put(write.update, call, request, target)
        elif request.method == "PATCH":
            data = await patch.patch(api, call, requests.patch(request, target).SerializeToString())
        elif request.method == "DELETE":
            data = await delete.delete(api, call, requests.delete(request, target).SerializeToString())
            status_on_removal = True
        else:
            raise paths.not_allowed()
        if status_on_removal:
            left = call.kind.form.parse(data)
            if not left.metadata.HasField("deletion_timestamp"):
                return _message(_deleted(target, left), wanted)
        return _object(call.kind, data, wanted, request, status=201 if call.created else 200)

    async def _computed(self, call: Call, request: Request, target: Target) -> Answer:
        if request.method not in ("GET", "HEAD") or target.subresource or requests.flag(request, "watch"):
            raise paths.not_allowed()
        accept = request.headers.get("accept", "")
        include = request.first("includeObject")
        if target.name:
            wanted = media.negotiate(accept, views=_ONE)
            data = await components.get(self._api, call, requests.get(request, target).SerializeToString())
            return Answer(200, documents.of_object(call.kind, data, wanted, include=include), _media(wanted))
        wanted = media.negotiate(accept, views=_MANY)
        data = await components.list_(self._api, call, requests.list_(request, target).SerializeToString())
        return Answer(200, documents.of_list(call.kind, data, wanted, include=include), _media(wanted))

    async def _review(self, call: Call, request: Request, target: Target) -> Answer:
        if request.method != "POST" or target.name:
            raise paths.not_allowed()
        wanted = media.negotiate(request.headers.get("accept", ""))
        raw = requests.write(request, target).SerializeToString()
        if call.kind.message is core.Binding:
            return _message(meta.Status.FromString(await bind.create(self._api, call, raw)), wanted, status=201)
        data = await reviews.create(self._api, self._issuer, call, raw)
        return _object(call.kind, data, wanted, request, status=201)

    async def _put(self, verb: Any, call: Call, request: Request, target: Target) -> bytes:
        """An update whose object must be the one that the path names."""
        sent = requests.write(request, target)
        call.named = target.name
        data: bytes = await verb(self._api, call, sent.SerializeToString())
        return data

    async def _many(self, call: Call, request: Request, target: Target) -> Answer:
        api = self._api
        if request.method == "POST":
            wanted = _form(call, request, _ONE)
            data = await write.create(api, call, requests.write(request, target).SerializeToString())
            return _object(call.kind, data, wanted, request, status=201)
        wanted = _form(call, request, _MANY)
        if request.method in ("GET", "HEAD"):
            page = await read.listed(api, call, requests.list_(request, target))
            body = await documents.of_page(call.kind, page, wanted, include=request.first("includeObject"))
            return Answer(200, body, _media(wanted))
        if request.method == "DELETE":
            data = await delete.delete_collection(
                api, call, requests.delete_collection(request, target).SerializeToString()
            )
        else:
            raise paths.not_allowed()
        body = documents.of_list(call.kind, data, wanted, include=request.first("includeObject"))
        return Answer(200, body, _media(wanted))

    async def _part(self, call: Call, request: Request, target: Target) -> Answer:
        """A subresource. errors.MethodNotSupported names one that is known and not served."""
        parts: dict[tuple[str, str], Callable[[Call, Request, Target], Awaitable[Answer]]] = {
            ("status", "GET"): self._one, ("status", "PUT"): self._status, ("status", "PATCH"): self._one,
            ("scale", "GET"): self._scale, ("scale", "PUT"): self._scale, ("scale", "PATCH"): self._scale,
            ("binding", "POST"): self._bind, ("eviction", "POST"): self._evict,
            ("token", "POST"): self._token, ("finalize", "PUT"): self._finalize,
        }  # fmt: skip
        known = {part.name for part in target.resource.facts.subresources}
        if target.subresource not in known:
            raise paths.not_found()
        if target.subresource in call.kind.parts:
            parts |= {(target.subresource, "GET"): self._one, (target.subresource, "PATCH"): self._one}
            parts[target.subresource, "PUT"] = self._put_part
        found = parts.get((target.subresource, request.method))
        if found is None:
            if target.subresource in builtin.SUBRESOURCES:
                raise paths.not_allowed()
            raise failures.not_served(target.resource, f"/{target.subresource}", "that subresource over REST")
        return await found(call, request, target)

    async def _status(self, call: Call, request: Request, target: Target) -> Answer:
        wanted = _form(call, request, _ONE)
        return _object(call.kind, await self._put(write.update_status, call, request, target), wanted, request)

    async def _put_part(self, call: Call, request: Request, target: Target) -> Answer:
        wanted = _form(call, request, _ONE)
        update = functools.partial(write.update_part, part=target.subresource)
        return _object(call.kind, await self._put(update, call, request, target), wanted, request)

    async def _finalize(self, call: Call, request: Request, target: Target) -> Answer:
        wanted = _form(call, request, _ONE)
        return _object(call.kind, await self._put(finalize.finalize, call, request, target), wanted, request)

    async def _scale(self, call: Call, request: Request, target: Target) -> Answer:
        wanted = media.negotiate(request.headers.get("accept", ""))
        if request.method == "GET":
            data = await scale.get(self._api, call, requests.get(request, target).SerializeToString())
        elif request.method == "PATCH":
            data = await patch.patch(self._api, call, requests.patch(request, target).SerializeToString())
        else:
            sent = _typed(request, target, autoscaling.Scale)
            sent.metadata.name = sent.metadata.name or target.name
            sent.metadata.namespace = sent.metadata.namespace or target.namespace
            if sent.metadata.name != target.name:
                raise _other_name(sent.metadata.name, target.name)
            made = meta.WriteRequest(
                object=sent.SerializeToString(), namespace=target.namespace, options=requests.options(request)
            )
            data = await scale.update(self._api, call, made.SerializeToString())
        return _message(autoscaling.Scale.FromString(data), wanted)

    async def _bind(self, call: Call, request: Request, target: Target) -> Answer:
        binding = _typed(request, target, core.Binding)
        binding.metadata.name = binding.metadata.name or target.name
        made = core.BindRequest(namespace=target.namespace, binding=binding, options=requests.options(request))
        await bind.bind(self._api, call, made.SerializeToString())
        wanted = media.negotiate(request.headers.get("accept", ""))
        return _message(meta.Status(status="Success", code=201), wanted, status=201)

    async def _evict(self, call: Call, request: Request, target: Target) -> Answer:
        eviction = _typed(request, target, policy.Eviction)
        if (eviction.metadata.name or target.name) != target.name:
            raise errors.BadRequest("name in URL does not match name in Eviction object")
        eviction.metadata.name = target.name
        if requests.dry_run(request) and "All" not in eviction.delete_options.dry_run:
            eviction.delete_options.dry_run.append("All")
        made = policy.EvictRequest(namespace=target.namespace, eviction=eviction)
        await evict.evict(self._api, call, made.SerializeToString())
        wanted = media.negotiate(request.headers.get("accept", ""))
        return _message(meta.Status(status="Success", code=201), wanted, status=201)

    async def _token(self, call: Call, request: Request, target: Target) -> Answer:
        sent = _typed(request, target, authentication.TokenRequest)
        made = authentication.TokenWriteRequest(namespace=target.namespace, name=target.name, object=sent)
        data = await tokens.create(self._api, self._issuer, call, made.SerializeToString())
        answer = authentication.TokenRequest.FromString(data)
        return _message(answer, media.negotiate(request.headers.get("accept", "")), status=201)

    # -- streams

    async def _watch(self, call: Call, request: Request, exchange: Exchange, target: Target) -> None:
        if target.subresource or not call.kind.stored:
            raise paths.not_allowed()
        wanted = _form(call, request, _ONE)
        raw = requests.watch(request, target).SerializeToString()
        events = watches.Events(exchange, call.kind, wanted, include=request.first("includeObject"))
        run = functools.partial(watch.watch, self._api, call, raw, form=events.form, pipe=events)
        await self._streaming(watches.serve(request, exchange, events, run))

    async def _logs(self, call: Call, request: Request, exchange: Exchange, target: Target) -> None:
        raw = requests.logs(request, target).SerializeToString()

        async def write_piece(piece: bytes) -> None:
            if not exchange.begun:
                exchange.begin("text/plain")
            await exchange.write(core.LogsResponse.FromString(piece).data)

        await self._streaming(streams.logs(self._pod_streams, call, raw, write_piece))
        if not exchange.begun:
            exchange.begin("text/plain")
        exchange.end()

    async def _streaming(self, work: Awaitable[None]) -> None:
        self._streams += 1
        try:
            await work
        finally:
            self._streams -= 1


def _typed(request: Request, target: Target, message: type[Any]) -> Any:
    """The body as a message that is not the path's own kind: a Scale, a Binding, a TokenRequest."""
    from raftsman import codec, manifests

    if media.body_media(request.headers.get("content-type", "")) == media.PROTOBUF:
        return message.FromString(requests.unwrapped(request.body, target))
    found = manifests.parse(request.body)
    if len(found) != 1:
        raise errors.BadRequest(f"{len(found)} documents in the body: exactly one is needed")
    tree = {key: value for key, value in found[0].value.items() if key not in ("apiVersion", "kind")}
    decoded = codec.from_json(tree, message)
    codec.check(decoded.problems, what=message.DESCRIPTOR.name)
    return decoded.message


def _form(call: Call, request: Request, views: frozenset[View]) -> Wanted:
    """How the client wants objects of the call's kind."""
    return media.negotiate(request.headers.get("accept", ""), views=views, protobuf=call.kind.form.binary)


def _object(kind: Kind, data: bytes, wanted: Wanted, request: Request, *, status: int = 200) -> Answer:
    body = documents.of_object(kind, data, wanted, include=request.first("includeObject"))
    return Answer(status, body, _media(wanted))


def _message(message: protobuf.Message, wanted: Wanted, *, status: int = 200) -> Answer:
    return Answer(status, documents.of_message(message, wanted), wanted.media)


def _media(wanted: Wanted) -> str:
    if wanted.view is View.WHOLE:
        return wanted.media
    return f"{wanted.media};as={wanted.view.value};v=v1;g=meta.k8s.io"


def _deleted(target: Target, left: Any) -> meta.Status:
    details = meta.StatusDetails(
        name=target.name, group=target.resource.group, kind=target.resource.name, uid=left.metadata.uid
    )
    return meta.Status(status="Success", details=details)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').encode("ascii", "backslashreplace").decode()


def _other_name(sent: str, path: str) -> errors.ApiError:
    return errors.BadRequest(f"the name of the object ({sent}) does not match the name on the URL ({path})")


def _too_many(why: str) -> errors.ApiError:
    error = errors.TooManyRequests(f"Too many requests, please try again later: {why}")
    error.status.details.retry_after_seconds = RETRY_AFTER_S
    return error


def _told(error: Exception, request: Request) -> errors.ApiError:
    """What the caller is told."""
    if isinstance(error, errors.ApiError):
        return error
    if isinstance(error, DecodeError):
        return errors.BadRequest(f"the body cannot be decoded: {error}")
    log.error("a request failed unexpectedly", method=request.method, path=request.path, error=type(error).__name__,
              exc_info=error)  # fmt: skip
    return errors.InternalError(f"Internal error occurred: {type(error).__name__}")
