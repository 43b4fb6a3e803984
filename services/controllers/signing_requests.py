"""What a signing request asks for, in the terms that decisions are made in, and what each signer signs.

Pure: reads a CertificateSigningRequest, writes nothing. The signers and their rules are Kubernetes' own
(kubernetes.io/kube-apiserver-client, kube-apiserver-client-kubelet, kubelet-serving, legacy-unknown).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import NameOID
from raftsman import times
from raftsman.certificates import v1 as certificates

API_CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY = "kubernetes.io/legacy-unknown"
SIGNERS = frozenset({API_CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY})
NODES, NODE_PREFIX = "system:nodes", "system:node:"
_CLIENT = frozenset({"digital signature", "key encipherment", "client auth"})
_SERVER = frozenset({"digital signature", "key encipherment", "server auth"})

Request = certificates.CertificateSigningRequest


@dataclass(frozen=True, slots=True)
class Asked:
    """Who wants to be whom, and for what."""

    common_name: str
    organizations: tuple[str, ...]
    dns_names: tuple[str, ...]
    addresses: tuple[str, ...]
    others: int
    """How many e-mail addresses, URIs and the like it asks for."""
    usages: frozenset[str]


def read(found: Request) -> Asked:
    """ValueError if the request cannot be read, which the API server has made sure it can."""
    parsed = x509.load_pem_x509_csr(found.spec.request)
    try:
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    dns = tuple(names.get_values_for_type(x509.DNSName))
    addresses = tuple(str(one) for one in names.get_values_for_type(x509.IPAddress))
    return Asked(
        _text(parsed.subject, NameOID.COMMON_NAME)[0] if _text(parsed.subject, NameOID.COMMON_NAME) else "",
        tuple(_text(parsed.subject, NameOID.ORGANIZATION_NAME)),
        dns, addresses, len(list(names)) - len(dns) - len(addresses), frozenset(found.spec.usages),
    )  # fmt: skip


def _text(subject: x509.Name, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(one.value) for one in subject.get_attributes_for_oid(oid)]


def has(found: Request, *types: str) -> bool:
    """Whether it has a condition of one of these types."""
    return any(condition.type in types for condition in found.status.conditions)


def wrong(signer: str, asked: Asked) -> str:
    """Why a signer does not sign this, as a sentence; "" if it does."""
    if signer == API_CLIENT:
        return _usages(asked, allowed=_CLIENT, needed="client auth")
    if signer == KUBELET_CLIENT:
        return _usages(asked, allowed=_CLIENT, needed="client auth") or _node(asked, names=False)
    if signer == KUBELET_SERVING:
        return _usages(asked, allowed=_SERVER, needed="server auth") or _node(asked, names=True)
    return ""


def _usages(asked: Asked, *, allowed: frozenset[str], needed: str) -> str:
    if needed not in asked.usages:
        return f"the usage {needed} is needed"
    beyond = sorted(asked.usages - allowed)
    return f"the usages {', '.join(beyond)} are beyond {', '.join(sorted(allowed))}" if beyond else ""


def _node(asked: Asked, *, names: bool) -> str:
    """A node's agent: in its group, by its name, with names of its own only as a server."""
    if asked.organizations != (NODES,):
        return f"the organization must be {NODES} and nothing else"
    if not asked.common_name.startswith(NODE_PREFIX):
        return f"the common name must begin with {NODE_PREFIX}"
    if asked.others:
        return "only DNS names and IP addresses are signed"
    if names and not (asked.dns_names or asked.addresses):
        return "a DNS name or an IP address is needed"
    if not names and (asked.dns_names or asked.addresses):
        return "a client has no names but its own"
    return ""


@dataclass(frozen=True, slots=True)
class Keep:
    """How long requests are kept, by how far they came."""

    pending: timedelta = timedelta(hours=24)
    decided: timedelta = timedelta(hours=1)


def removed_in(found: Request, *, now: datetime, keep: Keep = Keep()) -> timedelta:
    """How long from now a request is kept; zero or less if it is to be removed. Certificates that ended go at once."""
    if found.status.certificate and _ended(found.status.certificate, now):
        return timedelta()
    since = times.to_datetime(found.metadata.creation_timestamp)
    left = since + keep.pending - now
    for condition in found.status.conditions:
        if condition.type in ("Approved", "Denied", "Failed"):
            moment = condition.last_update_time
            decided = since if times.is_zero(moment) else times.to_datetime(moment)
            finished = found.status.certificate or condition.type != "Approved"
            left = min(left, decided + keep.decided - now) if finished else left
    return left


def _ended(chain: bytes, now: datetime) -> bool:
    try:
        return x509.load_pem_x509_certificates(chain)[0].not_valid_after_utc <= now
    except ValueError:
        return False
