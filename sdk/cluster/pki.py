"""The cluster's certificates, keys and kubeconfigs, laid out as kubeadm has them.

Three authorities (cluster, store, front proxy), a service-account key pair, and the identities signed by them. All keys
are ECDSA P-256, all files mode 0600 in folders of mode 0700. Whatever exists and is still right (same addresses, not
about to expire) is kept, so calling `ensure` again changes nothing.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .layout import Layout
from .settings import Settings

CA_LIFETIME = datetime.timedelta(days=3650)
LEAF_LIFETIME = datetime.timedelta(days=365)
RENEW_BEFORE = datetime.timedelta(days=30)
ENCRYPTION_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate to have: its file's name, signer, subject and the addresses it serves (none: client only)."""

    name: str
    authority: str
    common_name: str
    organizations: tuple[str, ...] = ()
    sans: tuple[str, ...] = ()
    server: bool = False
    client: bool = True


def leaves(settings: Settings) -> tuple[Leaf, ...]:
    """Every certificate of a one-node cluster. Kubernetes' own identities."""
    local = ("localhost", "127.0.0.1", "::1", settings.node_ip)
    domain = settings.cluster_domain
    api = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{domain}")
    node = (settings.node_name, *local)
    return (
        Leaf("apiserver", "ca", "kube-apiserver", sans=(*api, *node, settings.api_ip), server=True, client=False),
        Leaf("apiserver-kubelet-client", "ca", "kube-apiserver-kubelet-client", ("system:masters",)),
        Leaf("apiserver-store-client", "store-ca", "kube-apiserver-store-client"),
        Leaf("front-proxy-client", "front-proxy-ca", "front-proxy-client"),
        Leaf("store-server", "store-ca", settings.node_name, sans=node, server=True),
        Leaf("store-peer", "store-ca", settings.node_name, sans=node, server=True),
        Leaf("kubelet-server", "ca", f"system:node:{settings.node_name}", ("system:nodes",), node, True, False),
        Leaf("admin", "ca", "kubernetes-admin", ("system:masters",)),
        Leaf("scheduler", "ca", "system:kube-scheduler"),
        Leaf("controllers", "ca", "system:kube-controller-manager"),
        Leaf("agent", "ca", f"system:node:{settings.node_name}", ("system:nodes",)),
    )


KUBECONFIGS = ("admin", "scheduler", "controllers", "agent")


def ensure(layout: Layout, settings: Settings) -> None:
    """Make what is missing or no longer right. Raises OSError if the data directory cannot be written."""
    layout.pki.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The administrator's kubeconfig may belong to somebody who is not root: that path can be walked, not listed.
    layout.kubeconfig().parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    for name, common_name in (("ca", "kubernetes"), ("store-ca", "store"), ("front-proxy-ca", "front-proxy")):
        _ensure_authority(layout.pki, name, common_name)
    _ensure_service_account_key(layout.pki)
    for leaf in leaves(settings):
        _ensure_leaf(layout.pki, leaf)
    for name in KUBECONFIGS:
        write_private(layout.kubeconfig(name), kubeconfig(layout.pki, name, settings.server).encode())
    if not layout.encryption_key.exists():
        write_private(layout.encryption_key, base64.b64encode(secrets.token_bytes(ENCRYPTION_KEY_BYTES)) + b"\n")


def kubeconfig(pki: Path, name: str, server: str) -> str:
    """A kubeconfig that holds its certificates, for the identity in `pki/NAME.crt`."""

    def data(file: str) -> str:
        return base64.b64encode((pki / file).read_bytes()).decode()

    user = {"client-certificate-data": data(f"{name}.crt"), "client-key-data": data(f"{name}.key")}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "raftsman", "cluster": {"server": server, "certificate-authority-data": data("ca.crt")}}],
        "users": [{"name": f"raftsman-{name}", "user": user}],
        "contexts": [{"name": "raftsman", "context": {"cluster": "raftsman", "user": f"raftsman-{name}"}}],
        "current-context": "raftsman",
    }
    return yaml.safe_dump(document, sort_keys=False)


def write_private(path: Path, data: bytes) -> None:
    """Write `data` so that no other user ever sees it and no reader a half; unchanged files are left alone."""
    if path.exists() and path.read_bytes() == data and path.stat().st_mode & 0o777 == 0o600:
        return
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)
    os.replace(scratch, path)


def _ensure_authority(pki: Path, name: str, common_name: str) -> None:
    if (pki / f"{name}.crt").exists() and (pki / f"{name}.key").exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        _builder(subject, subject, key, CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    _write_pair(pki, name, key, builder.sign(key, hashes.SHA256()))


def _ensure_leaf(pki: Path, leaf: Leaf) -> None:
    if _is_right(pki, leaf):
        return
    authority = x509.load_pem_x509_certificate((pki / f"{leaf.authority}.crt").read_bytes())
    authority_key = serialization.load_pem_private_key((pki / f"{leaf.authority}.key").read_bytes(), None)
    assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(_subject(leaf), authority.subject, key, LEAF_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_purposes(leaf)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
    )
    if leaf.sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(_general_names(leaf.sans)), critical=False)
    _write_pair(pki, leaf.name, key, builder.sign(authority_key, hashes.SHA256()))


def _is_right(pki: Path, leaf: Leaf) -> bool:
    path = pki / f"{leaf.name}.crt"
    if not path.exists() or not (pki / f"{leaf.name}.key").exists():
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    if certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC) < RENEW_BEFORE:
        return False
    if certificate.subject != _subject(leaf):
        return False
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return not leaf.sans
    return list(names) == _general_names(leaf.sans)


def _ensure_service_account_key(pki: Path) -> None:
    if (pki / "sa.key").exists() and (pki / "sa.pub").exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    write_private(pki / "sa.key", _pem(key))
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    write_private(pki / "sa.pub", public)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + lifetime)
    )


def _subject(leaf: Leaf) -> x509.Name:
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in leaf.organizations]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, leaf.common_name)])


def _purposes(leaf: Leaf) -> list[x509.ObjectIdentifier]:
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH] if leaf.server else []
    return [*purposes, ExtendedKeyUsageOID.CLIENT_AUTH] if leaf.client else purposes


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=not authority, data_encipherment=False,
        key_agreement=False, key_cert_sign=authority, crl_sign=authority, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _general_names(sans: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for san in dict.fromkeys(sans):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(san)))
        except ValueError:
            names.append(x509.DNSName(san))
    return names


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_pair(pki: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    write_private(pki / f"{name}.key", _pem(key))
    write_private(pki / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))
