"""Who a call comes from: its token, or the name in its client certificate. Asked of every call; free while nobody is.

`permit` is the one question, per call, or per message of a stream that lives longer than a token.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from raftsman.etcd import rpc_pb2
from raftsman.store import errors, tokens
from raftsman.store.mvcc.auth import NOBODY, Who
from raftsman.store.passwords import Passwords
from raftsman.store.replica import Replica

if TYPE_CHECKING:
    from .answers import Context

TOKEN_KEYS = ("token", "authorization")
GATEWAY_KEY = "grpcgateway-accept"
"""Set by a gateway, whose certificate says nothing about who asked it."""


class Identity:
    """Recognises users. `certificates`: the common name of a client's checked certificate is its user."""

    def __init__(self, replica: Replica, settings: tokens.Settings, *, certificates: bool) -> None:
        self._replica = replica
        self._certificates = certificates
        self.tokens = tokens.make(settings, replica)
        self.passwords = Passwords(cost=settings.bcrypt_cost)

    def close(self) -> None:
        self.passwords.close()

    async def permit(self, context: Context) -> Who:
        """The user of a call, NOBODY when it names none or nobody is told apart. Raises invalid_auth_token.

        The answer holds for now: whoever waits for something else meanwhile asks again, or has the state check it.
        """
        auth = self._replica.state.auth
        if not auth.enabled:
            return NOBODY
        metadata = dict(context.invocation_metadata() or ())
        for key in TOKEN_KEYS:
            token = metadata.get(key)
            if isinstance(token, str):
                return await self.tokens.who(token)
        if not self._certificates or GATEWAY_KEY in metadata:
            return NOBODY
        name = next(iter(context.auth_context().get("x509_common_name", ())), b"")
        return Who(name.decode(errors="replace"), auth.revision) if name else NOBODY

    async def permit_user(self, context: Context) -> Who:
        """The same, and it must be somebody while users are told apart. Raises user_empty, permission_denied."""
        if not self._replica.state.auth.enabled:
            return NOBODY
        who = await self.permit(context)
        self._replica.state.auth.check_user(who)
        return who

    async def permit_admin(self, context: Context) -> Who:
        """The same, and it must be one with the role root. Raises user_empty, permission_denied, user_not_found."""
        who = await self.permit(context)
        self._replica.state.auth.check_admin(who)
        return who


_FOR_USERS: dict[str, Callable[[Any], bool]] = {
    "Cluster.MemberList": lambda request: True,
    "Maintenance.Status": lambda request: True,
    "Maintenance.Alarm": lambda request: bool(request.action == rpc_pb2.AlarmRequest.GET),
}
"""What of the guarded services needs no role root: where the others are and how they are."""


def guard(service: str, servicer: object, identity: Identity) -> None:
    """Have every method of a service ask for the role root first, or for a user where that is enough."""
    for method in rpc_pb2.DESCRIPTOR.services_by_name[service].methods:
        for_users = _FOR_USERS.get(f"{service}.{method.name}", lambda request: False)
        served = getattr(servicer, method.name)
        wrap = _guarded_generator if inspect.isasyncgenfunction(served) else _guarded
        setattr(servicer, method.name, wrap(served, identity, for_users))


async def _admit(identity: Identity, request: Any, context: Context, for_users: Callable[[Any], bool]) -> None:
    try:
        await (identity.permit_user(context) if for_users(request) else identity.permit_admin(context))
    except errors.StoreError as error:
        await context.abort(error.code, error.text)


def _guarded(method: Callable[..., Awaitable[Any]], identity: Identity, for_users: Callable[[Any], bool]) -> Any:
    @functools.wraps(method)
    async def wrapped(request: Any, context: Context) -> Any:
        await _admit(identity, request, context, for_users)
        return await method(request, context)

    return wrapped


def _guarded_generator(
    method: Callable[..., AsyncIterator[Any]], identity: Identity, for_users: Callable[[Any], bool]
) -> Any:
    @functools.wraps(method)
    async def wrapped(request: Any, context: Context) -> AsyncIterator[Any]:
        await _admit(identity, request, context, for_users)
        async for answer in method(request, context):
            yield answer

    return wrapped
