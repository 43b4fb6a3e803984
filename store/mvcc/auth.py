"""Users, roles and what a role lets its users read and write; whether anybody is told apart at all.

Pure, and in every snapshot. Passwords come hashed, tokens as digests: neither is ever held here in clear. Every change
but `enable` moves `revision`; a request that was let in at an older one is refused when it takes effect, so that no
permission outlives its revocation. Bound: TOKENS_MAX tokens, the oldest go first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from raftsman.etcd import auth_pb2
from raftsman.store import errors

from .index import FROM_KEY

ROOT = "root"
"""The user without whom authentication is not turned on, and the role that may do everything."""
TOKENS_MAX = 20_000
_END: tuple[int, bytes] = (1, b"")
"""After every key."""

Permission = auth_pb2.Permission


class Who(NamedTuple):
    """Who asks: a user as allowed in at an auth revision."""

    user: str
    revision: int


NOBODY = Who("", 0)
ITSELF = Who("", -1)
"""The store: leases that run out, automatic compaction, members and alarms."""


@dataclass(slots=True)
class User:
    """`password` is a bcrypt hash, empty when no password lets this user in."""

    password: bytes
    no_password: bool
    roles: list[str] = field(default_factory=list)


class Token(NamedTuple):
    """Whose it is, and the wall clock of the member that issued it; its expiry is every member's own business."""

    user: str
    issued_s: int


_Bound = tuple[int, bytes]


class _Ranges:
    """Ranges merged: a question is covered by one of them or not at all.

    [a, c) [b, d) x -> [a, d) [x, x\\0): a..d is covered although neither grant covers it alone.
    """

    def __init__(self, ranges: Iterable[tuple[_Bound, _Bound]]) -> None:
        self._starts: list[_Bound] = []
        self._ends: list[_Bound] = []
        for start, end in sorted(ranges):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def cover(self, key: bytes, range_end: bytes) -> bool:
        start, end = _interval(key, range_end)
        place = bisect_right(self._starts, start) - 1
        return place >= 0 and end <= self._ends[place]


def _interval(key: bytes, range_end: bytes) -> tuple[_Bound, _Bound]:
    """Half open. An empty range counts as its first key, so that asking for nothing needs a permission too."""
    after = (0, key + b"\0")
    if not range_end:
        return (0, key), after
    return (0, key), _END if range_end == FROM_KEY else max(after, (0, range_end))


class Auth:
    """A part of the state.

    enable needs the user root with the role root; while enabled neither can be taken apart:

        user_add root, user_grant_role root root, enable    requests need a user from here on
        role_add r, role_grant_permission r READ [a, c)
        user_add u, user_grant_role u r                     u reads a and b and nothing else
    """

    def __init__(self) -> None:
        self.enabled = False
        self.revision = 1
        self.users: dict[str, User] = {}
        self.roles: dict[str, list[auth_pb2.Permission]] = {}
        self.tokens: dict[bytes, Token] = {}
        self._merged: dict[str, tuple[_Ranges, _Ranges]] = {}

    # -- questions

    def check_read(self, who: Who, key: bytes, range_end: bytes = b"") -> None:
        """Raises user_empty, old_auth_revision, permission_denied."""
        if self.enabled and not self._unbounded(who) and not self._ranges(who.user)[0].cover(key, range_end):
            raise errors.permission_denied()

    def check_write(self, who: Who, key: bytes, range_end: bytes = b"") -> None:
        """Raises user_empty, old_auth_revision, permission_denied."""
        if self.enabled and not self._unbounded(who) and not self._ranges(who.user)[1].cover(key, range_end):
            raise errors.permission_denied()

    def check_user(self, who: Who) -> None:
        """Whether this is anybody. Raises user_empty, permission_denied."""
        if not self.enabled or who == ITSELF:
            return
        if not who.user:
            raise errors.user_empty()
        if who.user not in self.users:
            raise errors.permission_denied()

    def check_admin(self, who: Who) -> None:
        """Whether this is one with the role root. Raises user_empty, user_not_found, permission_denied."""
        if not self.enabled or who == ITSELF:
            return
        if not who.user:
            raise errors.user_empty()
        if not self.is_root(self._user(who.user)):
            raise errors.permission_denied()

    def check_self(self, who: Who, *, user: str | None = None, role: str | None = None) -> None:
        """An admin, or somebody who asks about himself or a role of his own."""
        asking = self.users.get(who.user)
        if user is not None and user == who.user and asking is not None:
            return
        if role is None or asking is None or role not in asking.roles:
            self.check_admin(who)

    def _unbounded(self, who: Who) -> bool:
        if who == ITSELF:
            return True
        if not who.revision:
            raise errors.user_empty()
        if who.revision < self.revision:
            raise errors.old_auth_revision()
        user = self.users.get(who.user)
        if user is None:
            raise errors.permission_denied()
        return self.is_root(user)

    @staticmethod
    def is_root(user: User) -> bool:
        return ROOT in user.roles

    def _ranges(self, name: str) -> tuple[_Ranges, _Ranges]:
        """What a user may read and what he may write, until something changes."""
        found = self._merged.get(name)
        if found is None:
            granted = [each for role in self.users[name].roles for each in self.roles.get(role, ())]
            intervals = [(each.permType, _interval(each.key, each.range_end)) for each in granted]
            found = (
                _Ranges(interval for kind, interval in intervals if kind != Permission.WRITE),
                _Ranges(interval for kind, interval in intervals if kind != Permission.READ),
            )
            self._merged[name] = found
        return found

    def _user(self, name: str) -> User:
        user = self.users.get(name)
        if user is None:
            raise errors.user_not_found()
        return user

    def permissions(self, role: str) -> list[auth_pb2.Permission]:
        """What a role was granted. Raises role_not_found."""
        if role not in self.roles:
            raise errors.role_not_found()
        if role == ROOT:
            return [Permission(permType=Permission.READWRITE, range_end=FROM_KEY)]
        return self.roles[role]

    def roles_of(self, user: str) -> list[str]:
        """Raises user_not_found."""
        return self._user(user).roles

    # -- commands

    def enable(self) -> None:
        if self.enabled:
            return
        root = self.users.get(ROOT)
        if root is None:
            raise errors.root_user_missing()
        if not self.is_root(root):
            raise errors.root_role_missing()
        self.enabled = True

    def disable(self) -> None:
        if self.enabled:
            self.enabled = False
            self.tokens.clear()
            self._changed()

    def authenticate(self, user: str, digest: bytes, *, issued_s: int, revision: int) -> None:
        """Take a token for a user whose password was right at `revision`."""
        if not self.enabled:
            raise errors.authentication_off()
        known = self.users.get(user)
        if known is None or known.no_password:
            raise errors.authentication_failed()
        if revision != self.revision:
            raise errors.old_auth_revision()
        self.tokens[digest] = Token(user, issued_s)
        while len(self.tokens) > TOKENS_MAX:
            del self.tokens[next(iter(self.tokens))]

    def user_add(self, name: str, password: bytes, *, no_password: bool = False) -> None:
        if not name:
            raise errors.user_empty()
        if name in self.users:
            raise errors.user_exists()
        self.users[name] = User(b"" if no_password else password, no_password)
        self._changed()

    def user_delete(self, name: str) -> None:
        if self.enabled and name == ROOT:
            raise errors.invalid_auth_management()
        self._user(name)
        del self.users[name]
        self._forget_tokens(name)
        self._changed()

    def user_change_password(self, name: str, password: bytes) -> None:
        user = self._user(name)
        if not user.no_password:
            user.password = password
        self._forget_tokens(name)
        self._changed()

    def user_grant_role(self, name: str, role: str) -> None:
        user = self._user(name)
        if role != ROOT and role not in self.roles:
            raise errors.role_not_found()
        if role not in user.roles:
            user.roles = sorted([*user.roles, role])
            self._changed()

    def user_revoke_role(self, name: str, role: str) -> None:
        if self.enabled and name == ROOT and role == ROOT:
            raise errors.invalid_auth_management()
        user = self._user(name)
        if role not in user.roles:
            raise errors.role_not_granted()
        user.roles = [each for each in user.roles if each != role]
        self._changed()

    def role_add(self, name: str) -> None:
        if not name:
            raise errors.role_empty()
        if name in self.roles:
            raise errors.role_exists()
        self.roles[name] = []
        self._changed()

    def role_delete(self, name: str) -> None:
        if self.enabled and name == ROOT:
            raise errors.invalid_auth_management()
        if name not in self.roles:
            raise errors.role_not_found()
        del self.roles[name]
        for user in self.users.values():
            user.roles = [each for each in user.roles if each != name]
        self._changed()

    def role_grant_permission(self, name: str, permission: auth_pb2.Permission) -> None:
        """Add a permission, or change the type of the one for the same range."""
        granted = self._granted(name)
        key, range_end = permission.key, permission.range_end
        if permission.permType not in Permission.Type.values() or not key:
            raise errors.invalid_auth_management()
        if range_end and range_end != FROM_KEY and range_end <= key:
            raise errors.invalid_auth_management()
        kept = Permission(permType=permission.permType, key=key, range_end=range_end)
        changed = [kept if (each.key, each.range_end) == (key, range_end) else each for each in granted]
        self.roles[name] = changed if kept in changed else sorted([*granted, kept], key=lambda each: each.key)
        self._changed()

    def role_revoke_permission(self, name: str, key: bytes, range_end: bytes) -> None:
        granted = self._granted(name)
        others = [each for each in granted if (each.key, each.range_end) != (key, range_end)]
        if len(others) == len(granted):
            raise errors.permission_not_granted()
        self.roles[name] = others
        self._changed()

    def _granted(self, role: str) -> list[auth_pb2.Permission]:
        if role not in self.roles:
            raise errors.role_not_found()
        return self.roles[role]

    def _forget_tokens(self, user: str) -> None:
        self.tokens = {digest: token for digest, token in self.tokens.items() if token.user != user}

    def _changed(self) -> None:
        self.revision += 1
        self._merged.clear()

    # -- state.Part

    def dump(self) -> dict[str, object]:
        """By name, so that what is added later is missed nowhere."""
        return {
            "enabled": self.enabled,
            "revision": self.revision,
            "users": [(name, user.password, user.no_password, user.roles) for name, user in self.users.items()],
            "roles": [(name, [each.SerializeToString() for each in granted]) for name, granted in self.roles.items()],
            "tokens": [(digest, *token) for digest, token in self.tokens.items()],
        }

    def load(self, dumped: dict[str, Any]) -> None:
        self.enabled = dumped["enabled"]
        self.revision = dumped["revision"]
        self.users = {
            name: User(password, no_password, list(roles)) for name, password, no_password, roles in dumped["users"]
        }
        self.roles = {name: [Permission.FromString(each) for each in granted] for name, granted in dumped["roles"]}
        self.tokens = {digest: Token(user, issued_s) for digest, user, issued_s in dumped["tokens"]}
