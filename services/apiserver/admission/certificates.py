"""Certificate signing requests: whose they are, and who may approve and sign them (Kubernetes' CertificateApproval,
CertificateSigning and CertificateSubjectRestriction).

Who approves needs the verb `approve` on the signer, who signs the verb `sign`: on `signers` of certificates.k8s.io by
the name of the signer, or `DOMAIN/*`.
"""

from __future__ import annotations

from raftsman.certificates import v1 as certificates
from raftsman.services.apiserver import failures

from .attributes import CREATES, Attributes, Operation, Plugin

KIND = "certificatesigningrequests.certificates.k8s.io"
API_CLIENT = "kubernetes.io/kube-apiserver-client"
MASTERS = "system:masters"
_UPDATES = frozenset({Operation.UPDATE})


async def _say_who(attributes: Attributes) -> None:
    """The server says whose a request is, whatever the request says."""
    user, spec = attributes.call.user, attributes.new.spec
    for field in ("username", "uid", "groups", "extra"):
        spec.ClearField(field)
    spec.username = user.name
    if user.uid:
        spec.uid = user.uid
    spec.groups.extend(user.groups)
    for key, values in user.extra.items():
        spec.extra[key].items.extend(values)


async def _restrict(attributes: Attributes) -> None:
    """errors.Forbidden: nobody becomes an administrator whom no rule binds by a certificate for clients."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    spec = attributes.new.spec
    if spec.signer_name != API_CLIENT:
        return
    subject = x509.load_pem_x509_csr(spec.request).subject
    if any(one.value == MASTERS for one in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)):
        raise _refused(attributes, f"use of {API_CLIENT} signer with {MASTERS} group is not allowed")


async def _approve(attributes: Attributes) -> None:
    _check(attributes, "approve", attributes.old.spec.signer_name)


async def _sign(attributes: Attributes) -> None:
    new, old = attributes.new.status, attributes.old.status
    if new.certificate != old.certificate or _failed(new) != _failed(old):
        _check(attributes, "sign", attributes.old.spec.signer_name)


def _failed(status: certificates.CertificateSigningRequestStatus) -> bool:
    return any(condition.type == "Failed" for condition in status.conditions)


def _check(attributes: Attributes, verb: str, signer: str) -> None:
    decides, user = attributes.api.authorizer.decides, attributes.call.user
    for name in (signer, f"{signer.partition('/')[0]}/*"):
        if decides(user, verb, "certificates.k8s.io", "signers", name=name):
            return
    raise _refused(attributes, f'user not permitted to {verb} requests with signerName "{signer}"')


def _refused(attributes: Attributes, why: str) -> Exception:
    return failures.forbidden(attributes.call.kind.resource, attributes.name, why)


_KINDS = frozenset({KIND})
IDENTITY = Plugin("CertificateIdentity", CREATES, kinds=_KINDS, mutate=_say_who)
APPROVAL = Plugin(
    "CertificateApproval", _UPDATES, kinds=_KINDS, subresources=frozenset({"approval"}), validate=_approve
)
SIGNING = Plugin("CertificateSigning", _UPDATES, kinds=_KINDS, subresources=frozenset({"status"}), validate=_sign)
RESTRICTION = Plugin("CertificateSubjectRestriction", CREATES, kinds=_KINDS, validate=_restrict)
