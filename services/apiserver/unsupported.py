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
    "loadBalancerIP": "the cloud controller",
    "loadBalancerSourceRanges": "the cloud controller",
    "loadBalancerClass": "the cloud controller",
    "healthCheckNodePort": "the cloud controller",
    "trafficDistribution": "topology hints",
}
