"""Service-account tokens for pods: asked for once, kept in memory, renewed at 80 % of their life."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from raftsman import times
from raftsman.authentication import v1 as authentication
from raftsman.client import Client
from raftsman.core import v1 as core

from .content import TokenKey, token_keys

RENEW_AT = 0.8
AGE_MAX_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Token:
    value: str
    renew_at: datetime


class Tokens:
    """One pod's tokens by what they were asked for."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._tokens: dict[tuple[str, TokenKey], Token] = {}

    async def acquire(self, pod: core.Pod) -> None:
        """Get what the pod asks for and does not have, or has for too long. An ApiError if the API refuses."""
        now = datetime.now(UTC)
        for key in token_keys(pod):
            held = self._tokens.get((pod.metadata.uid, key))
            if held is None or held.renew_at <= now:
                self._tokens[pod.metadata.uid, key] = await self._request(pod, key, now)

    def get(self, uid: str, key: TokenKey) -> str:
        return self._tokens[uid, key].value

    def renew_at(self, uid: str) -> datetime | None:
        """When the pod's next token is due."""
        return min((token.renew_at for (owner, _), token in self._tokens.items() if owner == uid), default=None)

    def release(self, uid: str) -> None:
        for key in [key for key in self._tokens if key[0] == uid]:
            del self._tokens[key]

    async def _request(self, pod: core.Pod, key: TokenKey, now: datetime) -> Token:
        bound = authentication.BoundObjectReference(
            kind="Pod", api_version="v1", name=pod.metadata.name, uid=pod.metadata.uid
        )
        answer = await self._client.create_token(
            key.service_account,
            namespace=pod.metadata.namespace,
            audiences=(key.audience,) if key.audience else (),
            expiration_s=key.expiration_s,
            bound_to=bound,
        )
        expires = times.to_datetime(answer.status.expiration_timestamp)
        life_s = min((expires - now).total_seconds() * RENEW_AT, AGE_MAX_S)
        return Token(answer.status.token, now + timedelta(seconds=max(life_s, 60.0)))
