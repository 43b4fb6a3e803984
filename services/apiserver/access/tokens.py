"""Service-account tokens: JSON web tokens that this cluster signs and verifies.

A token names its service account, may be bound to a pod or a secret, and is good only while those exist with the same
uid, for one of its audiences, until it expires (RFC 7519; KEP-1205). Verified tokens are remembered, VERIFIED_MAX of
them, and what they are bound to is looked up on every call.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raftsman import errors

from .identity import AUTHENTICATED, User

VERIFIED_MAX = 4096
LEEWAY_S = 30
EXPIRATION_MIN_S = 600
EXPIRATION_MAX_S = 1 << 32
_ALGORITHMS = ("RS256", "ES256")

# Whether (plural, namespace, name, uid) exists.
Exists = Callable[[str, str, str, str], bool]


@dataclass(frozen=True, slots=True)
class Bound:
    """What a token stands and falls with: the plural of its kind, its name and uid."""

    resource: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class _Verified:
    user: User
    namespace: str
    bounds: tuple[Bound, ...]
    expires: float
    audiences: tuple[str, ...]


class Tokens:
    """Signs and verifies. Keys are PEM files; signing needs the private one."""

    def __init__(self, *, issuer: str, key_file: str, signing_key_file: str, exists: Exists) -> None:
        self.issuer = issuer
        self._key_file, self._signing_key_file, self._exists = key_file, signing_key_file, exists
        self._verified: OrderedDict[str, _Verified] = OrderedDict()
        self._keys: dict[tuple[str, bool], tuple[Any, str]] = {}

    def issue(
        self,
        account: Bound,
        *,
        namespace: str,
        audiences: tuple[str, ...],
        lifetime_s: int,
        pod: Bound | None = None,
        secret: Bound | None = None,
    ) -> tuple[str, int]:
        """The signed token and its expiry, in seconds since the epoch."""
        import jwt

        if not self._signing_key_file:
            raise errors.MethodNotSupported("tokens are not issued: no --service-account-signing-key-file")
        now = int(time.time())
        private: dict[str, Any] = {
            "namespace": namespace, "serviceaccount": {"name": account.name, "uid": account.uid},
        }  # fmt: skip
        for word, bound in (("pod", pod), ("secret", secret)):
            if bound is not None:
                private[word] = {"name": bound.name, "uid": bound.uid}
        claims = {
            "iss": self.issuer, "sub": f"system:serviceaccount:{namespace}:{account.name}",
            "aud": list(audiences or (self.issuer,)), "iat": now, "nbf": now, "exp": now + lifetime_s,
            "kubernetes.io": private,
        }  # fmt: skip
        key, algorithm = self._key(self._signing_key_file, private=True)
        return jwt.encode(claims, key, algorithm=algorithm), now + lifetime_s

    async def verify(self, token: str) -> User:
        """errors.Unauthorized unless the token is good now."""
        found = self._verified.get(token)
        if found is None:
            found = self._decoded(token)
            self._verified[token] = found
            if len(self._verified) > VERIFIED_MAX:
                self._verified.popitem(last=False)
        if time.time() > found.expires + LEEWAY_S:
            self._verified.pop(token, None)
            raise errors.Unauthorized("Unauthorized: the token has expired")
        for bound in found.bounds:
            if not self._exists(bound.resource, found.namespace, bound.name, bound.uid):
                self._verified.pop(token, None)
                raise errors.Unauthorized(f"Unauthorized: the token's {bound.resource} {bound.name} is gone")
        return found.user

    async def review(self, token: str, audiences: tuple[str, ...]) -> tuple[User, tuple[str, ...]]:
        """Whose a token for any of `audiences` (none: this server's) is, and which of them it has.

        errors.Unauthorized unless it is good now.
        """
        if not audiences:
            return await self.verify(token), (self.issuer,)
        found = self._decoded(token, audiences)
        if not all(self._exists(one.resource, found.namespace, one.name, one.uid) for one in found.bounds):
            raise errors.Unauthorized("Unauthorized: what the token is bound to is gone")
        return found.user, tuple(one for one in audiences if one in found.audiences)

    def _decoded(self, token: str, audiences: tuple[str, ...] = ()) -> _Verified:
        import jwt

        if not self._key_file:
            raise errors.Unauthorized("Unauthorized")
        key, algorithm = self._key(self._key_file, private=False)
        try:
            claims = jwt.decode(
                token, key, algorithms=[algorithm], audience=audiences or self.issuer, issuer=self.issuer,
                leeway=LEEWAY_S, options={"require": ["exp", "iss", "sub", "aud"]},
            )  # fmt: skip
            return _read(claims)
        except (jwt.InvalidTokenError, KeyError, TypeError, AttributeError) as error:
            raise errors.Unauthorized(f"Unauthorized: {type(error).__name__}") from None

    def _key(self, path: str, *, private: bool) -> tuple[Any, str]:
        if (path, private) not in self._keys:
            from cryptography.hazmat.primitives import serialization
            from cryptography.hazmat.primitives.asymmetric import rsa

            data = Path(path).read_bytes()
            key: Any
            if private or b"PRIVATE KEY" in data:
                key = serialization.load_pem_private_key(data, None)
                key = key if private else key.public_key()
            else:
                key = serialization.load_pem_public_key(data)
            is_rsa = isinstance(key, (rsa.RSAPrivateKey, rsa.RSAPublicKey))
            self._keys[path, private] = (key, _ALGORITHMS[0] if is_rsa else _ALGORITHMS[1])
        return self._keys[path, private]


def _read(claims: dict[str, Any]) -> _Verified:
    private = claims["kubernetes.io"]
    namespace, account = private["namespace"], private["serviceaccount"]
    name = f"system:serviceaccount:{namespace}:{account['name']}"
    if claims["sub"] != name:
        raise KeyError("sub")
    bounds = [Bound("serviceaccounts", account["name"], account["uid"])]
    extra: dict[str, tuple[str, ...]] = {}
    for word, resource in (("pod", "pods"), ("secret", "secrets")):
        if word in private:
            bounds.append(Bound(resource, private[word]["name"], private[word]["uid"]))
            extra[f"authentication.kubernetes.io/{word}-name"] = (private[word]["name"],)
            extra[f"authentication.kubernetes.io/{word}-uid"] = (private[word]["uid"],)
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    user = User(name, groups, account["uid"], extra)
    return _Verified(user, namespace, tuple(bounds), float(claims["exp"]), tuple(claims["aud"]))
