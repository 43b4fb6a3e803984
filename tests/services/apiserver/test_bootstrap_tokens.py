"""Bootstrap tokens: whoever has a good one may ask for a node's certificate, and nothing more."""

from __future__ import annotations

import secrets

import pytest
from raftsman import errors
from raftsman.authentication import v1 as authentication
from raftsman.core import v1 as core

from .cluster import Api, ApiServerProcess
from .test_certificates import a_request, pem

JOINING = "system:bootstrappers:kubeadm:default-node-token"
KUBELET = "kubernetes.io/kube-apiserver-client-kubelet"


def a_secret(**change: str) -> tuple[core.Secret, str]:
    """(the secret, its token)."""
    token_id, token_secret = secrets.token_hex(3), secrets.token_hex(8)
    found = core.Secret(type="bootstrap.kubernetes.io/token")
    found.metadata.namespace, found.metadata.name = "kube-system", f"bootstrap-token-{token_id}"
    facts = {
        "token-id": token_id, "token-secret": token_secret, "usage-bootstrap-authentication": "true",
        "auth-extra-groups": JOINING,
    } | {key.replace("_", "-"): value for key, value in change.items()}  # fmt: skip
    for key, value in facts.items():
        found.string_data[key] = value
    return found, f"{token_id}.{token_secret}"


async def test_its_bearer_asks_for_a_certificate_and_does_nothing_else(api: Api, server: ApiServerProcess) -> None:
    secret, token = a_secret(expiration="2999-01-01T00:00:00Z")
    await api.create(secret)
    await api.list(core.Secret, namespace="kube-system")  # the server knows of it now
    async with server.client("", token=token) as joining:
        body = pem("system:node:n1", "system:nodes")
        stored = await joining.create(a_request(signer=KUBELET, body=body))
        assert stored.spec.username == f"system:bootstrap:{token[:6]}"
        assert list(stored.spec.groups) == ["system:bootstrappers", JOINING, "system:authenticated"]
        with pytest.raises(errors.Forbidden):
            await joining.list(core.Secret, namespace="kube-system")


@pytest.mark.parametrize(
    "change",
    [
        {"expiration": "2020-01-01T00:00:00Z"},
        {"expiration": "tomorrow"},
        {"usage_bootstrap_authentication": "false"},
        {"token_secret": "0123456789abcdef"},
        {"auth_extra_groups": "system:masters"},
    ],
)
async def test_a_token_that_is_not_good_is_nobodys(api: Api, server: ApiServerProcess, change: dict[str, str]) -> None:
    secret, token = a_secret(**change)
    await api.create(secret)
    await api.list(core.Secret, namespace="kube-system")  # the server knows of it now
    async with server.client("", token=token) as joining:
        with pytest.raises(errors.Unauthorized):
            await joining.list(core.Namespace)


async def test_a_token_is_gone_with_its_secret(api: Api, server: ApiServerProcess) -> None:
    secret, token = a_secret()
    await api.create(secret)
    await api.list(core.Secret, namespace="kube-system")  # the server knows of it now
    review = authentication.TokenReview()
    review.spec.token = token
    answer = await api.create(review)
    assert (answer.status.authenticated, answer.status.user.username) == (True, f"system:bootstrap:{token[:6]}")
    await api.delete(core.Secret, secret.metadata.name, "kube-system")
    await api.list(core.Secret, namespace="kube-system")  # the server knows of it now
    async with server.client("", token=token) as joining:
        with pytest.raises(errors.Unauthorized):
            await joining.list(core.Namespace)
    assert not (await api.create(review)).status.authenticated
