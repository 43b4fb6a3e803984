"""From pods to what the runtime is asked for: mounts, security, credentials."""

from __future__ import annotations

from pathlib import Path

import pytest
from raftsman.agents.node.pods import credentials, security, specs
from raftsman.agents.node.pods.environment import ConfigFault
from raftsman.agents.node.pods.observation import IMAGE_LABEL
from raftsman.agents.node.runtime import Credentials, Dns, Image, Propagation
from raftsman.agents.node.settings import Settings
from raftsman.agents.node.volumes.volume_path import VolumePath
from raftsman.core import v1 as core

from .builders import SANDBOX, pod

SETTINGS = Settings(node_name="n1", node_ip="192.0.2.1", data_dir=Path("/data"))


def image(user: str = "") -> Image:
    return Image(id="abc", tags=("img:1",), digests=("img@sha256:1",), size=1, user=user)


def around(volumes: dict[str, VolumePath] | None = None, env: dict[str, str] | None = None) -> specs.Surroundings:
    return specs.Surroundings(SANDBOX, image(), env or {}, volumes or {}, memory_capacity=1 << 30)


def test_commands_and_arguments_see_the_variables() -> None:
    made = pod()
    (web,) = made.spec.containers
    web.command.extend(["sh", "$(A)"])
    web.args.append("$$(A)")
    found = specs.container_spec(made, web, around(env={"A": "1"}), attempt=2, settings=SETTINGS)
    assert (found.command, found.args, found.attempt) == (("sh", "1"), ("$(A)",), 2)
    assert found.log_path == Path("/data/pods/uid-1/logs/web/2.log")
    assert found.labels[IMAGE_LABEL] == "img@sha256:1"
    assert found.mounts[-1].target == "/dev/termination-log"


def test_mounts_of_configuration_are_read_only_whatever_they_ask() -> None:
    mount = core.VolumeMount(name="v", mount_path="/m", mount_propagation="HostToContainer")
    found = specs.mount_of(mount, around({"v": VolumePath(Path("/v"), read_only=True)}))
    assert (found.read_only, found.propagation) == (True, Propagation.HOST_TO_CONTAINER)


def test_a_sub_path_is_made_where_it_may_be(tmp_path: Path) -> None:
    mount = core.VolumeMount(name="v", mount_path="/m", sub_path_expr="logs/$(POD)")
    found = specs.mount_of(mount, around({"v": VolumePath(tmp_path)}, {"POD": "p1"}))
    assert found.source == tmp_path / "logs/p1"
    assert found.source.is_dir()


@pytest.mark.parametrize("part", ["../x", "/etc", "a/../../x"])
def test_a_sub_path_that_names_a_way_out_is_refused(tmp_path: Path, part: str) -> None:
    with pytest.raises(ConfigFault, match="subPath"):
        specs.inside(VolumePath(tmp_path), part)


def test_a_link_in_a_volume_leads_nowhere_outside(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "volume/link").symlink_to(tmp_path / "secret")
    with pytest.raises(ConfigFault, match="leads out"):
        specs.inside(VolumePath(tmp_path / "volume"), "link/x")


def test_a_missing_volume_is_a_configuration_fault() -> None:
    with pytest.raises(ConfigFault, match='volume "v"'):
        specs.mount_of(core.VolumeMount(name="v", mount_path="/m"), around())


def test_the_sandbox_has_names_and_resolution() -> None:
    made = pod()
    made.spec.host_aliases.add(ip="192.0.2.7", hostnames=["db"])
    made.spec.security_context.sysctls.add(name="net.ipv4.tcp_syncookies", value="1")
    found = specs.sandbox_spec(made, SETTINGS, Dns())
    assert (found.hostname, found.host_aliases[0].names) == ("web", ("db",))
    assert found.dns is not None
    assert found.dns.servers == ("10.96.0.10",)
    assert found.sysctls == {"net.ipv4.tcp_syncookies": "1"}


def test_the_containers_own_security_wins() -> None:
    made = pod()
    made.spec.security_context.run_as_user = 1000
    made.spec.security_context.fs_group = 2000
    own = made.spec.containers[0].security_context
    own.run_as_user, own.allow_privilege_escalation = 7, False
    own.capabilities.drop.append("ALL")
    found = security.of(made, made.spec.containers[0], image())
    assert (found.user, found.supplemental_groups, found.no_new_privileges) == (7, (2000,), True)
    assert (found.drop_capabilities, found.seccomp) == (("ALL",), None)


@pytest.mark.parametrize(
    ("user", "wrong"), [("", "will run as root"), ("0", "will run as root"), ("web", "non-numeric")]
)
def test_a_container_that_must_not_be_root_is_refused_when_it_would_be(user: str, wrong: str) -> None:
    made = pod()
    made.spec.security_context.run_as_non_root = True
    with pytest.raises(ConfigFault, match=wrong):
        security.of(made, made.spec.containers[0], image(user))
    assert security.of(made, made.spec.containers[0], image("1000")).user is None
    made.spec.containers[0].security_context.run_as_user = 0
    with pytest.raises(ConfigFault, match="breaks non-root policy"):
        security.of(made, made.spec.containers[0], image("1000"))


def test_sysctls_that_are_not_the_pods_alone_are_refused() -> None:
    made = pod()
    made.spec.security_context.sysctls.add(name="kernel.msgmax", value="1")
    assert security.refused_sysctls(made) == ["kernel.msgmax"]


def test_pull_secrets_open_the_registries_that_they_name() -> None:
    made = pod()
    made.spec.image_pull_secrets.add(name="s")
    held = core.Secret(
        data={
            ".dockerconfigjson": b'{"auths":{"registry.example:5000":{"auth":"dXNlcjpwdw=="},'
            b'"https://index.docker.io/v1/":{"username":"hub","password":"x"}}}'
        }
    )
    assert credentials.of_pod(made, "registry.example:5000/a/b:1", lambda *_: held) == (Credentials("user", "pw"),)
    assert credentials.of_pod(made, "nginx", lambda *_: held) == (Credentials("hub", "x"),)
    assert credentials.of_pod(made, "quay.io/x", lambda *_: held) == ()
    broken = core.Secret(data={".dockerconfigjson": b"nonsense"})
    assert credentials.of_pod(made, "nginx", lambda *_: broken) == ()
