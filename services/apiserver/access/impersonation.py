"""Acting as somebody else: who has the right to impersonate says for whom a request counts (`kubectl --as`).

Asked for by headers, or metadata of the same names: Impersonate-User, -Group, -Uid, and -Extra-KEY. Each user, group,
uid and extra value is a right of its own; a service account's name needs the right on service accounts.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote

from raftsman import errors

from .authorization import Authorizer
from .identity import ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, User

PREFIX = "impersonate-"
_EXTRA = "extra-"
_ACCOUNT = "system:serviceaccount:"
_GROUP = "authentication.k8s.io"


def impersonated(authorizer: Authorizer, user: User, headers: Iterable[tuple[str, str]]) -> User:
    """Who the request counts for; `headers` in lower case. errors.Forbidden if `user` may not act as them."""
    asked = [(name.removeprefix(PREFIX), value) for name, value in headers if name.startswith(PREFIX)]
    if not asked:
        return user
    name, uid = "", ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}
    for what, value in asked:
        if what == "user":
            name = value
        elif what == "uid":
            uid = value
        elif what == "group":
            groups.append(value)
        elif what.startswith(_EXTRA):
            extra.setdefault(unquote(what.removeprefix(_EXTRA)), []).append(value)
    if not name:
        raise errors.BadRequest("impersonation needs the header Impersonate-User beside the others")
    _check(authorizer, user, name, groups, uid, extra)
    return User(name, _groups(name, groups), uid, {key: tuple(values) for key, values in extra.items()})


def _check(
    authorizer: Authorizer, user: User, name: str, groups: list[str], uid: str, extra: dict[str, list[str]]
) -> None:
    if name.startswith(_ACCOUNT) and name.count(":") == 3:
        _, _, namespace, account = name.split(":")
        _need(authorizer, user, "", "serviceaccounts", account, namespace=namespace)
    else:
        _need(authorizer, user, "", "users", name)
    for group in groups:
        _need(authorizer, user, "", "groups", group)
    if uid:
        _need(authorizer, user, _GROUP, "uids", uid)
    for key, values in extra.items():
        for value in values:
            _need(authorizer, user, _GROUP, f"userextras/{key}", value)


def _need(authorizer: Authorizer, user: User, group: str, what: str, name: str, *, namespace: str = "") -> None:
    if authorizer.decides(user, "impersonate", group, what, namespace=namespace, name=name):
        return
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    raise errors.Forbidden(
        f'{what} "{name}" is forbidden: User "{user.name}" cannot impersonate resource "{what}" in API group '
        f'"{group}" {where}'
    )


def _groups(name: str, asked: list[str]) -> tuple[str, ...]:
    """Those asked for, and the one that everybody of that kind has."""
    if name == ANONYMOUS.name:
        return (*asked, UNAUTHENTICATED)
    groups = list(asked)
    if name.startswith(_ACCOUNT) and name.count(":") == 3 and not asked:
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{name.split(':')[2]}"]
    return (*groups, *(() if AUTHENTICATED in groups else (AUTHENTICATED,)))
