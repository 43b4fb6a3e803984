"""`python -m raftsman.agents.agent`."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")  # read as grpc is imported; forks here only exec

from .main import main

if __name__ == "__main__":
    sys.exit(main())
