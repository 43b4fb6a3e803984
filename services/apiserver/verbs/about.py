"""What the server says of itself (its version to everybody), and who it takes the caller for."""

from __future__ import annotations

import functools
import platform

from raftsman import errors
from raftsman import resources as registry
from raftsman.apiserver import v1 as apiserver
from raftsman.services.apiserver.access.identity import ANONYMOUS
from raftsman.services.apiserver.rpc import Call

# The level of the Kubernetes API that objects and rules follow.
KUBERNETES = "v1.36.0"


async def version(call: Call, raw: bytes) -> bytes:
    return version_bytes()


def _architecture() -> str:
    """As Kubernetes' clients call it."""
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


@functools.cache
def version_bytes() -> bytes:
    """A GetVersionResponse."""
    import importlib.metadata

    try:
        own = importlib.metadata.version("raftsman")
    except importlib.metadata.PackageNotFoundError:
        own = "unknown"
    return apiserver.GetVersionResponse(
        git_version=KUBERNETES, raftsman_version=own, platform=f"linux/{_architecture()}",
        python_version=platform.python_version(),
    ).SerializeToString()  # fmt: skip


def _known(call: Call) -> None:
    if call.user is ANONYMOUS:
        raise errors.Unauthorized("Unauthorized: this needs a client certificate or a token")


async def resources(call: Call, raw: bytes) -> bytes:
    _known(call)
    facts = [resource.facts for resource in registry.served()]
    return apiserver.ListResourcesResponse(resources=facts).SerializeToString()


async def who(call: Call, raw: bytes) -> bytes:
    user = call.user
    _known(call)
    return apiserver.WhoAmIResponse(username=user.name, uid=user.uid, groups=user.groups).SerializeToString()
