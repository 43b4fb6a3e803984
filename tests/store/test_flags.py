"""Flags, variables and the file: etcd's meanings, and a sentence for everything that is not one of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from raftsman.store import arguments, flags


def parsed(*given: str, monkeypatch: pytest.MonkeyPatch, **environment: str) -> flags.Config:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return flags.parse(given)


def refused(capsys: pytest.CaptureFixture[str], *given: str) -> str:
    with pytest.raises(SystemExit) as caught:
        flags.parse(given)
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_the_defaults_are_etcds(monkeypatch: pytest.MonkeyPatch) -> None:
    config = parsed(monkeypatch=monkeypatch)
    assert (config.name, config.data_dir) == ("default", Path("default.etcd"))
    assert (config.heartbeat_s, config.election_s) == (0.1, 1.0)
    assert config.limits == flags.Limits(request_bytes=1536 << 10, quota_bytes=2 << 30)
    assert config.compaction_retention == 0


def test_a_flag_wins_over_a_variable_and_a_variable_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    config = parsed(
        "-name=flag",
        "--client-cert-auth=false",
        monkeypatch=monkeypatch,
        ETCD_NAME="variable",
        ETCD_MAX_REQUEST_BYTES="5000000",
        ETCD_SNAPSHOT_COUNT="",
        ETCD_INITIAL_CLUSTER="flag=http://127.0.0.1:1,b=http://127.0.0.1:2",
        ETCD_PORT="tcp://10.0.0.1:2379",  # what Kubernetes sets for a service of this name
    )
    assert (config.name, config.limits.request_bytes, config.snapshot_count) == ("flag", 5_000_000, 10_000)
    assert list(config.initial_cluster) == ["flag", "b"]


def test_a_variable_of_what_is_not_supported_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ETCD_DISCOVERY_SRV", "example.org")
    assert "--discovery-srv is not supported: members are named" in refused(capsys)


def test_a_file_stands_in_for_all_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cert", "key", "ca"):
        (tmp_path / name).touch()
    path = tmp_path / "etcd.yaml"
    path.write_text(
        f"""
name: filed
listen-client-urls: https://10.0.0.1:2379,unix:///run/store.sock
listen-peer-urls: http://127.0.0.1:2380
quota-backend-bytes: -1
auto-compaction-retention: "1"
initial-cluster:
wal-dir: ''
enable-v2: false
client-transport-security:
  cert-file: {tmp_path}/cert
  key-file: {tmp_path}/key
  client-cert-auth: true
  trusted-ca-file: {tmp_path}/ca
  auto-tls: false
"""
    )
    config = parsed("--config-file", str(path), monkeypatch=monkeypatch, ETCD_NAME="variable")
    assert (config.name, config.limits.quota_bytes, config.compaction_retention) == ("filed", 0, 3600)
    assert [url.scheme for url in config.listen_client] == ["https", "unix"]
    assert config.client_tls == flags.Tls(tmp_path / "cert", tmp_path / "key", tmp_path / "ca", True)
    assert parsed(monkeypatch=monkeypatch, ETCD_CONFIG_FILE=str(path)).name == "filed"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("wal-dir: /elsewhere", "--wal-dir is not supported: log and snapshots live in --data-dir"),
        ("no-such: 1", "unrecognized arguments: --no-such=1"),
        ("- name", "is not a map of flags to values"),
        ("peer-transport-security: yes", "peer-transport-security in"),
        ("name: {a: 1}", "name holds a map"),
        ("name: [", "cannot be read"),
    ],
)
def test_a_file_that_makes_no_sense_gets_a_sentence(
    content: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "etcd.yaml"
    path.write_text(content)
    assert sentence in refused(capsys, f"--config-file={path}")


def test_a_flag_beside_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "stands alone" in refused(capsys, "--name", "x", "--config-file", str(tmp_path / "etcd.yaml"))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--heartbeat-interval=100", "--election-timeout=400"], "must be at least 5 times"),
        (["--heartbeat-interval=0"], "above 0"),
        (["--election-timeout=60000"], "is above 50000"),
        (["--max-request-bytes=20000000"], "must be between 1 and 10485760"),
        (["--client-cert-auth=maybe"], "neither true nor false"),
        (["--grpc-keepalive-interval=soon"], "'soon' is no duration"),
        (["--auto-compaction-mode=revision", "--auto-compaction-retention=5m"], "no number of revisions"),
        (["--auto-compaction-retention=-5m"], "'-5m' is no duration"),
        (["--listen-metrics-urls=http://10.1.2.3:2381"], "plain text"),
        (["--listen-peer-urls=http://10.1.2.3:2380"], "plain text"),
        (["--listen-peer-urls=unix:///x.sock"], "unix sockets are for clients"),
        (["--listen-client-http-urls=http://127.0.0.1:1"], "served at --listen-metrics-urls"),
        (["--snapshot-count=0"], "must be at least 1"),
        (["--log-level=panic"], "invalid choice"),
    ],
)
def test_what_makes_no_sense_gets_a_sentence(
    given: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in refused(capsys, *given)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("1h30m", 5400.0), ("90s", 90.0), ("2", 7200.0), ("0", 0.0), ("1.5h", 5400.0), ("250ms", 0.25)],
)
def test_retention_is_a_duration_of_gos_or_hours(given: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parsed(f"--auto-compaction-retention={given}", monkeypatch=monkeypatch).compaction_retention == seconds


def test_a_ca_for_clients_demands_certificates_as_in_etcd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cert", "key", "ca"):
        (tmp_path / name).touch()
    given = [f"--cert-file={tmp_path}/cert", f"--key-file={tmp_path}/key"]
    alone, with_ca = (
        parsed(*given, *more, monkeypatch=monkeypatch).client_tls for more in ([], [f"--trusted-ca-file={tmp_path}/ca"])
    )
    assert alone is not None
    assert with_ca is not None
    assert (alone.client_certificates, with_ca.client_certificates) == (False, True)


def test_no_flag_is_both_known_and_unsupported() -> None:
    known = {option[2:] for action in flags._parser()._actions for option in action.option_strings}
    assert not known & set(arguments.UNSUPPORTED)
