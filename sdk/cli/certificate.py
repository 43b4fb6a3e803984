"""`certificate approve` and `certificate deny`: a person decides about certificate signing requests."""

from __future__ import annotations

import click
from raftsman import errors, times
from raftsman.certificates import v1 as certificates

from . import failure
from .session import Session
from .verb import Failure, flag, group, verb

RETRIES_MAX = 10
_REASONS = {"Approved": "RaftsmanApprove", "Denied": "RaftsmanDeny"}

certificate = group("certificate", "Decide about certificate signing requests.")


@certificate.add
@verb()
@click.argument("names", nargs=-1, metavar="NAME…")
@flag("--force", help="Say it again of what is decided so already.")
async def approve(session: Session, names: tuple[str, ...], force: bool) -> None:
    """Approve requests: their signer may issue the certificates."""
    await _decide(session, names, "Approved", force=force)


@certificate.add
@verb()
@click.argument("names", nargs=-1, metavar="NAME…")
@flag("--force", help="Say it again of what is decided so already.")
async def deny(session: Session, names: tuple[str, ...], force: bool) -> None:
    """Deny requests: nobody signs them."""
    await _decide(session, names, "Denied", force=force)


async def _decide(session: Session, names: tuple[str, ...], type_: str, *, force: bool) -> None:
    if not names:
        raise Failure("name one or more certificate signing requests")
    for name in names:
        name = name.rpartition("/")[2]
        try:
            await _decide_one(session, name, type_, force=force)
        except errors.ApiError as error:
            session.fail(failure.text(error))
        else:
            session.say(f"certificatesigningrequest.certificates.k8s.io/{name} {type_.lower()}")


async def _decide_one(session: Session, name: str, type_: str, *, force: bool) -> None:
    """errors.Conflict if others change it all the time."""
    for attempt in range(RETRIES_MAX):
        found = await session.client.get(certificates.CertificateSigningRequest, name)
        same = next((one for one in found.status.conditions if one.type == type_), None)
        if same is not None and not force:
            return
        condition = same if same is not None else found.status.conditions.add(type=type_)
        condition.status, condition.reason = "True", _REASONS[type_]
        condition.message = f"{type_.lower()} with raftsman certificate"
        condition.last_update_time.CopyFrom(times.now())
        try:
            await session.client.update_approval(found)
        except errors.Conflict:
            if attempt + 1 == RETRIES_MAX:
                raise
        else:
            return
