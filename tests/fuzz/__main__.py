"""Fuzz one target with atheris, guided by coverage: `scripts/fuzz TARGET [--seconds N] [--corpus FOLDER]`.

Ends with 0 when the time is over and nothing was found; what was found is printed with the bytes that show it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["raftsman", "tests.fuzz"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, required=True, help="a folder that keeps what reached new code")
    args = parser.parse_args()
    args.corpus.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={args.seconds}", "-max_len=600", f"-artifact_prefix={args.corpus}/", str(args.corpus)]
    atheris.Setup([sys.argv[0], *options], TARGETS[args.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
