"""`scripts/robustness`: run after run on real processes, until the time is over; what a broken one did.

Needs root. A run's faults and requests come from its seed; what processes and the kernel do meanwhile does not, so a
seed that broke something may need several tries. `--keep` gets the history and the logs of every broken run.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from itertools import count
from pathlib import Path

from .faults import KINDS
from .run import Plan, run


def main() -> int:
    asked = _arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    kinds = None if asked.faults is None else [kind.strip() for kind in asked.faults.split(",") if kind.strip()]
    if unknown := set(kinds or ()) - set(KINDS):
        sys.exit(f"no such fault: {', '.join(sorted(unknown))}; there are: {', '.join(KINDS)}")
    until = time.monotonic() + 60 * asked.minutes
    runs = broken = 0
    for number in count(asked.seed):
        if number > asked.seed and time.monotonic() > until:
            break
        plan = Plan.drawn(str(number), members=asked.members, seconds=asked.seconds, kinds=kinds)
        result = asyncio.run(run(plan, keep=asked.keep))
        runs += 1
        print(result, flush=True)
        if result.broken:
            broken += 1
            print(*(f"    {line}" for line in result.lines), sep="\n")
            print(f"    {plan}\n    again: scripts/robustness --minutes 0 --seed {number}{_again(asked)}", flush=True)
    print(f"{runs} runs, {broken} broken")
    return 1 if broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/robustness", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="no run begins later")
    parser.add_argument("--seed", type=int, default=1, help="of the first run; the next has the next")
    parser.add_argument("--seconds", type=float, default=0.0, help="of faults in a run; drawn when not given")
    parser.add_argument("--members", type=int, default=0, choices=(0, 1, 3, 5), help="drawn when not given")
    parser.add_argument("--faults", default=None, help=f"drawn when not given; of: {', '.join(KINDS)}")
    parser.add_argument("--keep", type=Path, default=None, help="a folder")
    return parser.parse_args()


def _again(asked: argparse.Namespace) -> str:
    said = [f" --members {asked.members}"] if asked.members else []
    said += [f" --seconds {asked.seconds}"] if asked.seconds else []
    said += [f" --faults {asked.faults!r}"] if asked.faults is not None else []
    return "".join(said)


if __name__ == "__main__":
    sys.exit(main())
