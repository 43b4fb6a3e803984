"""`python -m raftsman.store`: one member of the store."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from raftsman import logs
from raftsman.store import flags, process


def main(arguments: Sequence[str] | None = None) -> int:
    config = flags.parse(arguments)
    logs.setup(config.log_level)
    return process.run(config)


if __name__ == "__main__":
    sys.exit(main())
