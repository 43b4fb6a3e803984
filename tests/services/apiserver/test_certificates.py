"""Signing requests: whose they are, who may decide and sign, and kubectl's way of deciding."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from raftsman import errors
from raftsman.certificates import v1 as certificates
from raftsman.meta import v1 as meta
from raftsman.rbac import v1 as rbac

from .cluster import Api, ApiServerProcess
from .strategies import wrong

CLIENT = "kubernetes.io/kube-apiserver-client"


def pem(common_name: str, *organizations: str) -> bytes:
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organizations]
    subject = x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def a_request(*, signer: str = CLIENT, body: bytes = b"") -> certificates.CertificateSigningRequest:
    found = certificates.CertificateSigningRequest()
    found.metadata.name = f"r-{secrets.token_hex(4)}"
    found.spec.signer_name, found.spec.request = signer, body or pem("jane")
    found.spec.usages.append("client auth")
    return found


def some_certificate(server: ApiServerProcess) -> bytes:
    return Path(server.authority.ca).read_bytes()


async def decide(api: Api, found: certificates.CertificateSigningRequest, type_: str = "Approved") -> Any:
    found.status.conditions.add(type=type_, status="True", reason="Test")
    return await api.of(type(found), "UpdateApproval", _write(found))


def _write(found: certificates.CertificateSigningRequest) -> meta.WriteRequest:
    return meta.WriteRequest(object=found.SerializeToString())


async def test_the_server_says_whose_a_request_is(server: ApiServerProcess, api: Api) -> None:
    found = a_request()
    found.spec.username, found.status.certificate = "somebody-else", b"no"
    stored = await api.create(found)
    assert stored.spec.username == "kubernetes-admin"
    assert list(stored.spec.groups) == ["system:masters", "system:authenticated"]
    assert not stored.status.certificate
    stored.spec.signer_name = "example.com/other"
    assert (await api.update(stored)).spec.signer_name == CLIENT


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ("request: bm8=", "spec.request"),
        ("usages: []", "spec.usages"),
        ("usages: [client auth, client auth]", "spec.usages[1]"),
        ("usages: [everything]", "spec.usages[0]"),
        ("signerName: kubernetes.io/legacy-unknown", "spec.signerName"),
        ("signerName: nothing", "spec.signerName"),
        ("expirationSeconds: 60", "spec.expirationSeconds"),
    ],
)
def test_what_makes_it_no_request_is_told(change: str, field: str) -> None:
    spec = {"request": base64.b64encode(pem("jane")).decode(), "usages": "[client auth]", "signerName": CLIENT}
    word, _, value = change.partition(": ")
    spec[word] = value
    text = ", ".join(f"{key}: {value}" for key, value in spec.items())
    head = "apiVersion: certificates.k8s.io/v1, kind: CertificateSigningRequest, metadata: {name: a}"
    text = f"{{{head}, spec: {{{text}}}}}"
    assert wrong(certificates.CertificateSigningRequest, text).keys() == {field}


async def test_a_decision_is_stamped_and_stays(api: Api) -> None:
    stored = await decide(api, await api.create(a_request()))
    (condition,) = stored.status.conditions
    assert condition.last_update_time.seconds
    assert condition.last_transition_time.seconds
    with pytest.raises(errors.Invalid, match="mutually exclusive"):
        await decide(api, stored, "Denied")
    del stored.status.conditions[:]
    with pytest.raises(errors.Invalid, match='may not remove a condition of type "Approved"'):
        await api.of(type(stored), "UpdateApproval", _write(stored))


async def test_a_status_neither_decides_nor_issues_twice(api: Api, server: ApiServerProcess) -> None:
    stored = await api.create(a_request())
    stored.status.conditions.add(type="Approved", status="True")
    with pytest.raises(errors.Invalid, match='may not add a condition of type "Approved"'):
        await api.update_status(stored)
    del stored.status.conditions[:]
    stored.status.certificate = some_certificate(server)
    issued = await api.update_status(stored)
    issued.status.certificate = b"x"
    with pytest.raises(errors.Invalid, match="may not modify existing certificate content"):
        await api.update_status(issued)


async def test_approving_and_signing_need_rights_on_the_signer(api: Api, server: ApiServerProcess) -> None:
    name = f"clerk-{secrets.token_hex(4)}"
    role = rbac.ClusterRole()
    role.metadata.name = name
    for resource in ("certificatesigningrequests/approval", "certificatesigningrequests/status"):
        role.rules.add(verbs=["update"], api_groups=["certificates.k8s.io"], resources=[resource])
    await api.create(role)
    binding = rbac.ClusterRoleBinding()
    binding.metadata.name = name
    binding.role_ref.MergeFrom(rbac.RoleRef(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=name))
    binding.subjects.add(kind="User", api_group="rbac.authorization.k8s.io", name=name)
    await api.create(binding)
    stored = await api.create(a_request(signer="example.com/mine"))
    async with server.client(name, groups=()) as clerk:
        with pytest.raises(errors.Forbidden, match='user not permitted to approve requests with signerName "example'):
            await decide(clerk, stored)
        role = await api.get(rbac.ClusterRole, name, "")
        role.rules.add(
            verbs=["approve"], api_groups=["certificates.k8s.io"], resources=["signers"],
            resource_names=["example.com/*"],
        )  # fmt: skip
        await api.update(role)
        approved = await decide(clerk, await api.get(type(stored), stored.metadata.name, ""))
        approved.status.certificate = some_certificate(server)
        with pytest.raises(errors.Forbidden, match="user not permitted to sign"):
            await clerk.update_status(approved)


async def test_administrators_are_not_made_by_certificate(api: Api) -> None:
    with pytest.raises(errors.Forbidden, match="system:masters group is not allowed"):
        await api.create(a_request(body=pem("jane", "system:masters")))


async def test_requests_are_selected_by_signer(api: Api) -> None:
    stored = await api.create(a_request(signer="example.com/selected"))
    found = await api.list(type(stored), field_selector="spec.signerName=example.com/selected")
    assert [one.metadata.name for one in found.items] == [stored.metadata.name]
