"""The Node's status, computed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from raftsman.agents.node import machine, node_status
from raftsman.agents.node.machine import Machine, Pressure
from raftsman.agents.node.runtime import Image
from raftsman.agents.node.settings import Settings
from raftsman.core import v1 as core

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SETTINGS = Settings(node_name="n1", node_ip="192.0.2.1", data_dir=Path("/data"), port=10251)
MACHINE = Machine(2, 4 << 30, 100 << 30, "m", "s", "b", "6.1", "Debian", "amd64")
FACTS = node_status.Facts(MACHINE, Pressure(), None, "podman://4.3.1", "v0.1.0")


def status(facts: node_status.Facts, old: core.NodeStatus | None = None, *, later_s: float = 0) -> core.NodeStatus:
    return node_status.status(old or core.NodeStatus(), SETTINGS, facts, now=NOW + timedelta(seconds=later_s))


def conditions(found: core.NodeStatus) -> dict[str, str]:
    return {c.type: c.status for c in found.conditions}


def test_a_node_says_what_it_has_and_where_it_is() -> None:
    found = status(FACTS)
    assert {name: q.string for name, q in found.capacity.items()} == {
        "cpu": "2",
        "memory": "4194304Ki",
        "ephemeral-storage": "104857600Ki",
        "pods": "110",
    }
    assert found.allocatable["memory"].string == "4091904Ki"
    assert [(a.type, a.address) for a in found.addresses] == [("InternalIP", "192.0.2.1"), ("Hostname", "n1")]
    assert found.daemon_endpoints.kubelet_endpoint.port == 10251


def test_a_node_is_ready_or_says_why_not() -> None:
    assert conditions(status(FACTS)) == {
        "MemoryPressure": "False",
        "DiskPressure": "False",
        "PIDPressure": "False",
        "Ready": "True",
    }
    found = status(replace(FACTS, not_ready="no pod network: refused"))
    ready = next(c for c in found.conditions if c.type == "Ready")
    assert (ready.status, ready.reason, ready.message) == ("False", "KubeletNotReady", "no pod network: refused")


def test_pressure_is_told_in_words() -> None:
    found = status(replace(FACTS, pressure=Pressure(disk="3 MiB are left")))
    disk = next(c for c in found.conditions if c.type == "DiskPressure")
    assert (disk.status, disk.reason, disk.message) == ("True", "KubeletHasDiskPressure", "3 MiB are left")


def test_heartbeats_alone_are_no_change() -> None:
    first = status(FACTS)
    assert node_status.same(first, status(FACTS, first, later_s=60))
    assert not node_status.same(first, status(replace(FACTS, not_ready="x"), first, later_s=60))


def test_images_are_the_largest_with_few_names() -> None:
    images = tuple(Image(str(i), (f"img:{i}",), (), size=i) for i in range(80))
    found = status(replace(FACTS, images=images))
    assert len(found.images) == node_status.IMAGES_MAX
    assert found.images[0].names == ["img:79"]


def test_this_machine_can_be_read() -> None:
    found = machine.read(Path("/tmp"))
    assert found.cpus >= 1
    assert found.memory_allocatable < found.memory_bytes
    assert isinstance(machine.pressure(Path("/tmp")), Pressure)
