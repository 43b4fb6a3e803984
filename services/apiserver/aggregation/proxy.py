"""A request for a group version of another server: authorized here, sent there with who it is from, and answered with
what comes back, as it comes.

Nothing of a client's credentials goes along. A watch lasts as long as both sides like; an upgraded connection's bytes
go both ways untouched.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from raftsman import errors
from raftsman.apiregistration import v1 as apiregistration
from raftsman.services.apiserver.access.identity import User
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.outbound import backends, http
from raftsman.services.apiserver.rest import requests
from raftsman.services.apiserver.rest.catalog import Catalog
from raftsman.services.apiserver.rest.http import Answer, Exchange, Request

from . import requestheader
from .availability import Availability
from .registrations import Registrations

# An answer that is said to be shorter is collected and sent whole.
WHOLE_BYTES_MAX = 1 << 20
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
# Of one connection, and not passed on (RFC 9110, section 7.6.1); or a client's own affair with this server.
_KEPT_BACK = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "host", "content-length", "authorization", "expect",
})  # fmt: skip
_UPGRADE = frozenset({"connection", "upgrade"})


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a request under /apis/GROUP/VERSION/ asks for, of whatever kind."""

    verb: str
    group: str
    resource: str = ""
    namespace: str = ""
    name: str = ""

    @staticmethod
    def of(request: Request, group: str, rest: list[str]) -> Attributes | None:
        """None for a path that is no resource's: the group version's own document."""
        watching = requests.asks_to_watch(request)
        if rest and rest[0] == "watch":
            rest, watching = rest[1:], True
        namespace = ""
        if len(rest) > 2 and rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        if not rest:
            return None
        name = rest[1] if len(rest) > 1 else ""
        resource = "/".join((rest[0], *rest[2:3]))
        return Attributes(_verb(request.method, named=bool(name), watching=watching), group, resource, namespace, name)


def _verb(method: str, *, named: bool, watching: bool) -> str:
    if method in ("GET", "HEAD"):
        return "watch" if watching else "get" if named else "list"
    if method == "DELETE" and not named:
        return "deletecollection"
    return _VERBS.get(method, method.lower())


class Proxy:
    """Passes requests on."""

    def __init__(self, api: Api, catalog: Catalog) -> None:
        self._api = api
        self._registrations = Registrations(api.feed.caches)
        self.availability = Availability(api, catalog)

    def service(self, path: str) -> apiregistration.APIService | None:
        """The APIService of the other server that a path is of."""
        parts = path.split("/")
        if len(parts) < 4 or parts[1] != "apis" or not parts[3]:
            return None
        return self._registrations.remote(parts[2], parts[3])

    async def pass_on(
        self, user: User, request: Request, exchange: Exchange, service: apiregistration.APIService
    ) -> None:
        """errors.Forbidden, errors.Unavailable."""
        self._allow(user, request)
        remote = self.availability.remote(service)
        target = quote(request.path, safe="/:@!$&'()*+,;=~-._%")
        if request.query:
            target += "?" + urlencode([(name, one) for name, values in request.query.items() for one in values])
        question = http.Question(request.method, target, list(_headers(request, user)), request.body)
        tls = backends.context(remote.identity)
        async with http.asked(remote.addresses, question, tls=tls, name=remote.name) as answer:
            if answer.status == 101:
                return await both_ways(answer, exchange)
            return await back(answer, exchange)

    def _allow(self, user: User, request: Request) -> None:
        authorizer = self._api.authorizer
        parts = [part for part in request.path.split("/") if part]
        found = Attributes.of(request, parts[1], parts[3:])
        if found is None:
            verb = "get" if request.method == "HEAD" else request.method.lower()
            if not authorizer.decides_path(user, verb, request.path):
                raise errors.Forbidden(f'forbidden: User "{user.name}" cannot {verb} path "{request.path}"')
            return
        if authorizer.decides(
            user, found.verb, found.group, found.resource, namespace=found.namespace, name=found.name
        ):
            return
        where = f'in the namespace "{found.namespace}"' if found.namespace else "at the cluster scope"
        what = f"{found.resource.partition('/')[0]}.{found.group}" + (f' "{found.name}"' if found.name else "")
        raise errors.Forbidden(
            f'{what} is forbidden: User "{user.name}" cannot {found.verb} resource "{found.resource}" in API group '
            f'"{found.group}" {where}'
        )


def _headers(request: Request, user: User) -> list[tuple[str, str]]:
    return [*passed_on(request), *requestheader.saying(user)]


def passed_on(request: Request) -> list[tuple[str, str]]:
    """A request's headers without what is between the client and this server only: its credentials, for one."""
    found = [
        (name, value)
        for name, value in request.lines
        if name not in _KEPT_BACK and not requestheader.is_one(name) and not name.startswith("impersonate-")
    ]
    if request.upgrade:
        return found + [(name, value) for name, value in request.lines if name in _UPGRADE]
    return [*found, ("Connection", "close")]


async def back(answer: http.Answer, exchange: Exchange) -> None:
    """What came, to the client, as it comes."""
    media = answer.header("content-type") or "application/octet-stream"
    kept = [
        (name, value)
        for name, value in answer.headers
        if name.lower() not in _KEPT_BACK and name.lower() != "content-type"
    ]
    length = answer.header("content-length")
    if answer.bodiless or (length.isdigit() and int(length) <= WHOLE_BYTES_MAX):
        body = await answer.whole(WHOLE_BYTES_MAX)
        return exchange.send(Answer(answer.status, body, media, kept))
    exchange.begin(media, kept, status=answer.status)
    async for piece in answer.pieces():
        await exchange.write(piece)
    return exchange.end()


async def both_ways(answer: http.Answer, exchange: Exchange) -> None:
    """Until one side ends. Who sends more than the other side takes waits."""
    arrived = asyncio.Event()
    ended = False

    def received(data: bytes) -> None:
        nonlocal ended
        if data:
            answer.writer.write(data)
            exchange.pause_reading()
        ended = ended or not data
        arrived.set()

    async def leave() -> None:
        while not ended:
            await arrived.wait()
            arrived.clear()
            await answer.writer.drain()
            exchange.resume_reading()

    async def come() -> None:
        if answer.ahead:
            await exchange.write_raw(answer.ahead)
        while data := await answer.reader.read(http.PIECE_BYTES):
            await exchange.write_raw(data)

    exchange.upgrade([(name, value) for name, value in answer.headers if name.lower() != "content-length"], received)
    sides = {asyncio.create_task(leave()), asyncio.create_task(come())}
    try:
        await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for side in sides:
            side.cancel()
        await asyncio.gather(*sides, return_exceptions=True)
