"""`auth`: who we are to the server, and what we may do."""

from __future__ import annotations

import sys
from typing import Any

import click
from raftsman.printers import Writer

from . import targets
from .session import Session
from .verb import Failure, flag, group, verb

auth = group("auth", "Who we are to the server, and what we may do.")


@auth.add
@verb()
async def whoami(session: Session) -> None:
    """Print the user and the groups that the server sees."""
    found = await session.client.whoami()
    rows = [["ATTRIBUTE", "VALUE"], ["Username", found.username]]
    if found.uid:
        rows.append(["UID", found.uid])
    rows.append(["Groups", f"[{' '.join(found.groups)}]"])
    Writer(sys.stdout).write(rows)


@auth.add
@verb("can-i")
@click.argument("words", nargs=-1, metavar="VERB [TYPE | TYPE/NAME | PATH]")
@click.option("--subresource", default="", help="A subresource of the type.")
@flag("-A", "--all-namespaces", help="In all namespaces.")
@flag("-q", "--quiet", help="Say nothing; the exit code tells.")
@flag("--list", "listed", help="Print everything that we may do in the namespace.")
@flag("--no-headers", help="With --list: without the line of headers.")
async def can_i(
    session: Session, words: tuple[str, ...], subresource: str, all_namespaces: bool, quiet: bool, listed: bool,
    no_headers: bool,
) -> int | None:  # fmt: skip
    """Ask whether something may be done: `auth can-i create pods`; exit code 1 if not."""
    namespace = "" if all_namespaces else session.namespace
    if listed:
        await _list(session, namespace, no_headers)
        return None
    if len(words) not in (2, 3):
        raise Failure("you must specify two or three arguments: verb, resource, and optional resourceName")
    allowed, reason = await _asked(session, words, subresource, namespace)
    if not quiet:
        session.say("yes" if allowed else f"no{f' - {reason}' if reason else ''}")
    return None if allowed else 1


async def _asked(session: Session, words: tuple[str, ...], subresource: str, namespace: str) -> tuple[bool, str]:
    from raftsman.authorization import v1 as authorization

    review = authorization.SelfSubjectAccessReview()
    verb_, what = words[:2]
    if what.startswith("/"):
        review.spec.non_resource_attributes.verb, review.spec.non_resource_attributes.path = verb_, what
    else:
        kind, _, name = what.partition("/")
        attributes: Any = review.spec.resource_attributes
        attributes.verb, attributes.namespace, attributes.subresource = verb_, namespace, subresource
        attributes.name = words[2] if len(words) == 3 else name
        if kind == "*":
            attributes.resource = attributes.group = "*"
        else:
            resource = targets.resource_of(kind)
            attributes.resource, attributes.group = resource.name, resource.group
            if not resource.namespaced:
                attributes.namespace = ""
    status = (await session.client.create(review)).status
    return status.allowed, status.reason


async def _list(session: Session, namespace: str, no_headers: bool) -> None:
    from raftsman.authorization import v1 as authorization

    review = authorization.SelfSubjectRulesReview()
    review.spec.namespace = namespace or "default"
    status = (await session.client.create(review)).status
    head = ["Resources", "Non-Resource URLs", "Resource Names", "Verbs"]
    rows = [
        [f"{resource}.{group}" if group else resource, "[]", _row(rule.resource_names), _row(rule.verbs)]
        for rule in status.resource_rules for group in rule.api_groups for resource in rule.resources
    ]  # fmt: skip
    rows += [["", _row([url]), "[]", _row(rule.verbs)] for rule in status.non_resource_rules
             for url in rule.non_resource_urls]  # fmt: skip
    Writer(sys.stdout).write([*([] if no_headers else [head]), *rows])


def _row(words: Any) -> str:
    return f"[{' '.join(words)}]"
