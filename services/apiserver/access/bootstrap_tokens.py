"""Bootstrap tokens: `ID.SECRET`, by which a machine that has nothing else yet shows that it may ask to join.

Each is a Secret of the type bootstrap.kubernetes.io/token in kube-system, called bootstrap-token-ID. It counts while it
is there, has not expired and is meant for authentication, and makes its bearer system:bootstrap:ID in the group
system:bootstrappers and those that it names. Looked up on every call, by name, in the watch cache.
"""

from __future__ import annotations

import hmac
import re
import time

from raftsman import errors, times
from raftsman.core import v1 as core
from raftsman.services.apiserver.watchcache.kind_cache import KindCache

from .identity import AUTHENTICATED, User

TYPE = "bootstrap.kubernetes.io/token"
NAMESPACE = "kube-system"
GROUP = "system:bootstrappers"
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")


def is_one(token: str) -> bool:
    """Whether a token has the form of one."""
    return _TOKEN.fullmatch(token) is not None


def verify(secrets: KindCache, token: str) -> User:
    """errors.Unauthorized, without telling why, unless the token is good now."""
    parts = _TOKEN.fullmatch(token)
    found = secrets.get(NAMESPACE, f"bootstrap-token-{parts[1]}") if parts else None
    user = _user(found.parsed(), parts[1], parts[2]) if parts and found is not None else None
    if user is None:
        raise errors.Unauthorized("Unauthorized")
    return user


def _user(secret: core.Secret, token_id: str, token_secret: str) -> User | None:
    data = secret.data
    if secret.type != TYPE or secret.metadata.HasField("deletion_timestamp"):
        return None
    same = hmac.compare_digest(data.get("token-secret", b""), token_secret.encode())
    if not same or _text(secret, "token-id") != token_id or _text(secret, "usage-bootstrap-authentication") != "true":
        return None
    if has_expired(secret, now_s=time.time()):
        return None
    extra = [one.strip() for one in _text(secret, "auth-extra-groups").split(",") if one.strip()]
    if not all(_GROUP.fullmatch(one) for one in extra):
        return None
    return User(f"system:bootstrap:{token_id}", (GROUP, *dict.fromkeys(extra), AUTHENTICATED))


def has_expired(secret: core.Secret, *, now_s: float) -> bool:
    """An expiration that cannot be read has passed; none never does."""
    text = _text(secret, "expiration")
    if not text:
        return False
    try:
        return times.parse_rfc3339(text)[0] <= now_s
    except ValueError:
        return True


def _text(secret: core.Secret, key: str) -> str:
    return secret.data.get(key, b"").decode("utf-8", "replace")
