"""Sign approved certificate signing requests with the cluster's authority.

Reads CertificateSigningRequest and, once at start, the authority's certificate and private key; writes
CertificateSigningRequest.status. Only Kubernetes' own signers are served (signing_requests.SIGNERS), each within its
rules; what is outside them gets the condition Failed. A certificate lives as long as was asked for, at most `duration`,
and never longer than the authority.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from raftsman import logs
from raftsman.certificates import v1 as certificates
from raftsman.controller import Controller, Key, Watch

from . import signing_requests
from .signing_requests import Request

BACKDATED = timedelta(minutes=5)
DURATION = timedelta(days=365)
_EXTENDED = {
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH, "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION, "s/mime": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING, "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
}  # fmt: skip
_BASIC = {
    "signing": "digital_signature", "digital signature": "digital_signature",
    "content commitment": "content_commitment", "key encipherment": "key_encipherment",
    "key agreement": "key_agreement", "data encipherment": "data_encipherment", "cert sign": "key_cert_sign",
    "crl sign": "crl_sign", "encipher only": "encipher_only", "decipher only": "decipher_only",
}  # fmt: skip
_ALL_BASIC = frozenset(_BASIC.values())

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs. The key never leaves this object."""

    certificate: x509.Certificate
    key: Any

    @classmethod
    def load(cls, certificate: Path, key: Path) -> Authority:
        """OSError or ValueError if the files hold none that belong together."""
        loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
        if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError(f"{key}: the authority signs with an elliptic curve or RSA key")
        if private.public_key() != loaded.public_key():
            raise ValueError(f"{key} is not the key of {certificate}")
        return cls(loaded, private)


@dataclass(frozen=True, slots=True)
class Plan:
    """Either to sign until then, or to say why not."""

    until: datetime | None = None
    failure: str = ""


def decide(
    request: Request | None, *, now: datetime, authority_ends: datetime, duration: timedelta = DURATION
) -> Plan | None:
    """None: nothing to do."""
    if request is None or request.spec.signer_name not in signing_requests.SIGNERS:
        return None
    if request.status.certificate or not signing_requests.has(request, "Approved"):
        return None
    if signing_requests.has(request, "Denied", "Failed"):
        return None
    try:
        asked = signing_requests.read(request)
    except ValueError as error:
        return Plan(failure=f"the request cannot be read: {error}")
    wrong = signing_requests.wrong(request.spec.signer_name, asked)
    if wrong:
        return Plan(failure=wrong)
    if request.spec.HasField("expiration_seconds"):
        duration = min(duration, timedelta(seconds=request.spec.expiration_seconds))
    return Plan(until=min(now + duration - BACKDATED, authority_ends))


def issued(request: Request, authority: Authority, *, now: datetime, until: datetime) -> bytes:
    """The certificate in PEM, with the subject and names of the request."""
    parsed = x509.load_pem_x509_csr(request.spec.request)
    issuer = authority.key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(parsed.subject)
        .issuer_name(authority.certificate.subject)
        .public_key(parsed.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - BACKDATED, authority.certificate.not_valid_before_utc))
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
    )
    for extension, critical in _usages(request.spec.usages):
        builder = builder.add_extension(extension, critical=critical)
    try:
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        pass
    else:
        builder = builder.add_extension(names, critical=not list(parsed.subject))
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _usages(usages: Iterable[str]) -> Iterable[tuple[x509.ExtensionType, bool]]:
    basic = {_BASIC[usage] for usage in usages if usage in _BASIC}
    # These two only qualify a key agreement.
    if "key_agreement" not in basic:
        basic -= {"encipher_only", "decipher_only"}
    if basic:
        yield x509.KeyUsage(**{name: name in basic for name in _ALL_BASIC}), True
    extended = list(dict.fromkeys(_EXTENDED[usage] for usage in usages if usage in _EXTENDED))
    if extended:
        yield x509.ExtendedKeyUsage(extended), False


class CertificateSigner(Controller):
    name = "certificate-signer"
    watches = (Watch(certificates.CertificateSigningRequest),)

    def __init__(self, authority: Authority, *, duration: timedelta = DURATION) -> None:
        self._authority, self._duration = authority, duration

    async def reconcile(self, key: Key) -> None:
        found = self.cache(certificates.CertificateSigningRequest).get(key)
        now = datetime.now(UTC)
        ends = self._authority.certificate.not_valid_after_utc
        plan = decide(found, now=now, authority_ends=ends, duration=self._duration)
        if plan is None or found is None:
            return
        changed = certificates.CertificateSigningRequest()
        changed.CopyFrom(found)
        if plan.until is None:
            log.warning("certificate refused", request=key, why=plan.failure)
            changed.status.conditions.add(
                type="Failed", status="True", reason="SignerValidationFailure", message=plan.failure
            )
        else:
            changed.status.certificate = issued(found, self._authority, now=now, until=plan.until)
            log.info("certificate issued", request=key, signer=found.spec.signer_name, user=found.spec.username)
        await self.client.update_status(changed)
