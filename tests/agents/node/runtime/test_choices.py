"""What is chosen and written for Podman, the OCI runtime and the cgroups, without any of them."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raftsman.agents.node.runtime import cgroups, errors, layout, podman_config, spec_generator, specs

HERE = Path("/x")


def sandbox(**changes: object) -> specs.Sandbox:
    given_: dict[str, object] = {
        "pod_uid": "u", "pod_name": "p", "pod_namespace": "n", "hostname": "h", "addresses": ("10.0.0.2",),
        "cgroup": "/r/kubepods/podu", "directory": Path("/nowhere"), "created_at": datetime.now(UTC),
    }  # fmt: skip
    return specs.Sandbox(**{**given_, **changes})


def document(spec: specs.ContainerSpec, **changes: object) -> dict:
    return spec_generator.document(sandbox(**changes), spec, seccomp_profile=Path("/profile"))


def test_both_files_are_toml_that_says_what_was_found(monkeypatch, tmp_path):
    machine = podman_config.Machine(2, "crun", may_raise_limits=False)
    place = layout.Layout.of(tmp_path / 'a "quoted" place')
    written = tomllib.loads(podman_config.containers_conf(place, machine))
    assert written["engine"]["runtime"] == "crun"
    assert written["engine"]["lock_type"] == "file"
    assert len(written["containers"]["default_ulimits"]) == 2
    stored = tomllib.loads(podman_config.storage_conf(place, [Path("/shared")]))
    assert stored["storage"]["graphroot"] == str(place.graph_root)
    assert stored["storage"]["options"]["additionalimagestores"] == ["/shared"]


def test_a_machine_without_podman_or_privilege_is_told_in_a_sentence(monkeypatch):
    monkeypatch.setattr(podman_config.os, "geteuid", lambda: 1000)
    with pytest.raises(errors.Unavailable, match="must run as root"):
        podman_config.detect()
    monkeypatch.setattr(podman_config.os, "geteuid", lambda: 0)
    monkeypatch.setattr(podman_config.shutil, "which", lambda name: None if name == "podman" else name)
    with pytest.raises(errors.Unavailable, match="not installed: podman; `apt-get install"):
        podman_config.detect()


def test_crun_is_taken_where_it_works_and_runc_under_hybrid_cgroups(monkeypatch, tmp_path):
    monkeypatch.setattr(podman_config, "CGROUPS", tmp_path)
    monkeypatch.setattr(podman_config.shutil, "which", lambda name: name)
    assert podman_config._oci_runtime(2) == "crun"
    assert podman_config._oci_runtime(1) == "crun"
    (tmp_path / "unified").mkdir()
    assert podman_config._oci_runtime(1) == "runc"
    monkeypatch.setattr(podman_config.shutil, "which", lambda name: None)
    with pytest.raises(errors.Unavailable, match="install runc"):
        podman_config._oci_runtime(1)


def test_the_quick_seccomp_profile_keeps_every_denial_and_nothing_else():
    deny, allow = {"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}, {"names": ["read"], "action": "SCMP_ACT_ALLOW"}
    made = podman_config.denials({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [deny, allow], "archMap": [1]})
    assert made == {"defaultAction": "SCMP_ACT_ALLOW", "archMap": [1], "syscalls": [deny]}


def test_command_and_arguments_follow_kubernetes_rules():
    base = {"name": "c", "image": "i", "log_path": HERE}
    both = document(specs.ContainerSpec(**base, command=("a",), args=("b",)))
    only_command = document(specs.ContainerSpec(**base, command=("a",)))
    only_args = document(specs.ContainerSpec(**base, args=("b",)))
    neither = document(specs.ContainerSpec(**base))
    assert (both["entrypoint"], both["command"]) == (["a"], ["b"])
    assert (only_command["entrypoint"], only_command["command"]) == (["a"], [])
    assert ("entrypoint" in only_args, only_args["command"]) == (False, ["b"])
    assert "command" not in neither
    assert "entrypoint" not in neither


def test_an_oom_score_is_no_lower_than_this_machine_lets_anybody_set():
    spec = specs.ContainerSpec("c", "i", HERE, resources=specs.Resources(oom_score_adj=-997))
    assert document(spec)["oom_score_adj"] == -997
    made = spec_generator.document(sandbox(), spec, seccomp_profile=Path("/profile"), oom_score_least=0)
    assert made["oom_score_adj"] == 0


def test_a_pods_own_mount_wins_over_the_files_that_all_containers_get(tmp_path):
    (tmp_path / "hosts").write_text("x")
    (tmp_path / "shm").mkdir()
    own = specs.Mount(tmp_path, "/dev/shm/")
    made = document(specs.ContainerSpec("c", "i", HERE, mounts=(own,)), directory=tmp_path)["mounts"]
    assert [mount["destination"] for mount in made] == ["/etc/hosts", "/dev/shm/"]


def test_host_namespaces_are_the_nodes():
    made = document(specs.ContainerSpec("c", "i", HERE), host_network=True, host_pid=True, host_ipc=True)
    assert {made[space]["nsmode"] for space in ("netns", "utsns", "ipcns", "pidns")} == {"host"}


def test_labels_of_ours_cannot_be_taken():
    spec = specs.ContainerSpec("c", "i", HERE, labels={"io.raftsman.pod.uid": "other", "mine": "kept"})
    assert document(spec)["labels"].items() >= {("io.raftsman.pod.uid", "u"), ("mine", "kept")}


@pytest.mark.parametrize(("name", "number"), [("SIGQUIT", 3), ("term", 15), ("9", 9), (" SIGRTMIN ", 34)])
def test_signals_are_read_as_people_write_them(name, number):
    assert spec_generator.signal_number(name) == number


@pytest.mark.parametrize("name", ["", "SIGNONE", "0", "65", "-1"])
def test_what_is_no_signal_is_refused(name):
    with pytest.raises(errors.ContainerFault, match="is not a signal"):
        spec_generator.signal_number(name)


@given(st.integers(2, 262_144), st.integers(2, 262_144))
def test_weights_keep_the_order_of_shares_and_their_bounds(one, other):
    small, large = sorted((one, other))
    assert 1 <= cgroups._weight(small) <= cgroups._weight(large) <= 10_000
    assert cgroups._weight(cgroups._shares(cgroups._weight(one))) == cgroups._weight(one)


def test_cgroups_of_version_two_are_made_limited_balanced_and_removed(tmp_path):
    tree = cgroups.Cgroups("/r", 2, mount=tmp_path)
    tree.prepare()
    pod = cgroups.pod_path("/r", specs.Qos.BURSTABLE, "u")
    limits = specs.Resources(cpu_shares=1024, cpu_quota_us=50_000, memory_limit=1 << 20)
    tree.create_pod(pod, limits)
    files = {name: (tmp_path / pod[1:] / name).read_text() for name in ("cpu.weight", "cpu.max", "memory.max")}
    assert files == {"cpu.weight": "39", "cpu.max": "50000 100000", "memory.max": "1048576"}
    assert (tmp_path / "r/kubepods/burstable/cpu.weight").read_text() == "39"
    assert tree.exists()
    assert tree.oom_kills(pod) == 0
    (tmp_path / pod[1:] / "memory.events").write_text("low 0\noom 2\noom_kill 3\n")
    assert tree.oom_kills(pod) == 3
    with pytest.raises(errors.NotFound):
        tree.usage("/r/none")


def test_instances_differ_by_their_directory_and_not_by_how_it_is_written(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    assert layout.instance_name(tmp_path / "link") == layout.instance_name(tmp_path)
    assert layout.instance_name(tmp_path) != layout.instance_name(tmp_path / "other")
