"""What volumes contain; host paths; memory file systems."""

from __future__ import annotations

from pathlib import Path

import pytest
from raftsman.agents.node import fields
from raftsman.agents.node.volumes import content, host_path, mounting, size_limit, volumes
from raftsman.agents.node.volumes.atomic import File
from raftsman.agents.node.volumes.content import Objects, TokenKey, VolumeFault
from raftsman.agents.node.volumes.volume_path import VolumePath
from raftsman.core import v1 as core

CONFIG = core.ConfigMap(data={"k": "v", "other": "w"}, binary_data={"raw": b"\xff"})
OBJECTS = Objects(
    config_map={"cm": CONFIG}.get,
    secret={"s": core.Secret(data={"pw": b"hunter2"})}.get,
    token=lambda key: f"token for {key.service_account}, {key.audience or 'api'}",
    facts=fields.Facts(),
)


def pod() -> core.Pod:
    made = core.Pod()
    made.metadata.name, made.metadata.namespace = "web", "default"
    made.metadata.labels["app"] = 'we"b'
    made.metadata.labels["tier"] = "x"
    made.spec.containers.add(name="web")
    return made


def test_a_config_map_is_a_file_a_key() -> None:
    volume = core.Volume(name="v")
    volume.volume_source.config_map.local_object_reference.name = "cm"
    volume.volume_source.config_map.default_mode = 0o600
    expected = {"k": File(b"v", 0o600), "other": File(b"w", 0o600), "raw": File(b"\xff", 0o600)}
    assert content.payload(pod(), volume, OBJECTS) == expected


def test_items_choose_keys_paths_and_modes() -> None:
    volume = core.Volume(name="v")
    source = volume.volume_source.secret
    source.secret_name = "s"
    source.items.add(key="pw", path="deep/password", mode=0o400)
    assert content.payload(pod(), volume, OBJECTS) == {"deep/password": File(b"hunter2", 0o400)}
    source.items.add(key="none", path="x")
    with pytest.raises(VolumeFault, match="references non-existent key: none"):
        content.payload(pod(), volume, OBJECTS)
    source.optional = True
    assert set(content.payload(pod(), volume, OBJECTS)) == {"deep/password"}


def test_a_missing_object_is_named_unless_it_is_optional() -> None:
    volume = core.Volume(name="v")
    volume.volume_source.config_map.local_object_reference.name = "none"
    with pytest.raises(VolumeFault, match='configmap "none" not found'):
        content.payload(pod(), volume, OBJECTS)
    volume.volume_source.config_map.optional = True
    assert content.payload(pod(), volume, OBJECTS) == {}


def test_a_projected_volume_joins_its_sources() -> None:
    volume = core.Volume(name="v")
    sources = volume.volume_source.projected.sources
    sources.add().service_account_token.path = "token"
    sources.add().config_map.local_object_reference.name = "cm"
    sources[1].config_map.items.add(key="k", path="ca.crt")
    item = sources.add().downward_api.items.add(path="labels")
    item.field_ref.field_path = "metadata.labels"
    found = content.payload(pod(), volume, OBJECTS)
    assert found["token"] == File(b"token for default, api", 0o600)
    assert found["ca.crt"].data == b"v"
    assert found["labels"].data == b'app="we\\"b"\ntier="x"'


def test_tokens_are_readable_by_users_other_than_root() -> None:
    made = pod()
    volume = made.spec.volumes.add(name="v")
    volume.volume_source.projected.sources.add().service_account_token.path = "token"
    made.spec.security_context.run_as_user = 1000
    assert content.payload(made, volume, OBJECTS)["token"].mode == 0o644
    assert content.token_keys(made) == [TokenKey("default", "", 3600)]


@pytest.mark.parametrize(
    ("kind", "there", "fine"),
    [
        ("", "nothing", True),
        ("DirectoryOrCreate", "nothing", True),
        ("FileOrCreate", "nothing", True),
        ("Directory", "nothing", False),
        ("Directory", "file", False),
        ("File", "file", True),
        ("File", "directory", False),
        ("Socket", "file", False),
    ],
)
def test_host_paths_are_what_their_type_says(tmp_path: Path, kind: str, there: str, fine: bool) -> None:
    path = tmp_path / "x"
    if there == "file":
        path.touch()
    elif there == "directory":
        path.mkdir()
    source = core.HostPathVolumeSource(path=str(path), type=kind)
    if fine:
        host_path.check("v", source)
        assert path.exists()
    else:
        with pytest.raises(VolumeFault, match="hostPath type check failed"):
            host_path.check("v", source)


def test_unsupported_volumes_are_refused_by_name() -> None:
    volume = core.Volume(name="v")
    volume.volume_source.nfs.server = "x"
    with pytest.raises(VolumeFault, match='volume "v": nfs volumes are not supported'):
        volumes.check_supported(volume)
    huge = core.Volume(name="h")
    huge.volume_source.empty_dir.medium = "HugePages"
    with pytest.raises(VolumeFault, match="HugePages"):
        volumes.check_supported(huge)


@pytest.mark.root
def test_a_memory_file_system_is_mounted_with_its_size_and_goes(tmp_path: Path) -> None:
    target = tmp_path / "m"
    target.mkdir()
    mounting.mount_tmpfs(target, size_bytes=64 * 1024)
    try:
        assert mounting.mounted_below(tmp_path) == [target]
        with pytest.raises(OSError, match="No space"):
            (target / "big").write_bytes(b"x" * 128 * 1024)
    finally:
        mounting.unmount(target)
    assert not mounting.is_mounted(target)
    mounting.unmount(target)


def test_a_disk_volume_beyond_its_limit_is_named(tmp_path: Path) -> None:
    made = pod()
    volume = made.spec.volumes.add(name="v")
    volume.volume_source.empty_dir.size_limit.string = "16Ki"
    made.spec.volumes.add(name="m").volume_source.empty_dir.medium = "Memory"
    assert size_limit.limited(made) == [volume]
    paths = {"v": VolumePath(tmp_path)}
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/a").write_bytes(b"x" * 8192)
    (tmp_path / "b").hardlink_to(tmp_path / "deep/a")
    assert size_limit.excess([volume], paths) is None
    (tmp_path / "c").write_bytes(b"x" * 12288)
    assert size_limit.excess([volume], paths) == 'Usage of EmptyDir volume "v" exceeds the limit "16Ki".'
