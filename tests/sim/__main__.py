"""`scripts/sim`: many seeds on all processors; what a failing one did, line by line.

Every seed prints nothing unless it fails; then the promise that was broken, the end of the trace and the command that
replays it. `--trace` prints every line of one seed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import count, islice

from .faults import KINDS
from .run import Plan, Result, simulate

LINES_SHOWN = 60


def main() -> int:
    asked = _arguments()
    warnings.simplefilter("ignore", RuntimeWarning)  # coroutines of processes that died before they began
    if asked.trace:
        return _trace(asked)
    started = time.perf_counter()
    failed = total = 0
    jobs = [(seed, asked) for seed in islice(_seeds(asked), asked.seeds)]
    with ProcessPoolExecutor(asked.jobs) as pool:
        for result in pool.map(_one, jobs, chunksize=4):
            total += 1
            if result.broken:
                failed += 1
                _show(result, asked)
                if failed >= asked.failures:
                    pool.shutdown(cancel_futures=True)
                    break
    print(f"{total} seeds, {failed} failed, {time.perf_counter() - started:.1f} s")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/sim", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--seed", default="0", help="the first of them, or the one to trace")
    parser.add_argument("--seconds", type=float, default=0.0, help="simulated seconds of faults; drawn when not given")
    parser.add_argument("--members", type=int, default=0, choices=(0, 1, 3, 5), help="drawn when not given")
    parser.add_argument("--faults", default=None, help=f"drawn when not given; of: {', '.join(KINDS)}")
    parser.add_argument("--resized", action="store_true", help="clusters that grow and shrink; drawn when not given")
    parser.add_argument("--failures", type=int, default=10, help="stop after so many")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--trace", action="store_true", help="run one seed and print everything that happened")
    return parser.parse_args()


def _seeds(asked: argparse.Namespace) -> Iterator[str]:
    if asked.seed.isdigit():
        return (str(number) for number in count(int(asked.seed)))
    return (f"{asked.seed}-{number}" for number in count())


def _plan(seed: str, asked: argparse.Namespace) -> Plan:
    kinds = None if asked.faults is None else [kind.strip() for kind in asked.faults.split(",") if kind.strip()]
    unknown = set(kinds or ()) - set(KINDS)
    if unknown:
        sys.exit(f"no such fault: {', '.join(sorted(unknown))}; there are: {', '.join(KINDS)}")
    plan = Plan.drawn(seed, members=asked.members, seconds=asked.seconds, kinds=kinds)
    return replace(plan, resized=True) if asked.resized else plan


def _one(job: tuple[str, argparse.Namespace]) -> Result:
    warnings.simplefilter("ignore", RuntimeWarning)
    seed, asked = job
    return simulate(_plan(seed, asked))


def _trace(asked: argparse.Namespace) -> int:
    result = simulate(_plan(asked.seed, asked), keep_all=True)
    print(*result.lines, sep="\n")
    print(result.plan)
    print(f"{result.answered} answers, {result.faults} faults, revision {result.revision}, trace {result.fingerprint}")
    print(result.broken or "nothing was broken")
    return 1 if result.broken else 0


def _show(result: Result, asked: argparse.Namespace) -> None:
    print(f"seed {result.plan.seed}: {result.broken}")
    print(*(f"    {line}" for line in result.lines[-LINES_SHOWN:]), sep="\n")
    again = [f"scripts/sim --trace --seed {result.plan.seed}"]
    again += [f"--members {asked.members}"] if asked.members else []
    again += [f"--seconds {asked.seconds}"] if asked.seconds else []
    again += ["--resized"] if asked.resized else []
    again += [f"--faults {asked.faults!r}"] if asked.faults is not None else []
    print(f"    {result.plan}")
    print(f"    replay: {' '.join(again)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
