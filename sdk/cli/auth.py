"""`auth`: who we are to the server."""

from __future__ import annotations

import sys

from raftsman.printers import Writer

from .session import Session
from .verb import group, verb

auth = group("auth", "Who we are to the server.")


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
