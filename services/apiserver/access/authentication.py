"""Who sent a call: the connection's client certificate, else a service-account token, else nobody.

A certificate was verified when TLS began; a token that does not verify is errors.Unauthorized, never anonymous.
"""

from __future__ import annotations

from typing import Any

from raftsman import errors
from raftsman.services.apiserver.terminator import Peers

from .identity import ANONYMOUS, User
from .tokens import Tokens


class Authenticator:
    def __init__(self, peers: Peers, tokens: Tokens | None) -> None:
        self._peers, self._tokens = peers, tokens

    async def __call__(self, context: Any) -> User:
        """Of a gRPC call."""
        user = self._peers.user(context.peer())
        if user is not None:
            return user
        for key, value in context.invocation_metadata() or ():
            if key == "authorization":
                return await self._bearer(value)
        return ANONYMOUS

    async def identify(self, certified: User | None, authorization: str) -> User:
        """Of a REST request: what its connection's certificate says, else its Authorization header."""
        if certified is not None:
            return certified
        return await self._bearer(authorization) if authorization else ANONYMOUS

    async def _bearer(self, header: str) -> User:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token or self._tokens is None:
            raise errors.Unauthorized("Unauthorized")
        return await self._tokens.verify(token.strip())
