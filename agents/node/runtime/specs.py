"""The values that cross this layer's border: what a pod sandbox and a container should be, and what they are.

No API messages here: the pod worker translates. All are frozen; times are aware UTC datetimes; sizes are bytes;
CPU is in the kernel's own terms (shares, quota and period in microseconds).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path


class Qos(enum.Enum):
    """Which branch of the cgroup tree a pod lives in."""

    GUARANTEED = "guaranteed"
    BURSTABLE = "burstable"
    BEST_EFFORT = "besteffort"


class PullPolicy(enum.Enum):
    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class Propagation(enum.Enum):
    """Mount propagation of a bind mount, by mount(8)'s words for recursive binds."""

    PRIVATE = "rprivate"
    HOST_TO_CONTAINER = "rslave"
    BIDIRECTIONAL = "rshared"


class Phase(enum.Enum):
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class Resources:
    """Limits of a pod or a container; None means unlimited or the kernel's default."""

    cpu_shares: int | None = None
    """cgroup v1 shares, 2 to 262144; converted to a weight on v2."""
    cpu_quota_us: int | None = None
    cpu_period_us: int = 100_000
    memory_limit: int | None = None
    oom_score_adj: int | None = None
    """Containers only."""


@dataclass(frozen=True, slots=True)
class HostAlias:
    address: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dns:
    """A pod's resolv.conf."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What a pod's containers share. `create` with an equal uid again gives the existing sandbox."""

    pod_uid: str
    pod_name: str
    pod_namespace: str
    hostname: str
    domain: str = ""
    """The part after the first dot of the pod's full name; with it, /etc/hosts gets both names."""
    qos: Qos = Qos.BEST_EFFORT
    resources: Resources = Resources()
    dns: Dns | None = None
    """None leaves the image's /etc/resolv.conf (the node's own for dnsPolicy Default: pass its values)."""
    host_aliases: tuple[HostAlias, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    host_network: bool = False
    host_ipc: bool = False
    host_pid: bool = False
    share_process_namespace: bool = False
    """Refused with Unsupported for now."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A pod sandbox that exists on this node."""

    pod_uid: str
    pod_name: str
    pod_namespace: str
    hostname: str
    addresses: tuple[str, ...]
    """The pod's own addresses; empty with host_network."""
    cgroup: str
    """Relative to the cgroup mounts, such as /raftsman-1a2b3c4d/kubepods/burstable/pod<uid>."""
    directory: Path
    """Namespaces (net, ipc, uts), shm, and the files hosts, hostname and resolv.conf."""
    created_at: datetime
    host_network: bool = False
    host_ipc: bool = False
    host_pid: bool = False
    pause_pid: int = 0
    """The process that holds the namespace of processes that its containers share; 0: they share none."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A bind mount; `source` must exist."""

    source: Path
    target: str
    read_only: bool = False
    propagation: Propagation = Propagation.PRIVATE


@dataclass(frozen=True, slots=True)
class Device:
    source: str
    target: str
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True)
class Security:
    """A container's identity and powers. None means what the image or the runtime's default says."""

    user: int | str | None = None
    """A number, or a name that the image's /etc/passwd has."""
    group: int | None = None
    supplemental_groups: tuple[int, ...] = ()
    add_capabilities: tuple[str, ...] = ()
    """With or without the CAP_ prefix; ALL is understood."""
    drop_capabilities: tuple[str, ...] = ()
    privileged: bool = False
    read_only_root: bool = False
    no_new_privileges: bool = False
    seccomp: str | None = None
    """None for what the default profile denies by name, "runtime/default" for the whole of it, "unconfined", or a
    profile's absolute path."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container of a pod, one attempt. Names repeat across attempts; (pod, name, attempt) never does."""

    name: str
    image: str
    """Anything that `Images.ensure` returned or normalised."""
    log_path: Path
    """File in CRI log format; its directory is made if absent."""
    attempt: int = 0
    command: tuple[str, ...] = ()
    """Replaces the image's entrypoint, and its CMD too."""
    args: tuple[str, ...] = ()
    """Replaces the image's CMD."""
    env: Mapping[str, str] = field(default_factory=dict)
    working_dir: str | None = None
    mounts: tuple[Mount, ...] = ()
    devices: tuple[Device, ...] = ()
    resources: Resources = Resources()
    security: Security = Security()
    labels: Mapping[str, str] = field(default_factory=dict)
    """Kept and given back; keys under io.raftsman. are taken."""
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    """Accepted as Kubernetes has it; conmon ends stdin after the first client that closes its own in any case."""
    stop_signal: str | None = None
    processes: int = 0
    """A process of the node whose namespace of processes the container joins; 0: one of its own, or the sandbox's."""


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a container ended. A death by signal has code 128 + signal, as the OCI runtimes report it."""

    code: int
    finished_at: datetime
    started_at: datetime | None = None
    signal: int | None = None
    oom_killed: bool = False


@dataclass(frozen=True, slots=True)
class Container:
    """A container that exists on this node, as last observed."""

    id: str
    pod_uid: str
    name: str
    attempt: int
    image: str
    image_id: str
    phase: Phase
    created_at: datetime
    log_path: Path
    pid: int = 0
    started_at: datetime | None = None
    exit: ExitStatus | None = None
    stop_signal: int = 15
    tty: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Image:
    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    size: int
    user: str = ""
    """The image's USER as written: empty, a name, a number, or either with :group."""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = ""
    stop_signal: str = ""


@dataclass(frozen=True, slots=True)
class Credentials:
    """For one pull. Never logged."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines of a container's log, as `kubectl logs` asks."""

    follow: bool = False
    tail_lines: int | None = None
    since: datetime | None = None
    timestamps: bool = False
    limit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ExecResult:
    code: int
    output: bytes
    """stdout and stderr mixed, each in order, at most the bound that was asked for."""


@dataclass(frozen=True, slots=True)
class NodeNetwork:
    """What the node's pod network needs to know; known once the node has its pod CIDR."""

    pod_cidr: str
    """This node's share, such as 10.244.0.0/24."""
    cluster_cidr: str
    """All nodes' pods; traffic from pods to it is not masqueraded."""
    service_cidr: str


@dataclass(frozen=True, slots=True)
class Usage:
    """A cgroup's running counters."""

    cpu_ns: int
    memory_bytes: int
    """Working set: usage less inactive file pages."""
    pids: int
