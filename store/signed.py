"""Signed tokens: JSON Web Tokens, which a member recognises by a key and stores nowhere.

    --auth-token jwt,sign-method=RS256,pub-key=FILE,priv-key=FILE,ttl=10m

Claims: username, revision (of users and roles when it was issued), exp. Imported only when asked for: it takes time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from raftsman.store import errors
from raftsman.store.mvcc.auth import Who

OPTIONS = ("sign-method", "pub-key", "priv-key", "ttl")
SIGN_METHODS = (*(f"{family}{bits}" for family in ("HS", "RS", "PS", "ES") for bits in (256, 384, 512)), "EdDSA")

KNOWN_MAX = 1_000
_UNCHECKED: Any = {f"verify_{claim}": False for claim in ("aud", "iat", "iss", "jti", "sub")}


@dataclass(frozen=True, slots=True)
class Keys:
    """`signing` is None with a public key alone: tokens are then issued elsewhere."""

    method: str
    signing: Any
    verifying: Any
    ttl_s: float


class Signed:
    """JSON Web Tokens. Without a private key they are only recognised: somebody else signs them."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._known: dict[str, tuple[Who, float]] = {}

    async def issue(self, user: str, revision: int) -> str:
        keys = self._keys
        if keys.signing is None:
            raise errors.invalid_request("tokens are signed elsewhere: this member has only their public key")
        claims = {"username": user, "revision": revision, "exp": int(time.time() + keys.ttl_s)}
        return jwt.encode(claims, keys.signing, keys.method)

    async def who(self, token: str) -> Who:
        """Remembers what it recognised: a signature takes longer to check than a key to read."""
        who, expires_s = self._known.get(token, (None, 0.0))
        if who is not None and time.time() < expires_s:
            return who
        who, expires_s = self._recognised(token)
        self._known[token] = who, expires_s
        while len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]
        return who

    def _recognised(self, token: str) -> tuple[Who, float]:
        """Raises invalid_auth_token."""
        try:
            claims = jwt.decode(token, self._keys.verifying, algorithms=[self._keys.method], options=_UNCHECKED)
        except jwt.PyJWTError:
            raise errors.invalid_auth_token() from None
        user, revision = claims.get("username"), claims.get("revision")
        if not isinstance(user, str) or type(revision) is not int or revision < 1:
            raise errors.invalid_auth_token()
        return Who(user, revision), float(claims.get("exp", math.inf))


def keys(options: Mapping[str, str], *, ttl_s: float) -> Keys:
    """The keys that `--auth-token jwt,…` names. Raises ValueError, never with what a file holds."""
    method = options.get("sign-method", "")
    if method not in SIGN_METHODS:
        raise ValueError(f"--auth-token: sign-method {method!r} is none of {', '.join(SIGN_METHODS)}")
    files = {name: _read(options[name]) for name in ("pub-key", "priv-key") if options.get(name)}
    if "priv-key" not in files and (method.startswith("HS") or not files):
        raise ValueError(f"--auth-token: {method} needs priv-key=FILE")
    algorithm = jwt.get_algorithm_by_name(method)
    try:
        signing = algorithm.prepare_key(files["priv-key"]) if "priv-key" in files else None
        if method.startswith("HS"):
            return Keys(method, signing, signing, ttl_s)
        given = algorithm.prepare_key(files["pub-key"]) if "pub-key" in files else None
        if signing is not None and not hasattr(signing, "public_key"):
            raise ValueError("priv-key holds a public key")
        verifying = signing.public_key() if signing is not None else given
    except (ValueError, TypeError, jwt.PyJWTError) as error:
        raise ValueError(f"--auth-token: the keys do not fit {method}: {error}") from None
    if given is not None and given != verifying:
        raise ValueError("--auth-token: pub-key and priv-key do not belong together")
    return Keys(method, signing, verifying, ttl_s)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"--auth-token: {path} cannot be read: {error.strerror}") from None
