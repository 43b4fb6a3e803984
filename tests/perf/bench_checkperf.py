"""`etcdctl check perf` on the store and on Debian's etcd, one after the other: `scripts/bench checkperf [--load m]`.

etcdctl writes at a rate of its own for a minute (s: 150/s, m: 1,000/s, l: 8,000/s) and says whether throughput, the
slowest request and the deviation pass its limits. One member each, on this machine's disk. Exit code 1 if ours fails.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import report

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))

import etcds
import members

_FIGURES = {
    "throughput": (r"Throughput is (?:too low: )?(\d+)", "writes/s", "higher"),
    "slowest": (r"Slowest request took (?:too long: )?([\d.]+)", "s", "lower"),
    "deviation": (r"Stddev (?:is )?(?:too high: )?([\d.]+)", "s", "lower"),
}


def check(address: str, load: str) -> tuple[bool, dict[str, float]]:
    """Whether it passed, and the figures."""
    command = ["etcdctl", "--endpoints", address, "check", "perf", f"--load={load}", "--auto-compact"]
    done = subprocess.run(command, env=etcds.ENVIRONMENT, capture_output=True, text=True, check=False)
    found = {name: re.search(pattern, done.stdout) for name, (pattern, _, _) in _FIGURES.items()}
    return "FAIL" not in done.stdout, {name: float(match[1]) for name, match in found.items() if match}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--load", choices=("s", "m", "l", "xl"), default="s")
    load = parser.parse_args().load
    with tempfile.TemporaryDirectory(prefix="checkperf-") as folder:
        with members.lone(Path(folder) / "ours") as ours:
            asyncio.run(ours.ready())
            passed, figures = check(ours.address, load)
        with etcds.lone(Path(folder) / "etcd") as etcd:
            _, reference = check(etcd.address, load)
    for name, value in figures.items():
        _, unit, better = _FIGURES[name]
        title = f"checkperf_{name}[{load}]"
        report(title, value, unit, better=better, reference=reference.get(name), reference_name="etcd 3.4")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
