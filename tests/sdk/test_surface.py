"""The public surface: what `import raftsman` promises is there, and costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys

import raftsman


def test_every_public_name_can_be_imported() -> None:
    for name in raftsman.__all__:
        assert getattr(raftsman, name) is not None
        assert name in dir(raftsman)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    assert not hasattr(raftsman, "Klient")


def test_importing_the_package_does_not_load_grpc() -> None:
    code = "import sys, raftsman; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_client_needs_no_server_package() -> None:
    code = (
        "import sys\n"
        "for name in ('prometheus_client', 'uvloop', 'cryptography', 'jwt', 'msgspec'): sys.modules[name] = None\n"
        "import raftsman.controller, raftsman.kubeconfig, raftsman.client\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
