"""Bootstrap tokens go when they have expired, and sign what everybody may read."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from raftsman.core import v1 as core
from raftsman.services.controllers import bootstrap_tokens
from raftsman.services.controllers.bootstrap_tokens import BootstrapSigner, TokenCleaner

from .running import eventually, running

NOW_S = 1_795_435_200.0


def a_token(token_id: str = "abcdef", **change: str) -> core.Secret:
    found = core.Secret(type=bootstrap_tokens.TYPE)
    found.metadata.namespace, found.metadata.name = "kube-system", f"bootstrap-token-{token_id}"
    facts = {"token-id": token_id, "token-secret": "0123456789abcdef", "usage-bootstrap-signing": "true", **change}
    for key, value in facts.items():
        found.data[key] = value.encode()
    return found


def an_info(**data: str) -> core.ConfigMap:
    found = core.ConfigMap(data={"kubeconfig": "the way in", **data})
    found.metadata.namespace, found.metadata.name = bootstrap_tokens.INFO.namespace, bootstrap_tokens.INFO.name
    return found


def test_every_good_token_signs_and_old_signatures_go() -> None:
    old = {"jws-kubeconfig-zzzzzz": "old"}
    expired = a_token("bbbbbb", expiration="2020-01-01T00:00:00Z")
    silent = a_token("cccccc", **{"usage-bootstrap-signing": "false"})
    made = bootstrap_tokens.decide(an_info(**old), [a_token(), expired, silent], now_s=NOW_S)
    assert made is not None
    assert set(made.data) == {"kubeconfig", "jws-kubeconfig-abcdef"}
    header, nothing, signature = made.data["jws-kubeconfig-abcdef"].split(".")
    assert (nothing, base64.urlsafe_b64decode(header + "==")) == ("", b'{"alg":"HS256","kid":"abcdef"}')
    body = header + "." + base64.urlsafe_b64encode(b"the way in").rstrip(b"=").decode()
    expected = hmac.new(b"0123456789abcdef", body.encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64decode(signature + "=") == expected
    assert bootstrap_tokens.decide(made, [a_token()], now_s=NOW_S) is None
    assert bootstrap_tokens.decide(None, [a_token()], now_s=NOW_S) is None


def test_what_cannot_be_read_has_expired() -> None:
    assert bootstrap_tokens.expires_in_s(a_token(), now_s=NOW_S) is None
    assert bootstrap_tokens.expires_in_s(a_token(expiration="soon"), now_s=NOW_S) == 0
    later = a_token(expiration="2999-01-01T00:00:00Z")
    assert (bootstrap_tokens.expires_in_s(later, now_s=NOW_S) or 0) > 0


async def test_expired_tokens_are_removed_and_others_sign(fake_api: Any) -> None:
    await fake_api.put(an_info())
    await fake_api.put(a_token("bbbbbb", expiration="2020-01-01T00:00:00Z"))
    await fake_api.put(a_token())
    async with running(fake_api, TokenCleaner(), BootstrapSigner()):
        await eventually(lambda: not fake_api.find(core.Secret, "bootstrap-token-bbbbbb", "kube-system"))
        await eventually(
            lambda: "jws-kubeconfig-abcdef" in fake_api.find(core.ConfigMap, "cluster-info", "kube-public").data
        )
    assert fake_api.find(core.Secret, "bootstrap-token-abcdef", "kube-system")
