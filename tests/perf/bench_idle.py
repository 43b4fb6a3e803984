"""CPU and memory of a cluster without user pods, 60 s after it was Ready: every process in the node's namespace."""

from __future__ import annotations

import time
from collections import defaultdict

from measure import command_of, cpu_s, processes_in, pss_mib, report
from raftsman.testing import Cluster, Network

SETTLE_S = 60
WATCH_S = 30


def main() -> None:
    with Network() as network, Cluster(network):
        time.sleep(SETTLE_S)
        before = {pid: cpu_s(pid) for pid in processes_in(network.node)}
        time.sleep(WATCH_S)
        memory: dict[str, float] = defaultdict(float)
        cpu: dict[str, float] = defaultdict(float)
        for pid in processes_in(network.node):
            name = command_of(pid)
            memory[name] += pss_mib(pid)
            cpu[name] += (cpu_s(pid) - before.get(pid, 0.0)) / WATCH_S * 100
        for name in sorted(memory):
            report(f"idle_pss[{name}]", memory[name], "MiB")
            report(f"idle_cpu[{name}]", cpu[name], "percent of one core")
        report("idle_pss", sum(memory.values()), "MiB")
        report("idle_cpu", sum(cpu.values()), "percent of one core")


if __name__ == "__main__":
    main()
