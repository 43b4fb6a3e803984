"""What the benchmarks share: one JSON object a line, and looking at the processes of a network namespace."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def report(
    name: str, value: float, unit: str, *, better: str = "lower", reference: float | None = None,
    reference_name: str | None = None,
) -> None:  # fmt: skip
    """Print one result. `reference` was measured in the same run, under the same load."""
    line: dict[str, object] = {"name": name, "value": round(value, 4), "unit": unit, "better": better}
    if reference is not None:
        line |= {"reference": round(reference, 4), "reference_name": reference_name}
    print(json.dumps(line), flush=True)


def processes_in(namespace: str) -> Iterator[int]:
    """The processes whose network namespace is /run/netns/NAMESPACE."""
    inode = os.stat(f"/run/netns/{namespace}").st_ino
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.stat(entry / "ns/net").st_ino == inode:
                yield int(entry.name)
        except OSError:
            continue


def command_of(pid: int) -> str:
    """The words of a process's command line, short."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    if "-m" in words:
        return words[words.index("-m") + 1].removeprefix("raftsman.")
    return " ".join([Path(words[0]).name, *words[1:3]]).strip()


def pss_mib(pid: int) -> float:
    """Proportional set size in MiB (proc(5), smaps_rollup)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def rss_mib(pid: int) -> float:
    """Resident set size in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S
