"""Pods' sandboxes, containers, images and logs on this machine, through Podman: what a CRI runtime does.

One `Runtime` per agent; every method is a coroutine on the agent's loop and never blocks it:

    runtime = Runtime(RuntimeConfig(data_dir=Path("/var/lib/raftsman")))
    await runtime.start()                       # Unavailable with a sentence: no Podman, no privilege, socket in use
    await runtime.network.configure(NodeNetwork(pod_cidr=…, cluster_cidr=…, service_cidr=…))   # idempotent
    runtime.containers.on_exit(callback)        # callback(Container) within ms of a container's death, on the loop

    sandbox = await runtime.sandboxes.create(SandboxSpec(…))        # idempotent by pod_uid
    image = await runtime.images.ensure("nginx", PullPolicy.IF_NOT_PRESENT, credentials=())
    container = await runtime.containers.run(sandbox, ContainerSpec(…))   # create + start
    await runtime.containers.stop(container.id, grace_s=30)         # signal, wait, SIGKILL; gives Container, exited
    await runtime.containers.remove(container.id)                   # kills if it must
    await runtime.sandboxes.remove(pod_uid)                         # containers, cgroup, mounts, veth, address
    await runtime.stop()                                            # containers go on

After an agent's restart `start()` has already re-adopted: `await containers.list()` and `sandboxes.list()` tell what
is there, and deaths that happened meanwhile appear as Phase.EXITED in that list.

containers: create(sandbox, spec) -> Container, start(id) -> Container, run, stop(id, grace_s=, signal=None),
    kill(id, signal), remove(id), inspect(id), list(pod_uid=None) -> tuple[Container, ...] (from memory, no I/O),
    wait(id) -> Container, on_exit(callback), usage(id) -> Usage,
    exec(id, command, timeout_s=, output_max=) -> ExecResult          for probes and hooks
    open_exec(id, command, tty=, stdin=) -> Stream                    for users
    attach(id, stdin_stays=) -> Attached                              as Stream
    Stream: read() -> (channel 1 | 2, bytes) | None at the end; write(bytes); close_stdin(); resize(width, height);
    wait() -> exit code; aclose()
images: ensure(name, policy, credentials=()) -> Image, find(name) -> Image | None, list(), remove(name)
sandboxes: create(spec), get(pod_uid) -> Sandbox | None, list(), remove(pod_uid), usage(pod_uid) -> Usage,
    update(pod_uid, resources)
read_log(path, query, finished=callable) -> AsyncIterator[bytes]; follow ends once finished() is true. The runtime
    rotates logs by itself.
cleanup.teardown_node(data_dir, purge=) takes all of it away, also from a fresh process.

Errors are the tree in `errors`; each carries `.reason`, the word for a waiting state or an event.
"""

from .attachments import Attached
from .errors import (
    AddressesExhausted,
    ContainerFault,
    ExecFault,
    ExecTimeout,
    ImageFault,
    ImageNeverPull,
    ImagePullError,
    InvalidImageName,
    NotFound,
    RuntimeFault,
    SandboxFault,
    Unavailable,
    Unsupported,
)
from .exec import Stream
from .layout import Layout, instance_name
from .logs import read_log
from .runtime import Runtime, RuntimeConfig
from .specs import (
    Container,
    ContainerSpec,
    Credentials,
    Device,
    Dns,
    ExecResult,
    ExitStatus,
    HostAlias,
    Image,
    LogQuery,
    Mount,
    NodeNetwork,
    Phase,
    Propagation,
    PullPolicy,
    Qos,
    Resources,
    Sandbox,
    SandboxSpec,
    Security,
    Usage,
)

__all__ = [
    "AddressesExhausted",
    "Attached",
    "Container",
    "ContainerFault",
    "ContainerSpec",
    "Credentials",
    "Device",
    "Dns",
    "ExecFault",
    "ExecResult",
    "ExecTimeout",
    "ExitStatus",
    "HostAlias",
    "Image",
    "ImageFault",
    "ImageNeverPull",
    "ImagePullError",
    "InvalidImageName",
    "Layout",
    "LogQuery",
    "Mount",
    "NodeNetwork",
    "NotFound",
    "Phase",
    "Propagation",
    "PullPolicy",
    "Qos",
    "Resources",
    "Runtime",
    "RuntimeConfig",
    "RuntimeFault",
    "Sandbox",
    "SandboxFault",
    "SandboxSpec",
    "Security",
    "Stream",
    "Unavailable",
    "Unsupported",
    "Usage",
    "instance_name",
    "read_log",
]
