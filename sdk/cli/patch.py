"""`patch`: change a part of objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import yaml
from raftsman import codec, errors

from . import failure, output, targets
from .session import Session
from .verb import Failure, verb
from .writing import options_of, suffix


@verb()
@click.argument("words", nargs=-1, metavar="TYPE/NAME")
@targets.with_files
@output.with_output
@output.with_dry_run
@click.option("-p", "--patch", default="", metavar="JSON|YAML", help="The patch.")
@click.option("--patch-file", default="", help="A file with the patch.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(["strategic", "merge", "json"]),
    default="strategic",
    help="How the patch is meant.",
)
@click.option("--subresource", type=click.Choice(["", "status", "scale"]), default="", help="Of this subresource.")
async def patch(
    session: Session, words: tuple[str, ...], filenames: tuple[str, ...], recursive: bool, output: str, dry_run: str,
    patch: str, patch_file: str, kind: str, subresource: str,
) -> None:  # fmt: skip
    """Change a part: `patch deploy web -p '{"spec":{"replicas":2}}'`."""
    from raftsman.client import PatchType

    from . import output as formats

    formats.check(output)
    change = _read(patch, patch_file, kind)
    for target, old in await targets.selected(session, words, filenames, recursive=recursive):
        try:
            new = old if dry_run == "client" else await session.client.patch(
                target.resource.message, target.name, change, namespace=target.namespace,
                type=PatchType[kind.upper()], subresource=subresource, options=options_of(dry_run),
            )  # fmt: skip
        except errors.Invalid as error:
            session.fail(failure.text(error))
            continue
        if output:
            formats.objects([(target.resource, new)], output, single=True)
        else:
            unchanged = dry_run == "none" and changed_nothing(old, new, change)
            session.say(f"{target} patched{' (no change)' if unchanged else ''}{suffix(dry_run)}")


def changed_nothing(old: Any, new: Any, change: Any) -> bool:
    """Whether a patch changed nothing of what it names, whatever controllers have written elsewhere meanwhile."""
    if old.metadata.resource_version == new.metadata.resource_version:
        return True
    before, after = codec.to_json(old), codec.to_json(new)
    if isinstance(change, dict):
        return _alike(before, after, change)
    places = {op[key] for op in change for key in ("path", "from") if key in op}
    return all(_at(before, place) == _at(after, place) for place in places)


def _alike(before: Any, after: Any, change: dict[str, Any]) -> bool:
    """Compare what a merge patch names; a map with directives ($patch, $setElementOrder/…) is compared whole."""
    if not isinstance(before, dict) or not isinstance(after, dict) or any(key.startswith("$") for key in change):
        return bool(before == after)
    return all(
        _alike(before.get(key), after.get(key), part) if isinstance(part, dict) else before.get(key) == after.get(key)
        for key, part in change.items()
    )


def _at(value: Any, pointer: str) -> Any:
    """What is at the place that a JSON pointer names; a list, where places move, is the place of all its items."""
    for part in pointer.split("/")[1:]:
        if isinstance(value, list):
            break
        value = value.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(value, dict) else None
    return value


def _read(text: str, file: str, kind: str) -> Any:
    if bool(text) == bool(file):
        raise Failure("must specify --patch or --patch-file, and not both")
    try:
        value = yaml.safe_load(Path(file).read_text() if file else text)
    except OSError as error:
        raise Failure(f"unable to read patch file: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise Failure(f"unable to parse {file or text!r}: {error}") from None
    wanted = list if kind == "json" else dict
    if not isinstance(value, wanted):
        raise Failure(f"a {kind} patch is {'a list of operations' if kind == 'json' else 'an object'}")
    return value
