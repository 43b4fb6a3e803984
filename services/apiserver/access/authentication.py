"""Who sent a call: the connection's client certificate, else a service account's or a bootstrap token, else nobody.

A front proxy says whom it passes a call on for. A certificate was verified when TLS began; a token that does not verify
is errors.Unauthorized, never anonymous. Who it is may ask to count as somebody else (impersonation).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raftsman import errors
from raftsman.services.apiserver.aggregation import requestheader
from raftsman.services.apiserver.terminator import Peers
from raftsman.services.apiserver.watchcache.kind_cache import KindCache

from . import bootstrap_tokens
from .authorization import Authorizer
from .identity import ANONYMOUS, FRONT_PROXY, User
from .impersonation import impersonated
from .tokens import Tokens


class Authenticator:
    def __init__(self, peers: Peers, tokens: Tokens | None, authorizer: Authorizer, *, secrets: KindCache) -> None:
        self._peers, self._tokens, self._authorizer, self._secrets = peers, tokens, authorizer, secrets

    async def __call__(self, context: Any) -> User:
        """Of a gRPC call."""
        return await self.identify(self._peers.user(context.peer()), context.invocation_metadata() or ())

    async def identify(self, certified: User | None, headers: Sequence[tuple[str, Any]]) -> User:
        """What the connection's certificate says, else the Authorization header; or who they may act as and do.

        A header that was sent several times stands there several times: a value may have commas of its own.
        """
        user = requestheader.told(headers) if certified is FRONT_PROXY else certified
        token = next((value for name, value in headers if name == "authorization"), "")
        if user is None:
            user = await self._bearer(token) if token else ANONYMOUS
        return impersonated(self._authorizer, user, headers)

    async def _bearer(self, header: str) -> User:
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() == "bearer" and bootstrap_tokens.is_one(token):
            return bootstrap_tokens.verify(self._secrets, token)
        if scheme.lower() != "bearer" or not token or self._tokens is None:
            raise errors.Unauthorized("Unauthorized")
        return await self._tokens.verify(token)
