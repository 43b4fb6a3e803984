"""`raftsman store`: one member of the store in the foreground, in place of this process. `raftsman store restore` too.

The SDK knows nothing of the store but the name of its program; every flag is the store's own (`raftsman store --help`).
"""

from __future__ import annotations

import importlib.util
import os
import sys

import click

_PROGRAM = "raftsman.store"


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def store(arguments: tuple[str, ...]) -> None:
    """Run one member of the store, or `store restore` its data from a backup."""
    if importlib.util.find_spec(_PROGRAM) is None:
        raise click.ClickException("The store is not installed; it comes with raftsman[server].")
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", _PROGRAM, *arguments])
