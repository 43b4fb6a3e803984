"""`python -m raftsman.store`: one member of the store. `… restore`: its data from a backup, `… snapshot`: a backup."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from raftsman import logs
from raftsman.store import flags, process, restore, saving

RESTORE, SNAPSHOT = "restore", "snapshot"


def main(arguments: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == [RESTORE]:
        return restore.main(given[1:])
    if given[:1] == [SNAPSHOT]:
        return saving.main(given[1:])
    config = flags.parse(given)
    logs.setup(config.log_level)
    return process.run(config)


if __name__ == "__main__":
    sys.exit(main())
