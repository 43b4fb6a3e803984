"""Auth: users, roles and permissions through the log; passwords are hashed before they get there.

Reads are linearizable. A token is issued for a password that was right at the auth revision at which the log takes the
token: whoever changed it meanwhile is heard. Names that are none are refused as slowly as wrong passwords. Bound:
AUTHENTICATE_TRIES against users that change all the time.
"""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import Message
from raftsman import logs
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from raftsman.store import errors
from raftsman.store.commands import Kind

from .answers import Answers, Context, unary

AUTHENTICATE_TRIES = 10
LOGGED_MAX = 64

log = logs.get(__name__)
_Answer = TypeVar("_Answer", bound=Message)


class Auth(rpc_pb2_grpc.AuthServicer):
    """Authentication, as protos/raftsman/etcd/rpc.proto promises it."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._replica = answers.replica
        self._identity = answers.identity
        self._passwords = answers.identity.passwords

    async def _write(self, kind: Kind, request: Message, context: Context, answer_type: type[_Answer]) -> _Answer:
        who = await self._identity.permit_admin(context)
        answer = await self._answers.write(kind, request, context, answer_type)
        log.info("users or roles changed", kind=kind.name, by=who.user, auth_revision=self._replica.state.auth.revision)
        return answer

    # -- on and off, and logging in

    @unary
    async def AuthEnable(self, request: rpc_pb2.AuthEnableRequest, context: Context) -> rpc_pb2.AuthEnableResponse:
        return await self._write(Kind.AUTH_ENABLE, request, context, rpc_pb2.AuthEnableResponse)

    @unary
    async def AuthDisable(self, request: rpc_pb2.AuthDisableRequest, context: Context) -> rpc_pb2.AuthDisableResponse:
        return await self._write(Kind.AUTH_DISABLE, request, context, rpc_pb2.AuthDisableResponse)

    @unary
    async def AuthStatus(self, request: rpc_pb2.AuthStatusRequest, context: Context) -> rpc_pb2.AuthStatusResponse:
        """For everybody: who signs tokens elsewhere needs the revision before he has one."""
        await self._replica.up_to_date()
        auth = self._replica.state.auth
        return rpc_pb2.AuthStatusResponse(
            header=self._answers.header(), enabled=auth.enabled, authRevision=auth.revision
        )

    @unary
    async def Authenticate(
        self, request: rpc_pb2.AuthenticateRequest, context: Context
    ) -> rpc_pb2.AuthenticateResponse:
        await self._replica.up_to_date()
        for _ in range(AUTHENTICATE_TRIES):
            revision = await self._check_password(request)
            try:
                token = await self._identity.tokens.issue(request.name, revision)
            except errors.StoreError as error:
                if error.text != errors.old_auth_revision().text:
                    raise
            else:
                return rpc_pb2.AuthenticateResponse(header=self._answers.header(), token=token)
        raise errors.old_auth_revision()

    async def _check_password(self, request: rpc_pb2.AuthenticateRequest) -> int:
        """The auth revision at which the password was right."""
        auth = self._replica.state.auth
        if not auth.enabled:
            raise errors.authentication_off()
        revision, user = auth.revision, auth.users.get(request.name)
        hashed = b"" if user is None or user.no_password else user.password
        if not await self._passwords.matches(request.password, hashed):
            log.warning("login refused", user=request.name[:LOGGED_MAX])
            raise errors.authentication_failed()
        return revision

    # -- users

    @unary
    async def UserAdd(self, request: rpc_pb2.AuthUserAddRequest, context: Context) -> rpc_pb2.AuthUserAddResponse:
        await self._identity.permit_admin(context)
        if not request.name:
            raise errors.user_empty()
        request.hashedPassword = "" if request.options.no_password else await self._passwords.hash(request.password)
        request.password = ""
        return await self._write(Kind.USER_ADD, request, context, rpc_pb2.AuthUserAddResponse)

    @unary
    async def UserChangePassword(
        self, request: rpc_pb2.AuthUserChangePasswordRequest, context: Context
    ) -> rpc_pb2.AuthUserChangePasswordResponse:
        await self._identity.permit_admin(context)
        request.hashedPassword = await self._passwords.hash(request.password) if request.password else ""
        request.password = ""
        return await self._write(Kind.USER_CHANGE_PASSWORD, request, context, rpc_pb2.AuthUserChangePasswordResponse)

    @unary
    async def UserDelete(
        self, request: rpc_pb2.AuthUserDeleteRequest, context: Context
    ) -> rpc_pb2.AuthUserDeleteResponse:
        return await self._write(Kind.USER_DELETE, request, context, rpc_pb2.AuthUserDeleteResponse)

    @unary
    async def UserGet(self, request: rpc_pb2.AuthUserGetRequest, context: Context) -> rpc_pb2.AuthUserGetResponse:
        """An admin's, and everybody's about himself."""
        await self._replica.up_to_date()
        who = await self._identity.permit(context)
        auth = self._replica.state.auth
        auth.check_self(who, user=request.name)
        return rpc_pb2.AuthUserGetResponse(header=self._answers.header(), roles=auth.roles_of(request.name))

    @unary
    async def UserList(self, request: rpc_pb2.AuthUserListRequest, context: Context) -> rpc_pb2.AuthUserListResponse:
        await self._replica.up_to_date()
        await self._identity.permit_admin(context)
        users = sorted(self._replica.state.auth.users)
        return rpc_pb2.AuthUserListResponse(header=self._answers.header(), users=users)

    @unary
    async def UserGrantRole(
        self, request: rpc_pb2.AuthUserGrantRoleRequest, context: Context
    ) -> rpc_pb2.AuthUserGrantRoleResponse:
        return await self._write(Kind.USER_GRANT_ROLE, request, context, rpc_pb2.AuthUserGrantRoleResponse)

    @unary
    async def UserRevokeRole(
        self, request: rpc_pb2.AuthUserRevokeRoleRequest, context: Context
    ) -> rpc_pb2.AuthUserRevokeRoleResponse:
        return await self._write(Kind.USER_REVOKE_ROLE, request, context, rpc_pb2.AuthUserRevokeRoleResponse)

    # -- roles

    @unary
    async def RoleAdd(self, request: rpc_pb2.AuthRoleAddRequest, context: Context) -> rpc_pb2.AuthRoleAddResponse:
        return await self._write(Kind.ROLE_ADD, request, context, rpc_pb2.AuthRoleAddResponse)

    @unary
    async def RoleDelete(
        self, request: rpc_pb2.AuthRoleDeleteRequest, context: Context
    ) -> rpc_pb2.AuthRoleDeleteResponse:
        return await self._write(Kind.ROLE_DELETE, request, context, rpc_pb2.AuthRoleDeleteResponse)

    @unary
    async def RoleGet(self, request: rpc_pb2.AuthRoleGetRequest, context: Context) -> rpc_pb2.AuthRoleGetResponse:
        """An admin's, and everybody's about a role of his own."""
        await self._replica.up_to_date()
        who = await self._identity.permit(context)
        auth = self._replica.state.auth
        auth.check_self(who, role=request.role)
        return rpc_pb2.AuthRoleGetResponse(header=self._answers.header(), perm=auth.permissions(request.role))

    @unary
    async def RoleList(self, request: rpc_pb2.AuthRoleListRequest, context: Context) -> rpc_pb2.AuthRoleListResponse:
        await self._replica.up_to_date()
        await self._identity.permit_admin(context)
        roles = sorted(self._replica.state.auth.roles)
        return rpc_pb2.AuthRoleListResponse(header=self._answers.header(), roles=roles)

    @unary
    async def RoleGrantPermission(
        self, request: rpc_pb2.AuthRoleGrantPermissionRequest, context: Context
    ) -> rpc_pb2.AuthRoleGrantPermissionResponse:
        return await self._write(Kind.ROLE_GRANT_PERMISSION, request, context, rpc_pb2.AuthRoleGrantPermissionResponse)

    @unary
    async def RoleRevokePermission(
        self, request: rpc_pb2.AuthRoleRevokePermissionRequest, context: Context
    ) -> rpc_pb2.AuthRoleRevokePermissionResponse:
        return await self._write(
            Kind.ROLE_REVOKE_PERMISSION, request, context, rpc_pb2.AuthRoleRevokePermissionResponse
        )
