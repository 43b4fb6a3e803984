"""Signing requests of nodes are approved, approved ones signed within their signer's rules, old ones removed."""

from __future__ import annotations

import datetime
import ipaddress
import secrets
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from raftsman import Client, ClientConfig, errors, times
from raftsman.certificates import v1 as certificates
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.rbac import v1 as rbac
from raftsman.services.controllers import certificate_approver, certificate_signer, signing_requests
from raftsman.services.controllers.certificate_signer import Authority
from raftsman.services.controllers.cluster_role_aggregation import decide as aggregate

NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)
CLIENT_USAGES = ("digital signature", "client auth")
NAMES = (x509.DNSName("node-1"), x509.IPAddress(ipaddress.ip_address("10.0.0.1")))


def a_request(
    signer: str = signing_requests.KUBELET_CLIENT, *, common_name: str = "system:node:node-1",
    organizations: tuple[str, ...] = ("system:nodes",), usages: tuple[str, ...] = CLIENT_USAGES,
    names: tuple[x509.GeneralName, ...] = (), state: tuple[str, ...] = (),
    key: ec.EllipticCurvePrivateKey | None = None,
) -> certificates.CertificateSigningRequest:  # fmt: skip
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organizations]
    subject = x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    body = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    found = certificates.CertificateSigningRequest()
    found.metadata.name = f"csr-{secrets.token_hex(4)}"
    found.spec.request, found.spec.signer_name = body.public_bytes(serialization.Encoding.PEM), signer
    found.spec.username = "system:bootstrap:abcdef"
    found.spec.usages.extend(usages)
    for type_ in state:
        found.status.conditions.add(type=type_, status="True")
    return found


def an_authority(folder: Path, *, lives: datetime.timedelta = 3650 * DAY) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + lives)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "ca.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Authority.load(folder / "ca.crt", folder / "ca.key")


@pytest.mark.parametrize(
    ("request_", "wrong"),
    [
        (a_request(), ""),
        (a_request(common_name="jane"), "common name"),
        (a_request(organizations=("system:nodes", "system:masters")), "organization"),
        (a_request(names=NAMES), "no names but its own"),
        (a_request(usages=("client auth", "server auth")), "beyond"),
        (a_request(usages=("digital signature",)), "client auth is needed"),
        (a_request(signing_requests.API_CLIENT, common_name="jane", organizations=("team",)), ""),
        (a_request(signing_requests.KUBELET_SERVING, usages=("server auth",), names=NAMES), ""),
        (a_request(signing_requests.KUBELET_SERVING, usages=("server auth",)), "DNS name or an IP address is needed"),
        (
            a_request(
                signing_requests.KUBELET_SERVING, usages=("server auth",),
                names=(*NAMES, x509.RFC822Name("a@example.com")),
            ),
            "only DNS names",
        ),
    ],
)  # fmt: skip
def test_a_signer_signs_within_its_rules(request_: certificates.CertificateSigningRequest, wrong: str) -> None:
    said = signing_requests.wrong(request_.spec.signer_name, signing_requests.read(request_))
    assert wrong in said
    assert bool(said) == bool(wrong)


def test_only_what_was_approved_and_not_issued_is_signed() -> None:
    def plan(found: certificates.CertificateSigningRequest) -> certificate_signer.Plan | None:
        return certificate_signer.decide(found, now=NOW, authority_ends=NOW + 3650 * DAY)

    assert plan(a_request()) is None
    assert plan(a_request(state=("Approved", "Denied"))) is None
    assert plan(a_request("example.com/mine", state=("Approved",))) is None
    assert plan(a_request(state=("Approved",))) is not None
    issued = a_request(state=("Approved",))
    issued.status.certificate = b"x"
    assert plan(issued) is None
    refused = plan(a_request(common_name="jane", state=("Approved",)))
    assert refused is not None
    assert "common name" in refused.failure


def test_a_certificate_lives_as_long_as_asked_and_never_longer_than_its_authority(tmp_path: Path) -> None:
    authority = an_authority(tmp_path, lives=30 * DAY)
    ends = authority.certificate.not_valid_after_utc
    found = a_request(state=("Approved",))
    plan = certificate_signer.decide(found, now=NOW, authority_ends=ends)
    assert plan is not None
    assert plan.until == ends
    found.spec.expiration_seconds = 3600
    plan = certificate_signer.decide(found, now=NOW, authority_ends=ends)
    assert plan is not None
    assert plan.until == NOW + HOUR - certificate_signer.BACKDATED


def test_a_certificate_says_what_was_asked_and_is_the_authoritys(tmp_path: Path) -> None:
    authority = an_authority(tmp_path)
    found = a_request(signing_requests.KUBELET_SERVING, usages=("digital signature", "server auth"), names=NAMES)
    made = x509.load_pem_x509_certificate(certificate_signer.issued(found, authority, now=NOW, until=NOW + DAY))
    made.verify_directly_issued_by(authority.certificate)
    assert made.subject == x509.load_pem_x509_csr(found.spec.request).subject
    extensions = made.extensions
    assert list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value) == list(NAMES)
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_cert_sign) == (True, False)


def test_a_key_of_another_authority_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        an_authority(tmp_path / name)
    with pytest.raises(ValueError, match=r"ca\.key is not the key of"):
        Authority.load(tmp_path / "a" / "ca.crt", tmp_path / "b" / "ca.key")


def test_only_requests_of_nodes_are_approved_by_themselves() -> None:
    assert certificate_approver.decide(a_request()) == ("nodeclient",)
    own = a_request()
    own.spec.username = "system:node:node-1"
    assert certificate_approver.decide(own) == ("selfnodeclient", "nodeclient")
    for found in (a_request(common_name="jane"), a_request(state=("Denied",)), a_request(signing_requests.API_CLIENT)):
        assert certificate_approver.decide(found) == ()


def test_requests_are_kept_a_day_and_an_hour_after_they_were_decided(tmp_path: Path) -> None:
    def left(found: certificates.CertificateSigningRequest, now: datetime.datetime) -> datetime.timedelta:
        return signing_requests.removed_in(found, now=now)

    pending = a_request()
    pending.metadata.creation_timestamp.CopyFrom(times.from_datetime(NOW))
    assert left(pending, NOW + HOUR) == 23 * HOUR
    denied = a_request(state=("Denied",))
    denied.metadata.creation_timestamp.CopyFrom(times.from_datetime(NOW))
    denied.status.conditions[0].last_update_time.CopyFrom(times.from_datetime(NOW + HOUR))
    assert left(denied, NOW + HOUR) == HOUR
    # Approved, and nobody signed it: it is still pending.
    approved = a_request(state=("Approved",))
    approved.metadata.creation_timestamp.CopyFrom(times.from_datetime(NOW))
    assert left(approved, NOW + 2 * HOUR) == 22 * HOUR
    issued = a_request(state=("Approved",))
    issued.metadata.creation_timestamp.CopyFrom(times.from_datetime(NOW))
    issued.status.certificate = certificate_signer.issued(issued, an_authority(tmp_path), now=NOW, until=NOW + HOUR / 2)
    assert left(issued, NOW + HOUR / 4) == 3 * HOUR / 4
    assert left(issued, NOW + HOUR / 2) == datetime.timedelta()


def a_role(name: str, verb: str, **labels: str) -> rbac.ClusterRole:
    role = rbac.ClusterRole()
    role.metadata.name = name
    role.metadata.labels.update(labels)
    role.rules.add(verbs=[verb], api_groups=[""], resources=["pods"])
    return role


def test_an_aggregated_role_holds_the_rules_of_those_it_selects() -> None:
    whole = a_role("whole", "delete", part="yes")
    whole.aggregation_rule.cluster_role_selectors.add().match_labels["part"] = "yes"
    others = [whole, a_role("b", "list", part="yes"), a_role("a", "get", part="yes"), a_role("c", "watch")]
    made = aggregate(whole, others)
    assert made is not None
    assert [list(rule.verbs) for rule in made.rules] == [["get"], ["list"]]
    assert aggregate(made, others) is None
    assert aggregate(others[1], others) is None


async def issued_for(client: Client, name: str) -> bytes:
    """The certificate of a request, once it is there."""

    def is_issued(found: certificates.CertificateSigningRequest | None) -> bool:
        return found is not None and bool(found.status.certificate)

    found = await client.wait(certificates.CertificateSigningRequest, name, is_issued, timeout_s=30)
    assert found is not None
    return found.status.certificate


async def test_a_machine_with_a_token_becomes_a_node(client: Client) -> None:
    token_id, token_secret, node = secrets.token_hex(3), secrets.token_hex(8), f"n-{secrets.token_hex(4)}"
    token = core.Secret(type="bootstrap.kubernetes.io/token")
    token.metadata.namespace, token.metadata.name = "kube-system", f"bootstrap-token-{token_id}"
    token.string_data["token-id"], token.string_data["token-secret"] = token_id, token_secret
    token.string_data["usage-bootstrap-authentication"] = "true"
    token.string_data["auth-extra-groups"] = "system:bootstrappers:kubeadm:default-node-token"
    await client.create(token)
    known = client.config
    key = ec.generate_private_key(ec.SECP256R1())
    found = a_request(common_name=f"system:node:{node}", key=key)
    joining = ClientConfig(target=known.target, root_ca=known.root_ca, token=f"{token_id}.{token_secret}")
    async with Client(joining) as machine:
        await machine.create(found)
        certificate = await issued_for(machine, found.metadata.name)
        with pytest.raises(errors.Forbidden):
            await machine.create(core.Node(metadata=meta.ObjectMeta(name=node)))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    joined = ClientConfig(target=known.target, root_ca=known.root_ca, certificate=certificate, key=private)
    async with Client(joined) as machine:
        assert (await machine.whoami()).username == f"system:node:{node}"
        await machine.create(core.Node(metadata=meta.ObjectMeta(name=node)))
    await client.delete(core.Node, node)


async def test_aggregated_roles_take_in_new_ones(client: Client) -> None:
    role = a_role(f"more-{secrets.token_hex(4)}", "fly", **{"rbac.authorization.k8s.io/aggregate-to-view": "true"})
    await client.create(role)

    def takes_it_in(found: rbac.ClusterRole | None) -> bool:
        return found is not None and any("fly" in rule.verbs for rule in found.rules)

    await client.wait(rbac.ClusterRole, "admin", takes_it_in, timeout_s=30)
    await client.delete(rbac.ClusterRole, role.metadata.name)
    await client.wait(rbac.ClusterRole, "admin", lambda found: not takes_it_in(found), timeout_s=30)
