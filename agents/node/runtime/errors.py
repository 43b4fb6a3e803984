"""What can go wrong beneath a pod, each with the reason word that a pod's status shows for it.

RuntimeFault
├── Unavailable            the node cannot run containers now (no Podman, no privilege, service down)
├── Unsupported            asked for something that this layer refuses by name
├── NotFound               no such container, image or sandbox
├── SandboxFault           namespaces, network or cgroup of a pod could not be made
│   └── AddressesExhausted the node's pod CIDR is full
├── ContainerFault         create or start failed (wrong mount, missing command, bad option)
├── ExecFault              a command could not be started inside a container
│   └── ExecTimeout        it ran longer than it was given
└── ImageFault
    ├── InvalidImageName
    ├── ImageNeverPull     absent, and the policy (or localhost/) forbids pulling
    └── ImagePullError     the registry or the network said no
"""

from __future__ import annotations


class RuntimeFault(Exception):
    """Base of this tree. `reason` is the CamelCase word for a container's waiting state or an event."""

    reason = "RuntimeError"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if reason is not None:
            self.reason = reason


class Unavailable(RuntimeFault):
    reason = "ContainerRuntimeUnavailable"


class Unsupported(RuntimeFault):
    reason = "Unsupported"


class NotFound(RuntimeFault):
    reason = "NotFound"


class SandboxFault(RuntimeFault):
    reason = "FailedCreatePodSandBox"


class AddressesExhausted(SandboxFault):
    pass


class ContainerFault(RuntimeFault):
    """`reason` is CreateContainerError or RunContainerError, by the step that failed."""

    reason = "CreateContainerError"


class ExecFault(RuntimeFault):
    reason = "ExecError"


class ExecTimeout(ExecFault):
    reason = "ExecTimeout"


class ImageFault(RuntimeFault):
    reason = "ImageInspectError"


class InvalidImageName(ImageFault):
    reason = "InvalidImageName"


class ImageNeverPull(ImageFault):
    reason = "ErrImageNeverPull"


class ImagePullError(ImageFault):
    reason = "ErrImagePull"
