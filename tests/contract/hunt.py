"""Look for differences: `scripts/contract --sequences 1000 --seed 7`, one line a difference, exit code 1 if any.

Every sequence is named by family and seed; `--only FAMILY:SEED` makes that one alone, on a new pair.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "store")]

from pair import Different, sequence_of, shortened, started  # noqa: E402
from steps import FAMILIES, ODD  # noqa: E402


async def hunt(
    names: list[tuple[str, int]], folder: Path, *, length: int, odd: float, follower: bool, shorten: bool
) -> int:
    """Run sequences, on a new pair after every difference; how many differed."""
    found = 0
    waiting = list(reversed(names))
    while waiting:
        async with started(folder / f"pair-{len(waiting)}", follower=follower) as pair:
            while waiting:
                family, seed = waiting.pop()
                sequence = sequence_of(family, seed, length=length, odd=odd)
                try:
                    await pair.run(sequence)
                except Different as difference:
                    found += 1
                    sys.stdout.write(f"--- {family}:{seed}: {difference}\n")
                    sys.stdout.flush()
                    break
            else:
                return found
        if shorten:
            shorter, told = await shortened(folder / f"short-{family}-{seed}", sequence)
            sys.stdout.write("".join(f"    {step!r}\n" for step in shorter) + f"    => {told}\n")
            sys.stdout.flush()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=1000)
    parser.add_argument("--length", type=int, default=24)
    parser.add_argument("--odd", type=float, default=ODD, help="share of fields that make no sense")
    parser.add_argument("--seed", type=int, default=time.time_ns() & 0xFFFFFF)
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--follower", action="store_true", help="of three members, ask one that does not lead")
    parser.add_argument("--only", help="FAMILY:SEED")
    parser.add_argument("--no-shorten", action="store_true")
    given = parser.parse_args()
    families = given.families.split(",")
    names = [(families[number % len(families)], given.seed + number) for number in range(given.sequences)]
    if given.only:
        family, _, seed = given.only.partition(":")
        names = [(family, int(seed))]
    sys.stdout.write(f"{len(names)} sequences from seed {given.seed}\n")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="contract-") as folder:
        hunting = hunt(
            names,
            Path(folder),
            length=given.length,
            odd=given.odd,
            follower=given.follower,
            shorten=not given.no_shorten,
        )
        found = asyncio.run(hunting)
    sys.stdout.write(f"{found} differences in {len(names)} sequences, {time.monotonic() - began:.0f} s\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
