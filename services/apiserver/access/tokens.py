"""Service-account tokens: JSON web tokens that this cluster signs and verifies.

A token names its service account, may be bound to a pod, a secret or a node, and is good only while those exist with
the same uid, for one of its audiences, until it expires (RFC 7519; KEP-1205, KEP-4193). Verified tokens are remembered,
VERIFIED_MAX of them, and what they are bound to is looked up on every call. Others find the keys by OpenID discovery.
"""

from __future__ import annotations

import base64
import hashlib
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raftsman import errors

from .identity import AUTHENTICATED, User

VERIFIED_MAX = 4096
LEEWAY_S = 30
EXPIRATION_MIN_S = 600
EXPIRATION_MAX_S = 1 << 32
_EXTRA = "authentication.kubernetes.io/"
_RESOURCES = {"pod": "pods", "secret": "secrets", "node": "nodes"}
"""What a token may be bound to, by the word of its claim."""

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


@dataclass(frozen=True, slots=True)
class _Key:
    """One of a pair, or both: `private` is None where tokens are only verified. `id` is the key's `kid`."""

    private: Any
    public: Any
    algorithm: str
    id: str


class Tokens:
    """Signs and verifies. Keys are PEM files; signing needs the private one, verifying takes the public one too."""

    def __init__(self, *, issuer: str, key_files: Sequence[str], signing_key_file: str, exists: Exists) -> None:
        """OSError and ValueError for a file that holds no key."""
        self.issuer = issuer
        self._exists = exists
        self._verified: OrderedDict[str, _Verified] = OrderedDict()
        self._signing = _load(signing_key_file) if signing_key_file else None
        found = [_load(path) for path in key_files] or ([self._signing] if self._signing else [])
        self._keys = {key.id: key for key in found}

    def issue(
        self, account: Bound, *, namespace: str, audiences: tuple[str, ...], lifetime_s: int,
        bounds: Mapping[str, Bound],
    ) -> tuple[str, int]:  # fmt: skip
        """The signed token and its expiry, in seconds since the epoch. `bounds`: pod, secret, node by those words."""
        import jwt

        if self._signing is None or self._signing.private is None:
            raise errors.MethodNotSupported("tokens are not issued: no --service-account-signing-key-file")
        now = int(time.time())
        private: dict[str, Any] = {
            "namespace": namespace, "serviceaccount": {"name": account.name, "uid": account.uid},
            **{word: {"name": bound.name, "uid": bound.uid} for word, bound in bounds.items()},
        }  # fmt: skip
        claims = {
            "iss": self.issuer, "sub": f"system:serviceaccount:{namespace}:{account.name}",
            "aud": list(audiences or (self.issuer,)), "iat": now, "nbf": now, "exp": now + lifetime_s,
            "jti": str(uuid.uuid4()), "kubernetes.io": private,
        }  # fmt: skip
        key = self._signing
        token = jwt.encode(claims, key.private, algorithm=key.algorithm, headers={"kid": key.id})
        return token, now + lifetime_s

    def key_set(self) -> dict[str, Any]:
        """The public keys as a JSON web key set (RFC 7517)."""
        import jwt

        writers: dict[str, Any] = {"RS256": jwt.algorithms.RSAAlgorithm, "ES256": jwt.algorithms.ECAlgorithm}
        return {
            "keys": [
                {"use": "sig", "kid": key.id, "alg": key.algorithm}
                | {
                    name: value
                    for name, value in writers[key.algorithm].to_jwk(key.public, as_dict=True).items()
                    if name != "key_ops"
                }
                for key in self._keys.values()
            ]
        }

    def discovery(self, jwks_uri: str) -> dict[str, Any]:
        """The issuer's OpenID provider configuration."""
        return {
            "issuer": self.issuer,
            "jwks_uri": jwks_uri,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": sorted({key.algorithm for key in self._keys.values()}),
        }

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
            if not self._is_there(bound, found.namespace):
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
        if not all(self._is_there(one, found.namespace) for one in found.bounds):
            raise errors.Unauthorized("Unauthorized: what the token is bound to is gone")
        return found.user, tuple(one for one in audiences if one in found.audiences)

    def _is_there(self, bound: Bound, namespace: str) -> bool:
        return self._exists(bound.resource, "" if bound.resource == "nodes" else namespace, bound.name, bound.uid)

    def _decoded(self, token: str, audiences: tuple[str, ...] = ()) -> _Verified:
        import jwt

        try:
            named = jwt.get_unverified_header(token).get("kid")
            keys = [self._keys[named]] if named in self._keys else list(self._keys.values())
            for key in keys[:-1]:
                try:
                    return self._decoded_by(key, token, audiences)
                except jwt.InvalidSignatureError:
                    continue
            if not keys:
                raise errors.Unauthorized("Unauthorized")
            return self._decoded_by(keys[-1], token, audiences)
        except (jwt.InvalidTokenError, KeyError, TypeError, AttributeError) as error:
            raise errors.Unauthorized(f"Unauthorized: {type(error).__name__}") from None

    def _decoded_by(self, key: _Key, token: str, audiences: tuple[str, ...]) -> _Verified:
        import jwt

        claims = jwt.decode(
            token, key.public, algorithms=[key.algorithm], audience=audiences or self.issuer, issuer=self.issuer,
            leeway=LEEWAY_S, options={"require": ["exp", "iss", "sub", "aud"]},
        )  # fmt: skip
        return _read(claims)


def _load(path: str) -> _Key:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    data = Path(path).read_bytes()
    private: Any = serialization.load_pem_private_key(data, None) if b"PRIVATE KEY" in data else None
    public: Any = private.public_key() if private is not None else serialization.load_pem_public_key(data)
    if isinstance(public, rsa.RSAPublicKey):
        algorithm = "RS256"
    elif isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
        algorithm = "ES256"
    else:
        raise ValueError(f"{path}: tokens are signed with an RSA or a P-256 key")
    encoded = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    key_id = base64.urlsafe_b64encode(hashlib.sha256(encoded).digest()).rstrip(b"=").decode()
    return _Key(private, public, algorithm, key_id)


def _read(claims: dict[str, Any]) -> _Verified:
    private = claims["kubernetes.io"]
    namespace, account = private["namespace"], private["serviceaccount"]
    name = f"system:serviceaccount:{namespace}:{account['name']}"
    if claims["sub"] != name:
        raise KeyError("sub")
    bounds = [Bound("serviceaccounts", account["name"], account["uid"])]
    extra: dict[str, tuple[str, ...]] = {}
    for word in filter(private.__contains__, _RESOURCES):
        found = Bound(_RESOURCES[word], private[word]["name"], private[word]["uid"])
        # A pod's token also tells the node, and goes on without it.
        if word != "node" or "pod" not in private:
            bounds.append(found)
        extra[f"{_EXTRA}{word}-name"], extra[f"{_EXTRA}{word}-uid"] = (found.name,), (found.uid,)
    if claims.get("jti"):
        extra[f"{_EXTRA}credential-id"] = (f"JTI={claims['jti']}",)
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    user = User(name, groups, account["uid"], extra)
    return _Verified(user, namespace, tuple(bounds), float(claims["exp"]), tuple(claims["aud"]))
