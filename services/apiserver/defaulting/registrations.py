"""APIServices: https, unless they say otherwise."""

from __future__ import annotations

from raftsman.apiregistration import v1 as apiregistration

PORT = 443


def api_service(found: apiregistration.APIService) -> None:
    if found.spec.HasField("service") and not found.spec.service.HasField("port"):
        found.spec.service.port = PORT
