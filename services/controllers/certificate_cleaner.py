"""Remove certificate signing requests that nobody needs any more.

Reads CertificateSigningRequest; deletes those that nobody decided within a day, those decided more than an hour ago,
and those whose certificate has ended. The certificates themselves stay good.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

from raftsman import errors, logs
from raftsman.certificates import v1 as certificates
from raftsman.controller import Controller, Key, Result, Watch

from . import signing_requests

LOOK_AGAIN_S = 60.0
log = logs.get(__name__)


class CertificateCleaner(Controller):
    name = "certificate-cleaner"
    watches = (Watch(certificates.CertificateSigningRequest),)

    async def reconcile(self, key: Key) -> Result | None:
        found = self.cache(certificates.CertificateSigningRequest).get(key)
        if found is None:
            return None
        left = signing_requests.removed_in(found, now=datetime.now(UTC))
        if left > timedelta():
            return Result(max(LOOK_AGAIN_S, left.total_seconds()))
        log.info("signing request removed", request=key, state=[c.type for c in found.status.conditions])
        with contextlib.suppress(errors.NotFound):
            await self.client.delete(certificates.CertificateSigningRequest, key.name, uid=found.metadata.uid)
        return None
