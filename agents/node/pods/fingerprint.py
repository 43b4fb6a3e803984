"""Which specification a running container was started for, as a label on it carries it.

Only what an update of a running pod may change goes into a container's fingerprint: its name and its image. Fields
that a later API server adds by defaulting therefore never restart a container.
"""

from __future__ import annotations

import hashlib

from raftsman.core import v1 as core


def of(spec: core.Container) -> str:
    """16 hex digits."""
    return hashlib.sha256(f"{spec.name}\0{spec.image}".encode()).hexdigest()[:16]
