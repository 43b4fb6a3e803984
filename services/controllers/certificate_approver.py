"""Approve the signing requests by which nodes join the cluster and renew their certificates.

Reads CertificateSigningRequest, asks the API server by SubjectAccessReview whether the requestor may have such a
certificate (`certificatesigningrequests/nodeclient` for a first one, `…/selfnodeclient` for one's own), and writes the
approval. What is no request of a node, or is not allowed, is left to people.
"""

from __future__ import annotations

from raftsman import logs
from raftsman.authorization import v1 as authorization
from raftsman.certificates import v1 as certificates
from raftsman.controller import Controller, Key, Watch

from . import signing_requests
from .signing_requests import Request

log = logs.get(__name__)


def decide(request: Request | None) -> tuple[str, ...]:
    """The subresources of which any one must be allowed to the requestor; none: this is not for us."""
    if request is None or request.spec.signer_name != signing_requests.KUBELET_CLIENT:
        return ()
    if request.status.certificate or signing_requests.has(request, "Approved", "Denied", "Failed"):
        return ()
    try:
        asked = signing_requests.read(request)
    except ValueError:
        return ()
    if signing_requests.wrong(request.spec.signer_name, asked):
        return ()
    own = request.spec.username == asked.common_name
    return ("selfnodeclient", "nodeclient") if own else ("nodeclient",)


class CertificateApprover(Controller):
    name = "certificate-approver"
    watches = (
        Watch(
            certificates.CertificateSigningRequest, field_selector=f"spec.signerName={signing_requests.KUBELET_CLIENT}"
        ),
    )

    async def reconcile(self, key: Key) -> None:
        found = self.cache(certificates.CertificateSigningRequest).get(key)
        for part in decide(found):
            if found is not None and await self._allowed(found, part):
                changed = certificates.CertificateSigningRequest()
                changed.CopyFrom(found)
                changed.status.conditions.add(
                    type="Approved", status="True", reason="AutoApproved",
                    message=f"the requestor may have this certificate of a node ({part})",
                )  # fmt: skip
                log.info("signing request approved", request=key, user=found.spec.username, by=part)
                await self.client.update_approval(changed)
                return

    async def _allowed(self, found: Request, part: str) -> bool:
        spec = found.spec
        question = authorization.SubjectAccessReview()
        question.spec.user, question.spec.uid = spec.username, spec.uid
        question.spec.groups.extend(spec.groups)
        for key, values in spec.extra.items():
            question.spec.extra[key].items.extend(values.items)
        question.spec.resource_attributes.MergeFrom(
            authorization.ResourceAttributes(
                group="certificates.k8s.io", resource="certificatesigningrequests", verb="create", subresource=part,
                version="*",
            )
        )  # fmt: skip
        return (await self.client.create(question)).status.allowed
