"""Certificate signing requests: what is asked for, who decided what, and what was issued."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence

from raftsman import times
from raftsman.certificates import v1 as certificates

from . import names
from .causes import Causes

DECISIONS = ("Approved", "Denied")
_KEPT = (*DECISIONS, "Failed")
_STATUSES = ("False", "True", "Unknown")
_LEGACY = "kubernetes.io/legacy-unknown"
_SIGNER_NAME_MAX = 571
_SECONDS_MIN = 600
_PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\r?\n(.*?)-----END \1-----", re.DOTALL)
USAGES = frozenset({
    "signing", "digital signature", "content commitment", "key encipherment", "key agreement", "data encipherment",
    "cert sign", "crl sign", "encipher only", "decipher only", "any", "server auth", "client auth", "code signing",
    "email protection", "s/mime", "ipsec end system", "ipsec tunnel", "ipsec user", "timestamping", "ocsp signing",
    "microsoft sgc", "netscape sgc",
})  # fmt: skip

Request = certificates.CertificateSigningRequest
Condition = certificates.CertificateSigningRequestCondition


def any_name(_: str) -> list[str]:
    """A request may be called anything that a path can name."""
    return names.path_segment(_)


def request(found: Request, causes: Causes) -> None:
    """A new one."""
    spec = found.spec
    wrong = wrong_with_request(spec.request)
    if wrong:
        causes.invalid("spec.request", base64.b64encode(spec.request).decode(), wrong)
    if not spec.usages:
        causes.required("spec.usages")
    seen: set[str] = set()
    for index, usage in enumerate(spec.usages):
        if usage not in USAGES:
            causes.not_supported(f"spec.usages[{index}]", usage, USAGES)
        if usage in seen:
            causes.duplicate(f"spec.usages[{index}]", usage)
        seen.add(usage)
    if spec.signer_name == _LEGACY:
        causes.invalid("spec.signerName", spec.signer_name, "the legacy signerName is not allowed via this API version")
    else:
        _signer_name(spec.signer_name, causes, path="spec.signerName")
    if spec.HasField("expiration_seconds") and spec.expiration_seconds < _SECONDS_MIN:
        why = f"may not specify a duration less than {_SECONDS_MIN} seconds (10 minutes)"
        causes.invalid("spec.expirationSeconds", spec.expiration_seconds, why)


def wrong_with_request(data: bytes) -> str:
    """Why it is no PKCS#10 request in PEM that its own key has signed; "" if it is."""
    from cryptography import x509

    block = _PEM_BLOCK.search(data)
    if block is None or block.group(1) != b"CERTIFICATE REQUEST":
        return "PEM block type must be CERTIFICATE REQUEST"
    try:
        parsed = x509.load_pem_x509_csr(block.group(0))
        return "" if parsed.is_signature_valid else "the request is not signed by its own key"
    except Exception as error:  # what a parser of foreign bytes raises has no common base
        return f"the request cannot be read: {type(error).__name__}"


def _signer_name(text: str, causes: Causes, *, path: str) -> None:
    if not text:
        causes.required(path)
        return
    domain, slash, name = text.partition("/")
    if not slash or "/" in name:
        why = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        causes.invalid(path, text, why)
        return
    for wrong in names.dns_subdomain(domain):
        causes.invalid(path, domain, f"validating label {json_quoted(domain)}: {wrong}")
    if "." not in domain:
        causes.invalid(path, domain, "should be a domain with at least two segments separated by dots")
    for wrong in names.dns_subdomain(name):
        causes.invalid(path, name, f"validating label {json_quoted(name)}: {wrong}")
    if len(text) > _SIGNER_NAME_MAX:
        causes.too_long(path, _SIGNER_NAME_MAX)


def json_quoted(text: str) -> str:
    """A word as causes quote it."""
    return f'"{text}"'


def update(new: Request, old: Request, causes: Causes) -> None:
    """Only its metadata."""


def approval(new: Request, old: Request, causes: Causes) -> None:
    """Somebody decides: conditions of any type, none taken back."""
    _conditions(new.status.conditions, causes)
    _nothing_taken_back(new, old, causes)


def status(new: Request, old: Request, causes: Causes) -> None:
    """A signer issues, once; the decision is not its."""
    _conditions(new.status.conditions, causes)
    _nothing_taken_back(new, old, causes)
    for type_ in DECISIONS:
        before, after = _of_type(old, type_), _of_type(new, type_)
        if len(after) > len(before):
            causes.forbidden("status.conditions", f'updates may not add a condition of type "{type_}"')
        elif len(after) == len(before) and before != after:
            causes.forbidden("status.conditions", f'updates may not modify a condition of type "{type_}"')
    if new.status.certificate == old.status.certificate:
        return
    if old.status.certificate:
        causes.forbidden("status.certificate", "updates may not modify existing certificate content")
    wrong = wrong_with_certificates(new.status.certificate)
    if wrong:
        causes.invalid("status.certificate", "<certificate data>", wrong)


def wrong_with_certificates(data: bytes) -> str:
    """Why it is no chain of certificates in PEM; "" if it is, or empty."""
    from cryptography import x509

    if not data:
        return ""
    blocks = _PEM_BLOCK.findall(data)
    if not blocks:
        return "must contain at least one CERTIFICATE PEM block"
    for type_, body in blocks:
        if type_ != b"CERTIFICATE":
            return f'only CERTIFICATE PEM blocks are allowed, found "{type_.decode()}"'
        if b":" in body:
            return "no PEM block headers are permitted"
    try:
        x509.load_pem_x509_certificates(data)
    except ValueError as error:
        return f"a certificate cannot be read: {error}"
    return ""


def _of_type(found: Request, type_: str) -> list[Condition]:
    return [condition for condition in found.status.conditions if condition.type == type_]


def _nothing_taken_back(new: Request, old: Request, causes: Causes) -> None:
    for type_ in _KEPT:
        if len(_of_type(new, type_)) < len(_of_type(old, type_)):
            causes.forbidden("status.conditions", f'updates may not remove a condition of type "{type_}"')


def _conditions(found: Sequence[Condition], causes: Causes) -> None:
    seen: set[str] = set()
    for index, condition in enumerate(found):
        at = f"status.conditions[{index}]"
        if not condition.type:
            causes.required(f"{at}.type")
        allowed = ("True",) if condition.type in _KEPT else _STATUSES
        if not condition.status:
            causes.required(f"{at}.status")
        elif condition.status not in allowed:
            causes.not_supported(f"{at}.status", condition.status, allowed)
        if condition.type in DECISIONS and seen & (set(DECISIONS) - {condition.type}):
            causes.invalid(f"{at}.type", condition.type, "Approved and Denied conditions are mutually exclusive")
        if condition.type in seen:
            causes.duplicate(f"{at}.type", condition.type)
        seen.add(condition.type)


def take_decision(changed: Request, sent: Request) -> None:
    """Of what was sent to the approval only the conditions count."""
    before = [condition for condition in changed.status.conditions]
    changed.status.ClearField("conditions")
    changed.status.conditions.extend(sent.status.conditions)
    _stamp(changed, before)


def keep_decision(new: Request, old: Request) -> None:
    """A status that leaves the decision out has not changed it."""
    for type_ in DECISIONS:
        if not _of_type(new, type_):
            new.status.conditions.extend(_of_type(old, type_))
    _stamp(new, list(old.status.conditions))


def _stamp(found: Request, before: Sequence[Condition]) -> None:
    now = times.now()
    for condition in found.status.conditions:
        if times.is_zero(condition.last_update_time):
            condition.last_update_time.CopyFrom(now)
        if times.is_zero(condition.last_transition_time):
            same = [one for one in before if (one.type, one.status) == (condition.type, condition.status)]
            moment = same[0].last_transition_time if same else now
            condition.last_transition_time.CopyFrom(now if times.is_zero(moment) else moment)


def keep_all(new: Request, old: Request) -> None:
    """What is asked for stays."""
    new.spec.CopyFrom(old.spec)
