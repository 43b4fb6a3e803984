"""What each path and method does. Every answer to a failure is a Status, whatever went wrong."""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf import message as protobuf
from google.protobuf.message import DecodeError
from raftsman import errors, logs
from raftsman.apiserver import v1 as apiserver
from raftsman.authentication import v1 as authentication
from raftsman.autoscaling import v1 as autoscaling
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.services.apiserver import failures, metrics
from raftsman.services.apiserver.access.authentication import Authenticator
from raftsman.services.apiserver.access.identity import User
from raftsman.services.apiserver.access.tokens import Tokens
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.rpc import RETRY_AFTER_S, Call
from raftsman.services.apiserver.verbs import (
    about,
    bind,
    delete,
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

from . import builtin, discovery, documents, media, paths, requests, terminals, watches, websocket
from .catalog import Catalog
from .http import Answer, Exchange, Request
from .media import View, Wanted
from .openapi.pages import Pages
from .paths import Target

log = logs.get(__name__)

# Beside streams, of which a connection has one at most: the terminator bounds connections.
RUNNING_MAX = 2000
_ONE = frozenset({View.WHOLE, View.TABLE, View.METADATA})
_MANY = frozenset({View.WHOLE, View.TABLE, View.METADATA, View.METADATA_LIST})
_KEY_SET = "/openid/v1/jwks"
_ISSUER = ("/.well-known/openid-configuration", _KEY_SET)
_HEALTH = ("/healthz", "/livez", "/readyz")
_METHODS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}

Ready = Callable[[], bool]


class Handler:
    """Answers requests; made once, called for each."""

    def __init__(
        self, api: Api, authenticator: Authenticator, issuer: Tokens | None, agents: streams.Agents, *, ready: Ready
    ) -> None:
        self._api, self._authenticator, self._agents, self._ready = api, authenticator, agents, ready
        self._issuer = issuer
        self.catalog = Catalog(builtin.group_versions)
        self._openapi = Pages(self.catalog)
        self._running = self._streams = 0

    async def __call__(self, request: Request, exchange: Exchange) -> None:
        started = time.perf_counter()
        status = "200"
        target = paths.target(request.path)
        self._running += 1
        try:
            if self._running - self._streams > RUNNING_MAX:
                raise _too_many(f"{RUNNING_MAX} requests are being answered")
            await self._serve(request, exchange, target)
        except Exception as error:
            told = _told(error, request)
            status = str(told.status.code)
            if exchange.begun:
                raise
            self._fail(request, exchange, told)
        finally:
            self._running -= 1
            if target is not None:
                verb = _METHODS.get(request.method, "other")
                _measured(verb, target.resource.qualified).done(status, time.perf_counter() - started)

    def _fail(self, request: Request, exchange: Exchange, error: errors.ApiError) -> None:
        accept = request.headers.get("accept", "")
        form = Wanted(media.PROTOBUF if accept.startswith(media.PROTOBUF) else media.JSON)
        headers = [("Cache-Control", "no-cache, private")]
        if error.retry_after_s:
            headers.append(("Retry-After", str(error.retry_after_s)))
        body = documents.of_message(error.status, form)
        exchange.send(Answer(error.status.code or 500, body, form.media, headers))

    async def _serve(self, request: Request, exchange: Exchange, target: Target | None) -> None:
        user = await self._authenticator.identify(request.user, request.lines)
        if target is not None:
            await self._resource(user, request, exchange, target)
        else:
            exchange.send(await self._about(user, request))

    # -- what the server says of itself

    async def _about(self, user: User, request: Request) -> Answer:
        if request.method not in ("GET", "HEAD"):
            raise _not_allowed()
        path = request.path.rstrip("/") or "/"
        if not self._api.authorizer.decides_path(user, "get", path):
            raise errors.Forbidden(f'forbidden: User "{user.name}" cannot get path "{path}"')
        if path.startswith(_HEALTH):
            return self._health()
        if path == "/version":
            return Answer(200, _version())
        return await self._documents(path, request)

    def _health(self) -> Answer:
        if self._ready():
            return Answer(200, b"ok", "text/plain; charset=utf-8")
        raise errors.Unavailable("the server is starting or stopping")

    async def _documents(self, path: str, request: Request) -> Answer:
        if path.startswith("/openapi/"):
            return await self._openapi.answer(path, request)
        if path == "/":
            return Answer(200, documents.dumped({"paths": self._paths()}))
        if path in _ISSUER:
            return self._issuer_says(path)
        form = discovery.wanted(request.headers.get("accept", ""))
        found = discovery.document(self.catalog, path, form)
        if found is None:
            raise paths.not_found()
        return found.answer(request)

    def _paths(self) -> list[str]:
        """What can be asked for, for people who look."""
        served = [f"/{one.path}" for one in self.catalog.versions()]
        groups = [f"/apis/{group}" for group in self.catalog.groups() if group]
        return sorted(["/api", "/apis", *served, *groups, "/openapi/v2", "/openapi/v3", "/version", *_HEALTH, *_ISSUER])

    def _issuer_says(self, path: str) -> Answer:
        """How others verify service accounts' tokens (OpenID Connect Discovery 1.0)."""
        if self._issuer is None:
            raise paths.not_found()
        headers = [("Cache-Control", "public, max-age=3600")]
        if path == _KEY_SET:
            return Answer(200, documents.dumped(self._issuer.key_set()), "application/jwk-set+json", headers)
        config = self._api.config
        uri = f"https://{config.advertise_address}:{config.secure_port}{_KEY_SET}"
        return Answer(200, documents.dumped(self._issuer.discovery(uri)), media.JSON, headers)

    # -- objects

    async def _resource(self, user: User, request: Request, exchange: Exchange, target: Target) -> None:
        kind = self._api.kinds[target.resource.qualified]
        agent = request.headers.get("user-agent", "").partition("/")[0].strip() or "unknown"
        call = Call(user, kind, [], rest=True, agent=agent)
        if request.method in ("GET", "HEAD") and (target.watch or requests.flag(request, "watch")):
            return await self._watch(call, request, exchange, target)
        if target.watch:
            raise _not_allowed()
        if target.subresource == "log" and request.method == "GET" and kind.message is core.Pod:
            return await self._logs(call, request, exchange, target)
        if target.subresource == "exec" and kind.message is core.Pod:
            return await self._exec(call, request, exchange, target)
        if not kind.stored:
            answer = await self._review(call, request, target)
        elif target.subresource:
            answer = await self._part(call, request, target)
        elif target.name:
            answer = await self._one(call, request, target)
        else:
            answer = await self._many(call, request, target)
        answer.headers.append(("Cache-Control", "no-cache, private"))
        answer.headers += [("Warning", f'299 - "{_quoted(text)}"') for text in call.warnings]
        exchange.send(answer)
        return None

    async def _one(self, call: Call, request: Request, target: Target) -> Answer:
        api, resource = self._api, target.resource
        wanted = media.negotiate(request.headers.get("accept", ""), views=_ONE)
        status_on_removal = False
        if request.method in ("GET", "HEAD"):
            found = await read.got(api, call, requests.get(request, target))
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
            raise _not_allowed()
        if status_on_removal:
            left = resource.message.FromString(data)
            if not left.metadata.HasField("deletion_timestamp"):
                return _message(_deleted(target, left), wanted)
        return _object(resource, data, wanted, request, status=201 if call.created else 200)

    async def _review(self, call: Call, request: Request, target: Target) -> Answer:
        if request.method != "POST" or target.name:
            raise _not_allowed()
        data = await reviews.create(self._api, self._issuer, call, requests.write(request, target).SerializeToString())
        wanted = media.negotiate(request.headers.get("accept", ""))
        return _object(target.resource, data, wanted, request, status=201)

    async def _put(self, verb: Any, call: Call, request: Request, target: Target) -> bytes:
        """An update whose object must be the one that the path names."""
        sent = requests.write(request, target)
        call.named = target.name
        data: bytes = await verb(self._api, call, sent.SerializeToString())
        return data

    async def _many(self, call: Call, request: Request, target: Target) -> Answer:
        api, resource = self._api, target.resource
        accept = request.headers.get("accept", "")
        if request.method == "POST":
            wanted = media.negotiate(accept, views=_ONE)
            data = await write.create(api, call, requests.write(request, target).SerializeToString())
            return _object(resource, data, wanted, request, status=201)
        wanted = media.negotiate(accept, views=_MANY)
        if request.method in ("GET", "HEAD"):
            page = await read.listed(api, call, requests.list_(request, target))
            body = await documents.of_page(resource, page, wanted, include=request.first("includeObject"))
            return Answer(200, body, _media(wanted))
        if request.method == "DELETE":
            data = await delete.delete_collection(
                api, call, requests.delete_collection(request, target).SerializeToString()
            )
        else:
            raise _not_allowed()
        body = documents.of_list(resource, data, wanted, include=request.first("includeObject"))
        return Answer(200, body, _media(wanted))

    async def _part(self, call: Call, request: Request, target: Target) -> Answer:
        """A subresource. errors.MethodNotSupported names one that is known and not served."""
        parts: dict[tuple[str, str], Callable[[Call, Request, Target], Awaitable[Answer]]] = {
            ("status", "GET"): self._one, ("status", "PUT"): self._status, ("status", "PATCH"): self._one,
            ("scale", "GET"): self._scale, ("scale", "PUT"): self._scale, ("scale", "PATCH"): self._scale,
            ("binding", "POST"): self._bind, ("token", "POST"): self._token, ("finalize", "PUT"): self._finalize,
        }  # fmt: skip
        known = {part.name for part in target.resource.facts.subresources}
        if target.subresource not in known:
            raise paths.not_found()
        found = parts.get((target.subresource, request.method))
        if found is None:
            if target.subresource in builtin.SUBRESOURCES:
                raise _not_allowed()
            raise failures.not_served(target.resource, f"/{target.subresource}", "that subresource over REST")
        return await found(call, request, target)

    async def _status(self, call: Call, request: Request, target: Target) -> Answer:
        wanted = media.negotiate(request.headers.get("accept", ""), views=_ONE)
        return _object(target.resource, await self._put(write.update_status, call, request, target), wanted, request)

    async def _finalize(self, call: Call, request: Request, target: Target) -> Answer:
        wanted = media.negotiate(request.headers.get("accept", ""), views=_ONE)
        return _object(target.resource, await self._put(finalize.finalize, call, request, target), wanted, request)

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

    async def _token(self, call: Call, request: Request, target: Target) -> Answer:
        sent = _typed(request, target, authentication.TokenRequest)
        made = authentication.TokenWriteRequest(namespace=target.namespace, name=target.name, object=sent)
        data = await tokens.create(self._api, self._issuer, call, made.SerializeToString())
        answer = authentication.TokenRequest.FromString(data)
        return _message(answer, media.negotiate(request.headers.get("accept", "")), status=201)

    # -- streams

    async def _watch(self, call: Call, request: Request, exchange: Exchange, target: Target) -> None:
        if target.subresource:
            raise _not_allowed()
        wanted = media.negotiate(request.headers.get("accept", ""), views=_ONE)
        raw = requests.watch(request, target).SerializeToString()
        events = watches.Events(exchange, target.resource, wanted, include=request.first("includeObject"))
        run = functools.partial(watch.watch, self._api, call, raw, form=events.form, pipe=events)
        await self._streaming(watches.serve(request, exchange, events, run))

    async def _logs(self, call: Call, request: Request, exchange: Exchange, target: Target) -> None:
        raw = requests.logs(request, target).SerializeToString()

        async def write_piece(piece: bytes) -> None:
            if not exchange.begun:
                exchange.begin("text/plain")
            await exchange.write(core.LogsResponse.FromString(piece).data)

        await self._streaming(streams.logs(self._api, self._agents, call, raw, write_piece))
        if not exchange.begun:
            exchange.begin("text/plain")
        exchange.end()

    async def _exec(self, call: Call, request: Request, exchange: Exchange, target: Target) -> None:
        if not websocket.wanted(request):
            raise errors.BadRequest("Upgrade request required: exec is served over WebSocket")
        await self._streaming(terminals.exec_(self._api, self._agents, call, request, exchange, target))

    async def _streaming(self, work: Awaitable[None]) -> None:
        self._streams += 1
        try:
            await work
        finally:
            self._streams -= 1


@functools.cache
def _measured(verb: str, resource: str) -> metrics.Request:
    return metrics.Request(verb, resource)


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


def _object(resource: Any, data: bytes, wanted: Wanted, request: Request, *, status: int = 200) -> Answer:
    body = documents.of_object(resource, data, wanted, include=request.first("includeObject"))
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


@functools.cache
def _version() -> bytes:
    found = apiserver.GetVersionResponse.FromString(about.version_bytes())
    major, minor = found.git_version.removeprefix("v").split(".")[:2]
    return documents.dumped({
        "major": major, "minor": minor, "gitVersion": found.git_version, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "", "goVersion": "", "compiler": f"python {found.python_version}", "platform": found.platform,
    })  # fmt: skip


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').encode("ascii", "backslashreplace").decode()


def _not_allowed() -> errors.ApiError:
    return errors.MethodNotSupported("the server does not allow this method on the requested resource")


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
