"""Who sent a call: the connection's client certificate, else a service-account token, else nobody.

A certificate was verified when TLS began; a token that does not verify is errors.Unauthorized, never anonymous.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from raftsman import errors
from raftsman.services.apiserver.terminator import Peers

from .authorization import Authorizer
from .identity import ANONYMOUS, User
from .impersonation import PREFIX, impersonated
from .tokens import Tokens


class Authenticator:
    def __init__(self, peers: Peers, tokens: Tokens | None, authorizer: Authorizer) -> None:
        self._peers, self._tokens, self._authorizer = peers, tokens, authorizer

    async def __call__(self, context: Any) -> User:
        """Of a gRPC call."""
        metadata = context.invocation_metadata() or ()
        user = self._peers.user(context.peer())
        if user is None:
            token = next((value for key, value in metadata if key == "authorization"), "")
            user = await self._bearer(token) if token else ANONYMOUS
        return self._acting(user, metadata)

    async def identify(self, certified: User | None, headers: Mapping[str, str]) -> User:
        """Of a REST request: what its connection's certificate says, else its Authorization header."""
        user, token = certified, headers.get("authorization", "")
        if user is None:
            user = await self._bearer(token) if token else ANONYMOUS
        return self._acting(user, _one_by_one(headers))

    def _acting(self, user: User, headers: Iterable[tuple[str, str]]) -> User:
        """Somebody else, if the request asks for it and its sender may."""
        return impersonated(self._authorizer, user, headers)

    async def _bearer(self, header: str) -> User:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token or self._tokens is None:
            raise errors.Unauthorized("Unauthorized")
        return await self._tokens.verify(token.strip())


def _one_by_one(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Headers about impersonation; one that was sent several times has its values apart."""
    for name, value in headers.items():
        if name.startswith(PREFIX):
            for one in value.split(","):
                yield name, one.strip()
