"""Default values of resource.k8s.io."""

from __future__ import annotations

from raftsman import times
from raftsman.resource import v1 as resource


def claim(found: resource.ResourceClaim) -> None:
    _spec(found.spec)


def template(found: resource.ResourceClaimTemplate) -> None:
    _spec(found.spec.spec)


def _spec(spec: resource.ResourceClaimSpec) -> None:
    for request in spec.devices.requests:
        if request.HasField("exactly"):
            _asked(request.exactly)
        for sub in request.first_available:
            _asked(sub)


def _asked(request: resource.ExactDeviceRequest | resource.DeviceSubRequest) -> None:
    request.allocation_mode = request.allocation_mode or "ExactCount"
    if request.allocation_mode == "ExactCount" and not request.count:
        request.count = 1
    for toleration in request.tolerations:
        toleration.operator = toleration.operator or "Equal"


def resource_slice(found: resource.ResourceSlice) -> None:
    for device in found.spec.devices:
        for taint in device.taints:
            if not taint.HasField("time_added"):
                taint.time_added.CopyFrom(times.now())
