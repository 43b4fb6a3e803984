"""Certificates: made once, private, renewed when the node's address changes, verifiable by OpenSSL's rules."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from raftsman.cluster import pki
from raftsman.cluster.layout import Layout
from raftsman.cluster.settings import Settings, SettingsError

SETTINGS = Settings("node-1", "192.0.2.7")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout.of(tmp_path / "data")
    pki.ensure(layout, SETTINGS)
    return layout


def contents(layout: Layout) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in layout.data_dir.rglob("*") if path.is_file()}


def certificate(layout: Layout, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((layout.pki / f"{name}.crt").read_bytes())


def test_making_them_again_changes_nothing(layout: Layout) -> None:
    before = contents(layout)
    pki.ensure(layout, SETTINGS)
    assert contents(layout) == before


def test_nobody_else_can_read_a_key(layout: Layout) -> None:
    files = [path for path in layout.data_dir.rglob("*") if path.is_file()]
    assert files
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert layout.pki.stat().st_mode & 0o777 == 0o700


def test_a_new_address_renews_only_the_certificates_that_name_it(layout: Layout) -> None:
    before = contents(layout)
    pki.ensure(layout, replace(SETTINGS, node_ip="192.0.2.8"))
    changed = {Path(path).name for path, data in contents(layout).items() if data != before[path]}
    names = ("apiserver", "kubelet-server", "store-server", "store-peer")
    assert changed == {f"{name}.{end}" for name in names for end in ("crt", "key")}


def test_identities_are_kubernetes_own(layout: Layout) -> None:
    assert "O=system:masters" in certificate(layout, "admin").subject.rfc4514_string()
    assert certificate(layout, "agent").subject.rfc4514_string() == "CN=system:node:node-1,O=system:nodes"
    assert certificate(layout, "scheduler").subject.rfc4514_string() == "CN=system:kube-scheduler"


def test_every_leaf_verifies_against_its_authority(layout: Layout) -> None:
    for leaf in pki.leaves(SETTINGS):
        certificate(layout, leaf.name).verify_directly_issued_by(certificate(layout, leaf.authority))
    context = ssl.create_default_context(cafile=str(layout.pki / "ca.crt"))
    context.load_cert_chain(layout.pki / "apiserver.crt", layout.pki / "apiserver.key")


def test_the_kubeconfig_holds_its_credentials(layout: Layout) -> None:
    config = yaml.safe_load(layout.kubeconfig().read_text())
    assert config["current-context"] == "raftsman"
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
    assert set(config["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"pod_cidr": "10.96.0.0/12"}, "overlap"),
        ({"pod_cidr": "10.244.0.0"}, "too small"),
        ({"service_cidr": "10.96.0.1/16"}, "--service-cidr"),
        ({"node_name": "Node_1"}, "--node-name"),
        ({"secure_port": 2379}, "one port"),
    ],
)
def test_settings_that_cannot_work_are_named(changes: dict[str, str], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        replace(SETTINGS, **changes).check()


def test_what_cannot_change_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    SETTINGS.remember(path)
    replace(SETTINGS, log_level="debug").remember(path)
    with pytest.raises(SettingsError, match="pod_cidr"):
        replace(SETTINGS, pod_cidr="10.100.0.0/16").remember(path)
