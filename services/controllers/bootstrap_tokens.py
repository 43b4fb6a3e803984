"""Remove bootstrap tokens that have expired, and sign the cluster's public kubeconfig with those that are for that.

Reads Secret (of the type bootstrap.kubernetes.io/token in kube-system) and the ConfigMap kube-public/cluster-info;
deletes those Secrets, and writes `jws-kubeconfig-ID` of that ConfigMap: a detached JSON web signature (RFC 7515, HS256)
of its `kubeconfig`, by which a machine that knows a token trusts what it reads there. Where nobody made cluster-info,
nothing is signed.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Sequence

from raftsman import errors, logs, times
from raftsman.controller import Controller, Key, Result, Watch
from raftsman.core import v1 as core

NAMESPACE = "kube-system"
TYPE = "bootstrap.kubernetes.io/token"
INFO = Key("kube-public", "cluster-info")
_CONFIG, _SIGNATURE = "kubeconfig", "jws-kubeconfig-"
_NAME = "bootstrap-token-"
log = logs.get(__name__)


def expires_in_s(secret: core.Secret, *, now_s: float) -> float | None:
    """None: never. What cannot be read has passed."""
    text = _text(secret, "expiration")
    if not text:
        return None
    try:
        return times.parse_rfc3339(text)[0] - now_s
    except ValueError:
        return 0.0


def _text(secret: core.Secret, key: str) -> str:
    return secret.data.get(key, b"").decode("utf-8", "replace")


def signed(config: str, token_id: str, token_secret: str) -> str:
    """The detached signature: header, nothing, signature."""
    header = _url(json.dumps({"alg": "HS256", "kid": token_id}, separators=(",", ":")).encode())
    body = f"{header}.{_url(config.encode())}".encode()
    return f"{header}..{_url(hmac.new(token_secret.encode(), body, hashlib.sha256).digest())}"


def _url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decide(info: core.ConfigMap | None, secrets: Sequence[core.Secret], *, now_s: float) -> core.ConfigMap | None:
    """The ConfigMap to store, or None."""
    if info is None or _CONFIG not in info.data:
        return None
    wanted = core.ConfigMap()
    wanted.CopyFrom(info)
    for key in [key for key in info.data if key.startswith(_SIGNATURE)]:
        del wanted.data[key]
    for secret in secrets:
        left = expires_in_s(secret, now_s=now_s)
        if _text(secret, "usage-bootstrap-signing") != "true" or (left is not None and left <= 0):
            continue
        token_id, token_secret = _text(secret, "token-id"), _text(secret, "token-secret")
        if token_id and token_secret and secret.metadata.name == f"{_NAME}{token_id}":
            wanted.data[f"{_SIGNATURE}{token_id}"] = signed(info.data[_CONFIG], token_id, token_secret)
    return None if wanted == info else wanted


def _tokens() -> Watch:
    return Watch(core.Secret, namespace=NAMESPACE, field_selector=f"type={TYPE}")


class TokenCleaner(Controller):
    name = "token-cleaner"
    watches = (_tokens(),)

    async def reconcile(self, key: Key) -> Result | None:
        found = self.cache(core.Secret).get(key)
        left = expires_in_s(found, now_s=time.time()) if found is not None else None
        if found is None or left is None:
            return None
        if left > 0:
            return Result(left)
        log.info("expired bootstrap token removed", secret=key)
        with contextlib.suppress(errors.NotFound):
            await self.client.delete(core.Secret, key.name, namespace=key.namespace, uid=found.metadata.uid)
        return None


class BootstrapSigner(Controller):
    name = "bootstrap-signer"

    def __init__(self) -> None:
        tokens = _tokens()
        self.watches = (
            Watch(tokens.message, key=_info, namespace=tokens.namespace, field_selector=tokens.field_selector),
            Watch(core.ConfigMap, namespace=INFO.namespace, field_selector=f"metadata.name={INFO.name}"),
        )

    async def reconcile(self, key: Key) -> None:
        secrets = self.cache(core.Secret).list()
        wanted = decide(self.cache(core.ConfigMap).get(key), secrets, now_s=time.time())
        if wanted is not None:
            log.info("cluster-info signed", tokens=sum(name.startswith(_SIGNATURE) for name in wanted.data))
            await self.client.update(wanted)


def _info(_: core.Secret) -> Iterable[Key]:
    return (INFO,)
