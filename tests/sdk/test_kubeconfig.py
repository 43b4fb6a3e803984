"""Kubeconfig: found where kubectl finds it, merged as kubectl merges it, and nothing unsafe taken from it."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from raftsman import ConfigError, kubeconfig


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No kubeconfig of this machine gets in."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(kubeconfig, "ADMIN_FILE", tmp_path / "none.yaml")


def written(path: Path, name: str = "main", *, user: Any = None, cluster: Any = None, **extra: Any) -> Path:
    body = {
        "apiVersion": "v1", "kind": "Config", "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.example:6443", **(cluster or {})}}],
        "users": [{"name": name, "user": {"token": "t"} if user is None else user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": f"ns-{name}"}}],
        **extra,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(body))
    return path


def inline(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_the_current_context_is_used(tmp_path: Path) -> None:
    config = kubeconfig.load(written(tmp_path / "c"))
    assert (config.target, config.token, config.namespace, config.context) == (
        "main.example:6443", "t", "ns-main", "main",
    )  # fmt: skip


def test_a_context_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [written(tmp_path / "a", "one"), written(tmp_path / "b", "two")]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, files)))
    assert kubeconfig.load().context == "one"
    assert kubeconfig.load(context="two").target == "two.example:6443"


def test_the_first_file_to_name_a_thing_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = written(tmp_path / "a", "same")
    second = written(tmp_path / "b", "same", cluster={"server": "https://second:1"})
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([str(tmp_path / "missing"), str(first), str(second)]))
    assert kubeconfig.load().target == "same.example:6443"


def test_certificates_are_read_inline_and_from_files_next_to_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("CA")
    user = {"client-certificate-data": inline("CERT"), "client-key-data": inline("KEY")}
    config = kubeconfig.load(written(tmp_path / "c", user=user, cluster={"certificate-authority": "ca.pem"}))
    assert (config.root_ca, config.certificate, config.key) == (b"CA", b"CERT", b"KEY")


def test_a_token_file_is_found_next_to_the_kubeconfig(tmp_path: Path) -> None:
    assert kubeconfig.load(written(tmp_path / "c", user={"tokenFile": "t"})).token_file == tmp_path / "t"


def test_home_is_looked_at_and_then_the_admin_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = written(tmp_path / "admin.yaml", "admin")
    monkeypatch.setattr(kubeconfig, "ADMIN_FILE", admin)
    assert kubeconfig.load().context == "admin"
    written(tmp_path / "home" / ".kube" / "config", "mine")
    assert kubeconfig.load().context == "mine"


def test_a_home_file_without_a_context_does_not_hide_the_cluster_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeconfig, "ADMIN_FILE", written(tmp_path / "admin.yaml", "admin"))
    written(tmp_path / "home" / ".kube" / "config", **{"current-context": ""})
    assert kubeconfig.load().context == "admin"


def test_a_pod_finds_its_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("token", "t"), ("ca.crt", "CA"), ("namespace", "apps\n")):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(kubeconfig, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    config = kubeconfig.load()
    assert (config.target, config.root_ca, config.namespace) == ("10.96.0.1:443", b"CA", "apps")


@pytest.mark.parametrize(
    ("user", "cluster", "said"),
    [
        ({"exec": {"command": "aws", "apiVersion": "v1alpha1"}}, {}, "apiVersion 'v1alpha1' is not one of"),
        ({"exec": {"apiVersion": "client.authentication.k8s.io/v1"}}, {}, "command is required"),
        ({"exec": {"command": "aws", "apiVersion": "client.authentication.k8s.io/v1"}}, {}, "interactiveMode ''"),
        ({"auth-provider": {"name": "gcp"}}, {}, "auth-provider is refused"),
        ({"username": "u", "password": "p"}, {}, "username is refused"),
        ({"as-groups": ["g"]}, {}, "as-groups, as-uid and as-user-extra need as"),
        ({}, {"insecure-skip-tls-verify": True}, "insecure-skip-tls-verify is refused"),
        ({}, {"proxy-url": "socks5://p"}, "proxy-url 'socks5://p' is refused"),
        ({}, {"server": "http://h:1"}, "is not of the form https://HOST:PORT"),
        ({}, {"server": "https://h:1/path"}, "is not of the form https://HOST:PORT"),
        ({}, {"server": "https://h:99999"}, "Port out of range"),
        ({"client-certificate-data": inline("C")}, {}, "go together"),
        ({"client-key-data": "%%%"}, {}, "client-key-data is not base64"),
        ({"client-key": "none.pem"}, {}, "No such file"),
    ],
)
def test_what_is_not_done_is_refused_by_name(tmp_path: Path, user: Any, cluster: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        kubeconfig.load(written(tmp_path / "c", user=user, cluster=cluster))


def test_a_missing_context_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no context 'other'; it has main"):
        kubeconfig.load(written(tmp_path / "c"), context="other")


def test_no_kubeconfig_at_all_says_where_it_looked() -> None:
    with pytest.raises(ConfigError, match="raftsman up"):
        kubeconfig.load()


def test_a_file_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("{")
    with pytest.raises(ConfigError, match=r"c is not YAML"):
        kubeconfig.load(tmp_path / "c")


@pytest.mark.parametrize(
    ("server", "target"),
    [("https://h", "h:443"), ("https://10.0.0.1:6443/", "10.0.0.1:6443"), ("https://[fd00::1]:6443", "[fd00::1]:6443")],
)
def test_servers_become_targets(server: str, target: str) -> None:
    assert kubeconfig.target(server) == target


def test_a_configuration_prints_no_secret(tmp_path: Path) -> None:
    assert "token" not in repr(kubeconfig.load(written(tmp_path / "c", user={"token": "secret"})))


PLUGIN = {
    "apiVersion": "client.authentication.k8s.io/v1", "command": "./login", "args": ["--now"],
    "env": [{"name": "A", "value": "B"}], "interactiveMode": "Never", "installHint": "get it",
    "provideClusterInfo": True,
}  # fmt: skip


def test_a_plug_in_starts_at_its_kubeconfig_and_learns_of_the_cluster(tmp_path: Path) -> None:
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}
    cluster = {"certificate-authority-data": inline("CA"), "extensions": [extension]}
    found = kubeconfig.load(written(tmp_path / "c", user={"exec": PLUGIN}, cluster=cluster)).plugin
    assert found is not None
    assert (found.command, found.arguments, found.environment) == (str(tmp_path / "login"), ("--now",), (("A", "B"),))
    assert found.cluster == {
        "server": "https://main.example:6443", "certificate-authority-data": inline("CA"), "config": {"audience": "x"},
    }  # fmt: skip


def test_a_command_on_the_path_stays_a_name(tmp_path: Path) -> None:
    found = kubeconfig.load(written(tmp_path / "c", user={"exec": {**PLUGIN, "command": "aws"}})).plugin
    assert found is not None
    assert found.command == "aws"


def test_somebody_else_is_impersonated_with_groups_and_extras(tmp_path: Path) -> None:
    user = {"as": "jane", "as-groups": ["dev"], "as-uid": "7", "as-user-extra": {"scopes": ["a", "b"]}}
    found = kubeconfig.load(written(tmp_path / "c", user=user)).impersonate
    assert found is not None
    assert found.metadata() == (
        ("impersonate-user", "jane"), ("impersonate-group", "dev"), ("impersonate-uid", "7"),
        ("impersonate-extra-scopes", "a"), ("impersonate-extra-scopes", "b"),
    )  # fmt: skip
    with pytest.raises(ConfigError, match="gRPC cannot carry the key"):
        kubeconfig.Impersonation(user="u", extra=(("example.com/x", "1"),)).metadata()


def test_flags_win_over_what_the_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [written(tmp_path / "a", "one"), written(tmp_path / "b", "two", user={"tokenFile": "t"})]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, files)))
    fields = {"server": "https://else:1", "tls-server-name": "n"}
    changes = kubeconfig.Overrides(user="two", cluster_fields=fields, user_fields={"token": "mine", "as": "jane"})
    config = kubeconfig.load(overrides=changes)
    assert (config.target, config.server_name, config.token, config.token_file) == ("else:1", "n", "mine", None)
    assert config.impersonate == kubeconfig.Impersonation(user="jane")
    assert kubeconfig.load(overrides=kubeconfig.Overrides(cluster="two")).target == "two.example:6443"


def test_a_server_and_a_token_need_no_kubeconfig() -> None:
    changes = kubeconfig.Overrides(cluster_fields={"server": "https://h:1"}, user_fields={"token": "t"})
    config = kubeconfig.load(overrides=changes)
    assert (config.target, config.token, config.namespace) == ("h:1", "t", "default")
