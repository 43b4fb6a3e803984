"""Take away everything that the agent's parts made on this node, once the agent has stopped (or was killed).

    python -m raftsman.agents.agent.cleanup --data-dir DIR [--purge] [--grace-s 2]

Pods first (containers, sandboxes, routes, cgroups, mounts), then the proxy's nftables table and the DNS address. Works
from the kernel and the disk, in the node's network namespace; exit code 1 and a line each for what would not go.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from raftsman import logs
from raftsman.agents import dns, proxy
from raftsman.agents.node.runtime import cleanup as pods
from raftsman.agents.node.runtime.layout import DEFAULT_DATA_DIR, Layout


def clean(data_dir: Path, *, purge: bool, grace_s: float) -> tuple[str, ...]:
    """What would not go, a sentence each. Idempotent."""
    report = pods.Report()
    report.failures += asyncio.run(pods.teardown_node(data_dir, purge=purge, grace_s=grace_s))
    report.attempt("the service rules", lambda: proxy.cleanup(Layout.of(data_dir).instance))
    report.attempt("the DNS address", dns.cleanup)
    return tuple(report.failures)


def main() -> None:
    parser = argparse.ArgumentParser(description="Remove all that Raftsman's agent made on this machine.")
    parser.add_argument("--data-dir", type=Path, default=DEFAULT_DATA_DIR)
    parser.add_argument("--purge", action="store_true", help="remove images and Podman's store too")
    parser.add_argument("--grace-s", type=float, default=pods.GRACE_S, help="seconds that containers get to end")
    options = parser.parse_args()
    logs.setup("warning")
    failures = clean(options.data_dir, purge=options.purge, grace_s=options.grace_s)
    for failure in failures:
        print(failure, file=sys.stderr)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
