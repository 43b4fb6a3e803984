"""Tokens: what a user who gave his password once shows from then on. No log ever holds one.

`--auth-token simple`: random; its digest goes through Raft's log, so every member knows it. It lives `ttl_s` from its
last use at a member, by that member's monotonic clock; what a restarted member knows of its age is when it was issued.
`--auth-token jwt,…`: see `signed`.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec
from raftsman.store import apply_auth, errors
from raftsman.store.commands import Kind
from raftsman.store.mvcc.auth import NOBODY, TOKENS_MAX, Who
from raftsman.store.raft import clock
from raftsman.store.replica import Replica

if TYPE_CHECKING:
    from raftsman.store import signed

TTL_S = 300.0
BCRYPT_COST_MIN, BCRYPT_COST, BCRYPT_COST_MAX = 4, 10, 31
WAIT_S = 1.0
"""How long a member waits for the entry that a token came from, when it is behind the one that issued it."""
LOOK_S = 0.02
INDEX_DIGITS_MAX = 19


class Tokens(Protocol):
    """Issues and recognises tokens."""

    async def issue(self, user: str, revision: int) -> str:
        """A token for a user whose password was right at an auth revision. Raises StoreError."""

    async def who(self, token: str) -> Who:
        """Raises invalid_auth_token."""


class Simple:
    """Random tokens: PREFIX.INDEX, the index being that of a log entry that knows the prefix's digest."""

    def __init__(self, replica: Replica, *, ttl_s: float, wall: Callable[[], float] = time.time) -> None:
        self._replica = replica
        self._ttl_s = ttl_s
        self._wall = wall
        self._used: dict[bytes, float] = {}

    async def issue(self, user: str, revision: int) -> str:
        prefix = secrets.token_hex(16)
        payload = apply_auth.Authentication(user, _digest(prefix), int(self._wall()), revision)
        await self._replica.propose(Kind.AUTHENTICATE, msgspec.msgpack.encode(payload), who=NOBODY)
        return f"{prefix}.{self._replica.applied}"

    async def who(self, token: str) -> Who:
        prefix, _, index = token.partition(".")
        digest = _digest(prefix)
        if digest not in self._replica.state.auth.tokens and index.isdecimal() and len(index) <= INDEX_DIGITS_MAX:
            await self._applied(int(index))
        auth = self._replica.state.auth
        known = auth.tokens.get(digest)
        if known is None or not self._lives(digest, known.issued_s):
            raise errors.invalid_auth_token()
        return Who(known.user, auth.revision)

    async def _applied(self, index: int) -> None:
        """Wait for an entry. Looked at, not waited for: an index that somebody made up leaves nothing behind."""
        deadline = clock.now() + WAIT_S
        while self._replica.applied < index and clock.now() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)

    def _lives(self, digest: bytes, issued_s: int) -> bool:
        """Whether a token may still be used; if so, its time starts again."""
        now = clock.now()
        last = self._used.get(digest)
        age_s = max(0.0, self._wall() - issued_s) if last is None else now - last
        if age_s > self._ttl_s:
            return False
        self._used[digest] = now
        if len(self._used) > 2 * TOKENS_MAX:
            known = self._replica.state.auth.tokens
            self._used = {each: used for each, used in self._used.items() if each in known}
        return True


def _digest(prefix: str) -> bytes:
    return hashlib.sha256(prefix.encode()).digest()


@dataclass(frozen=True, slots=True)
class Settings:
    """How users show who they are. `keys` is None for simple tokens."""

    ttl_s: float = TTL_S
    bcrypt_cost: int = BCRYPT_COST
    keys: signed.Keys | None = None


def make(settings: Settings, replica: Replica) -> Tokens:
    if settings.keys is None:
        return Simple(replica, ttl_s=settings.ttl_s)
    from raftsman.store import signed

    return signed.Signed(settings.keys)


def parse(text: str, *, duration: Callable[[str], float]) -> signed.Keys | None:
    """Read `--auth-token`: the keys of signed tokens, None for simple ones. Raises ValueError."""
    kind, *parts = text.split(",")
    if kind == "simple" and not parts:
        return None
    if kind != "jwt":
        raise ValueError(f"--auth-token: {text!r} is neither simple nor jwt,sign-method=METHOD,priv-key=FILE,…")
    from raftsman.store import signed

    options: dict[str, str] = {}
    for part in parts:
        name, separator, value = part.partition("=")
        if not separator or name in options or name not in signed.OPTIONS:
            raise ValueError(f"--auth-token: {part!r} is no option, or one too many")
        options[name] = value
    return signed.keys(options, ttl_s=duration(options["ttl"]) if "ttl" in options else TTL_S)
