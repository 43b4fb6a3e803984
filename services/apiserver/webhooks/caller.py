"""Asks a webhook: one POST of JSON over HTTPS, connections kept and reused.

Bounds: CONNECTIONS_MAX at once, CONNECTIONS_PER_HOST_MAX to one server (who comes later waits, within its own
time-out), ANSWER_BYTES_MAX of an answer, CONTEXTS_MAX sets of trusted authorities. A kept connection that turns out to
be closed is not the webhook's failure: the question is asked once more.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import socket
import ssl
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson
from raftsman.services.apiserver.watchcache.kind_cache import KindCache

from .endpoints import DEFAULT_PORT, Services, Unreachable

if TYPE_CHECKING:
    import aiohttp

CONNECTIONS_MAX = 256
CONNECTIONS_PER_HOST_MAX = 64
ANSWER_BYTES_MAX = 8 << 20
CONTEXTS_MAX = 128
TIMEOUT_DEFAULT_S = 10
KEEP_ALIVE_S = 30.0
_PIECE_BYTES = 64 << 10


class Failed(Exception):
    """The webhook could not be asked, or gave no answer that can be read; says why."""


class Caller:
    """Made once; its connections are opened when somebody is asked."""

    def __init__(self, caches: Mapping[str, KindCache]) -> None:
        self._services = Services(caches)
        self._contexts: OrderedDict[bytes, ssl.SSLContext] = OrderedDict()
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, config: Any, question: Mapping[str, Any], *, timeout_s: float) -> Any:
        """The JSON of the answer. `config`: a WebhookClientConfig, of admission or of conversion. Raises Failed."""
        import aiohttp

        body = orjson.dumps(question)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._asked(config, body)
        except TimeoutError:
            raise Failed(f"context deadline exceeded: no answer in {timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, Unreachable, ValueError) as error:
            raise Failed(str(error) or type(error).__name__) from error

    async def _asked(self, config: Any, body: bytes) -> Any:
        import aiohttp

        url = _url(config)
        context = self._context(config.ca_bundle)
        try:
            return await self._posted(url, body, context)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if isinstance(error, aiohttp.ClientConnectorError):
                raise
            return await self._posted(url, body, context)

    async def _posted(self, url: str, body: bytes, context: ssl.SSLContext) -> Any:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        session = self._opened()
        async with session.post(url, data=body, headers=headers, ssl=context, allow_redirects=False) as response:
            data = bytearray()
            async for piece in response.content.iter_chunked(_PIECE_BYTES):
                data += piece
                if len(data) > ANSWER_BYTES_MAX:
                    raise ValueError(f"the answer has more than {ANSWER_BYTES_MAX} bytes")
            if response.status != 200:
                raise ValueError(f"the server answered {response.status} {response.reason}")
            return orjson.loads(bytes(data))

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            connector = aiohttp.TCPConnector(
                limit=CONNECTIONS_MAX, limit_per_host=CONNECTIONS_PER_HOST_MAX, keepalive_timeout=KEEP_ALIVE_S,
                resolver=_resolver(self._services), use_dns_cache=False,
            )  # fmt: skip
            self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        return self._session

    def _context(self, bundle: bytes) -> ssl.SSLContext:
        """Of what the configuration trusts; the machine's authorities if it names none. ValueError, ssl.SSLError."""
        key = hashlib.sha256(bundle).digest()
        found = self._contexts.get(key)
        if found is None:
            found = ssl.create_default_context(cadata=bundle.decode() if bundle else None)
            self._contexts[key] = found
            if len(self._contexts) > CONTEXTS_MAX:
                self._contexts.popitem(last=False)
        self._contexts.move_to_end(key)
        return found


def _url(config: Any) -> str:
    if config.url:
        return str(config.url)
    service = config.service
    host = f"{service.name}.{service.namespace}.svc"
    return f"https://{host}:{service.port or DEFAULT_PORT}{_path(service.path)}"


def _path(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _resolver(services: Services) -> Any:
    """Services by their endpoints, all else as the machine does; the host name stays the one that TLS checks."""
    from aiohttp.abc import AbstractResolver, ResolveResult
    from aiohttp.resolver import ThreadedResolver

    class Resolver(AbstractResolver):
        def __init__(self) -> None:
            self._others = ThreadedResolver()

        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            parts = host.split(".")
            if len(parts) != 3 or parts[2] != "svc":
                return await self._others.resolve(host, port, family)
            addresses = services.addresses(parts[1], parts[0], port)
            if not _is_address(addresses[0][0]):
                # Outside the cluster, by name.
                return await self._others.resolve(*addresses[0], family)
            return [
                ResolveResult(
                    hostname=host,
                    host=address,
                    port=target,
                    proto=0,
                    flags=socket.AI_NUMERICHOST,
                    family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                )
                for address, target in addresses
            ]

        async def close(self) -> None:
            await self._others.close()

    return Resolver()
