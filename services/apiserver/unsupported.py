"""Kinds, methods and fields of services that are known and not served yet, each with what would be needed.

They are refused by name. What of a pod nothing acts upon is stored and told by the scheduler (`raftsman.unsupported`).
"""

from __future__ import annotations

KINDS: dict[str, str] = {}

VERBS = {
    "Apply": "nothing more than Patch, which applies with type APPLY",
    "Proxy": "an HTTP proxy in the API server",
}

SERVICE_SPEC = {
    "healthCheckNodePort": "health checks of load balancers in the proxy",
    "trafficDistribution": "topology hints",
}
