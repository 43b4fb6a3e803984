"""One cluster for all clients: real store, API server and control, and a node that runs pods only in name."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..sdk.cli.conftest import node  # noqa: TID252
from ..services.apiserver.rest import Kubectl  # noqa: TID252
from ..services.control.conftest import Cluster  # noqa: TID252
from .manifests import RAFTS


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="raftsman-clients-") as path:
        found = Cluster(Path(path))
        try:
            settings = found.settings
            for name, port in (
                ("store", settings.store_metrics_port),
                ("apiserver", settings.apiserver_health_port),
                ("control", settings.control_health_port),
            ):
                found.start(name)
                found.await_ready(name, port)
            with node(found):
                yield found
        finally:
            found.stop()


@pytest.fixture(scope="session")
def kubeconfig(cluster: Cluster) -> Path:
    """The administrator's."""
    return cluster.layout.kubeconfig()


@pytest.fixture(scope="session")
def admin(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """kubectl with a home, and so a discovery cache, of its own."""
    return Kubectl(kubeconfig, tmp_path_factory.mktemp("home"))


@pytest.fixture
def namespace(admin: Kubectl) -> Iterator[str]:
    """A fresh namespace whose default service account is there."""
    name = f"c-{secrets.token_hex(4)}"
    admin("create", "namespace", name)
    admin("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=60s")
    yield name
    admin("delete", "namespace", name, "--wait=false")


@pytest.fixture
def kubectl(admin: Kubectl, namespace: str) -> Kubectl:
    """In that namespace."""
    return admin.within(namespace)


@pytest.fixture(scope="session")
def rafts(admin: Kubectl) -> None:
    """The custom resource of manifests.py is served."""
    admin("apply", "-f", "-", stdin=RAFTS)
    admin("wait", "--for=condition=Established", "crd/rafts.clients.example", "--timeout=60s")
