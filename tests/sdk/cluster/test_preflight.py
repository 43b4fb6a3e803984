"""What stands in the way of a cluster is said in a sentence, before anything is started."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from raftsman.cluster import preflight
from raftsman.cluster.layout import Layout
from raftsman.cluster.settings import Settings

SETTINGS = Settings("node-1", "192.0.2.7")


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setattr("raftsman.cluster.layout.RUN_ROOT", tmp_path / "run")
    return Layout.of(tmp_path / "data")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def with_free_ports(**changes: object) -> Settings:
    ports = {name: free_port() for name in SETTINGS.ports()}
    return Settings("node-1", "192.0.2.7", **{**ports, **changes})  # type: ignore[arg-type]


def test_a_port_in_use_is_named(layout: Layout) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        settings = with_free_ports(agent_port=taken.getsockname()[1])
        with pytest.raises(preflight.PreflightError, match=r"Port \d+ \(agent\) cannot be used"):
            preflight.check(layout, settings)


def test_a_range_that_is_routed_already_is_named(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "routes", lambda: [(preflight.ipaddress.IPv4Network("10.244.3.0/24"), "wg0")])
    with pytest.raises(preflight.PreflightError, match=r"10\.244\.3\.0/24.*wg0.*--pod-cidr"):
        preflight.check(layout, with_free_ports())


@pytest.mark.parametrize("device", ["rm0123456789ab", "lo", "*"])
def test_routes_of_a_killed_cluster_are_told_from_others(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr(preflight, "routes", lambda: [(preflight.ipaddress.IPv4Network("10.244.0.2/32"), device)])
    with pytest.raises(preflight.PreflightError, match="cluster that was killed"):
        preflight.check(layout, with_free_ports())
    layout.data_dir.mkdir()
    layout.settings_file.write_text("{}")
    preflight.check(layout, with_free_ports())


def test_a_missing_program_is_named_with_its_package(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "EXTRA_PATHS", ())
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(preflight.PreflightError, match="apt-get install podman"):
        preflight.check(layout, with_free_ports())


def test_the_sdk_alone_says_that_it_cannot_run_a_cluster(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "MODULES", ("no_such_module",))
    with pytest.raises(preflight.PreflightError, match=r"pip install raftsman\[node\]"):
        preflight.check(layout, with_free_ports())


@pytest.mark.root
@pytest.mark.parametrize("verb", ["up", "down"])
def test_without_root_the_command_says_what_it_needs(tmp_path: Path, verb: str) -> None:
    command = [Path(sys.executable).with_name("raftsman"), verb, f"--data-dir={tmp_path}/data"]
    # In a user namespace without a mapping this is nobody, who can still read the checkout.
    done = subprocess.run(
        ["unshare", "--user", *map(str, command)], capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 1
    assert "needs root" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_default_address_is_not_loopback() -> None:
    address = preflight.default_address()
    assert address is None or not address.startswith("127.")
