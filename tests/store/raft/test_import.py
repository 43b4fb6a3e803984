"""What importing the library does to the rest of the process."""

from __future__ import annotations

import socket
import subprocess
import sys


def test_addresses_can_still_be_printed_after_the_library_was_imported() -> None:
    code = "import raftsman.store.raft.kernel, socket; print(socket.inet_ntop(socket.AF_INET, bytes([192, 0, 2, 7])))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "192.0.2.7"


def test_the_library_itself_breaks_it() -> None:
    """If this fails the library has been mended, and so can we be."""
    code = "import pysyncobj, socket; socket.inet_ntop(socket.AF_INET, bytes(4))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode != 0
    assert socket.inet_ntop(socket.AF_INET, bytes(4)) == "0.0.0.0"
