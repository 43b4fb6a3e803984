"""`create role`, `clusterrole`, `rolebinding`, `clusterrolebinding`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from .. import output, targets  # noqa: TID252
from ..create import described, made  # noqa: TID252
from ..session import Session  # noqa: TID252
from ..verb import Failure, Group, verb  # noqa: TID252

GROUP = "rbac.authorization.k8s.io"


def _with_rules(function: Callable[..., Any]) -> Callable[..., Any]:
    for names, metavar, text in (
        (("--resource", "resources"), "TYPE[.GROUP][/SUB]", "What the rule is about; with commas for several."),
        (("--resource-name", "names"), "NAME", "Only the objects of this name."),
        (("--verb", "verbs"), "VERB", "What may be done; with commas for several."),
    ):
        function = click.option(*names, multiple=True, metavar=metavar, help=text)(function)
    return function


def _words(given: Sequence[str]) -> list[str]:
    """Values of a flag that takes several, by commas too; each once."""
    return list(dict.fromkeys(word for value in given for word in value.split(",") if word))


def _rules(verbs: Sequence[str], resources: Sequence[str], names: Sequence[str], urls: Sequence[str]) -> list[Any]:
    if not _words(verbs):
        raise Failure("at least one verb must be specified")
    if not resources and not urls:
        raise Failure("one of --resource and --non-resource-url must be specified")
    groups: dict[str, list[str]] = {}
    for word in _words(resources):
        kind, slash, sub = word.partition("/")
        found = targets.resource_of(kind) if kind != "*" else None
        group, name = (found.group, found.name) if found is not None else ("*", "*")
        groups.setdefault(group, []).append(f"{name}{slash}{sub}")
    rules: list[Any] = [
        {"verbs": _words(verbs), "apiGroups": [group], "resources": kinds,
         **({"resourceNames": list(names)} if names else {})}
        for group, kinds in groups.items()
    ]  # fmt: skip
    if urls:
        rules.append({"verbs": _words(verbs), "nonResourceURLs": _words(urls)})
    return rules


@verb("role")
@click.argument("name")
@_with_rules
@output.with_output
@output.with_dry_run
async def role(
    session: Session, name: str, verbs: tuple[str, ...], names: tuple[str, ...], resources: tuple[str, ...],
    output: str, dry_run: str,
) -> None:  # fmt: skip
    """A role with one rule for each API group."""
    rules = _rules(verbs, resources, names, ())
    await made(session, described(f"{GROUP}/v1", "Role", name, rules=rules), (output, dry_run))


@verb("clusterrole")
@click.argument("name")
@_with_rules
@click.option("--non-resource-url", "urls", multiple=True, metavar="PATH", help="A path that is no object.")
@click.option("--aggregation-rule", "labels", default="", metavar="KEY=VALUE,…", help="Made of roles so labelled.")
@output.with_output
@output.with_dry_run
async def clusterrole(
    session: Session, name: str, verbs: tuple[str, ...], names: tuple[str, ...], resources: tuple[str, ...],
    urls: tuple[str, ...], labels: str, output: str, dry_run: str,
) -> None:  # fmt: skip
    """A cluster role."""
    if labels:
        if verbs or resources or urls:
            raise Failure("--aggregation-rule does not go with rules of one's own")
        pairs = dict(pair.split("=", 1) for pair in labels.split(",") if "=" in pair)
        fields: dict[str, Any] = {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": pairs}]}}
    else:
        fields = {"rules": _rules(verbs, resources, names, urls)}
    await made(session, described(f"{GROUP}/v1", "ClusterRole", name, **fields), (output, dry_run))


def _with_subjects(function: Callable[..., Any]) -> Callable[..., Any]:
    for names, metavar, text in (
        (("--user", "users"), "NAME", "A user."),
        (("--group", "groups"), "NAME", "A group."),
        (("--serviceaccount", "accounts"), "NAMESPACE:NAME", "A service account."),
    ):
        function = click.option(*names, multiple=True, metavar=metavar, help=text)(function)
    return function


def _subjects(users: Sequence[str], groups: Sequence[str], accounts: Sequence[str]) -> list[dict[str, str]]:
    found = [{"apiGroup": GROUP, "kind": "User", "name": user} for user in users]
    found += [{"apiGroup": GROUP, "kind": "Group", "name": group} for group in groups]
    for account in accounts:
        namespace, colon, name = account.partition(":")
        if not (colon and namespace and name):
            raise Failure(f"serviceaccount must be <namespace>:<name>, not {account}")
        found.append({"kind": "ServiceAccount", "name": name, "namespace": namespace})
    return found


@verb("rolebinding")
@click.argument("name")
@click.option("--role", default="", help="The role.")
@click.option("--clusterrole", default="", help="The cluster role, for this namespace.")
@_with_subjects
@output.with_output
@output.with_dry_run
async def rolebinding(
    session: Session, name: str, role: str, clusterrole: str, users: tuple[str, ...], groups: tuple[str, ...],
    accounts: tuple[str, ...], output: str, dry_run: str,
) -> None:  # fmt: skip
    """A role for some subjects, in one namespace."""
    if bool(role) == bool(clusterrole):
        raise Failure("exactly one of clusterrole or role must be specified")
    reference = {"apiGroup": GROUP, "kind": "Role" if role else "ClusterRole", "name": role or clusterrole}
    fields = {"roleRef": reference, "subjects": _subjects(users, groups, accounts)}
    await made(session, described(f"{GROUP}/v1", "RoleBinding", name, **fields), (output, dry_run))


@verb("clusterrolebinding")
@click.argument("name")
@click.option("--clusterrole", required=True, help="The cluster role.")
@_with_subjects
@output.with_output
@output.with_dry_run
async def clusterrolebinding(
    session: Session, name: str, clusterrole: str, users: tuple[str, ...], groups: tuple[str, ...],
    accounts: tuple[str, ...], output: str, dry_run: str,
) -> None:  # fmt: skip
    """A cluster role for some subjects, everywhere."""
    reference = {"apiGroup": GROUP, "kind": "ClusterRole", "name": clusterrole}
    fields = {"roleRef": reference, "subjects": _subjects(users, groups, accounts)}
    await made(session, described(f"{GROUP}/v1", "ClusterRoleBinding", name, **fields), (output, dry_run))


def add(create: click.Group, secret: Group) -> None:
    for command in (role, clusterrole, rolebinding, clusterrolebinding):
        create.add_command(command)
