"""`edit`: change an object in an editor."""

from __future__ import annotations

import click
from raftsman import codec, errors, manifests, patch
from raftsman.printers import documents

from . import failure, targets
from .session import Session
from .verb import Failure, verb
from .writing import check_written, options_of

ATTEMPTS_MAX = 5
_HEAD = "# Lines that begin with # are left out. An empty file ends the edit. If saving fails, this file opens again.\n"


@verb()
@click.argument("words", nargs=-1, metavar="TYPE/NAME")
async def edit(session: Session, words: tuple[str, ...]) -> None:
    """Change an object in $EDITOR: `edit deploy/web`."""
    from raftsman import custom

    target = targets.one(words, session.namespace)
    before = documents.shown((await targets.fetched(session, target))[0])
    text, said = documents.to_yaml(before), ""
    for _ in range(ATTEMPTS_MAX):
        head = _HEAD + "".join(f"# {line}\n" for line in said.splitlines())
        edited = click.edit(head + "#\n" + text, extension=".yaml")
        text = "".join(line for line in (edited or "").splitlines(True) if not line.startswith("#"))
        if not text.strip():
            session.say("Edit cancelled, no changes made.")
            return
        try:
            found = manifests.parse(text.encode(), source=str(target))
            if len(found) != 1:
                raise Failure("exactly one object is wanted")
            check_written(found[0])
            change = patch.two_way_strategic(before, found[0].value, target.resource.message)
            if not change:
                session.say("Edit cancelled, no changes made.")
                return
            codec.check(codec.from_json(found[0].value, target.resource.message).problems, what=str(target))
            await session.client.patch(
                target.resource.message, target.name, change, namespace=target.namespace,
                type=custom.patch_type(target.resource.message),
                options=options_of("none"),
            )  # fmt: skip
        except errors.ApiError as error:
            said = failure.text(error)
        except Failure as error:
            said = error.message
        else:
            session.say(f"{target} edited")
            return
    raise Failure(said)
