"""Starting: a pod's sandbox and volumes, then one container with its image, variables and hook.

Every failure becomes a Fault with Kubernetes' reason word, an event, and a later try; none leaves this module as an
exception. At most STARTS_MAX containers are created and started at once.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import prometheus_client
from raftsman import logs
from raftsman.agents.node import fields
from raftsman.agents.node.probes.handlers import Target, carry_out
from raftsman.agents.node.runtime import (
    Container,
    ContainerFault,
    Dns,
    Image,
    ImageFault,
    PullPolicy,
    Runtime,
    RuntimeFault,
    Sandbox,
)
from raftsman.agents.node.settings import Settings
from raftsman.agents.node.volumes.content import VolumeFault
from raftsman.agents.node.volumes.volumes import Volumes
from raftsman.client import Client
from raftsman.core import v1 as core
from raftsman.informer import Informer
from raftsman.metadata import Key
from raftsman.recorder import EventRecorder

from . import backoff, credentials, decision, environment, fingerprint, retention, security, specs
from .environment import ConfigFault
from .observation import SANDBOX_LABEL, SPEC_LABEL, Kind, specs_of
from .record import SANDBOX, Record

log = logs.get(__name__)
_start_seconds = prometheus_client.Histogram(
    "raftsman_node_container_start_seconds",
    "From the first sight of a pod to a container's first start.",
    buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15, 60, 300),
)
_restarts = prometheus_client.Counter("raftsman_node_container_restarts_total", "Containers that were started again.")
_faults = prometheus_client.Counter("raftsman_node_pod_faults_total", "Starts that failed.", ["reason"])

STARTS_MAX = 4
HOOK_TIMEOUT_S = 120.0
TELL_S = 0.1
"""How long events of a start are held back: the start itself, and its status, come first on the CPU."""
KEPT = retention.KEPT
BY_NAMESPACE = "namespace"
OWN_EVENTS = frozenset(
    {"FailedMount", "FailedCreatePodSandBox", "NetworkNotReady", "SysctlForbidden", "Unsupported", "InvalidImageName"}
)


class Starter:
    """Makes what a plan asks for."""

    def __init__(
        self,
        settings: Settings,
        runtime: Runtime,
        *,
        client: Client,
        volumes: Volumes,
        services: Informer[core.Service],
        events: EventRecorder,
        host_dns: Dns,
        node: fields.Facts,
    ) -> None:
        self._settings = settings
        self._runtime = runtime
        self._client = client
        self._volumes = volumes
        self._services = services
        services.cache.add_index(BY_NAMESPACE, lambda service: service.metadata.namespace)
        self._events = events
        self._host_dns = host_dns
        self._node = node
        self._slots = asyncio.Semaphore(STARTS_MAX)
        self._sandbox_slots = asyncio.Semaphore(STARTS_MAX)

    async def prepare(self, record: Record) -> None:
        """Sandbox and volumes, side by side. On success `record.prepared`."""
        pod = record.pod
        refused = security.refused_sysctls(pod)
        if refused:
            self.fault(record, SANDBOX, "SysctlForbidden", f"forbidden sysctl: {refused[0]!r} not allowlisted")
            return
        outcomes = await asyncio.gather(
            self._sandbox(pod),
            self._volumes.prepare(pod),
            asyncio.to_thread(self._make_folders, pod),
            return_exceptions=True,
        )
        for outcome, reason in zip(outcomes, ("FailedCreatePodSandBox", "FailedMount", "FailedMount"), strict=True):
            if isinstance(outcome, (RuntimeFault, VolumeFault, OSError)):
                self.fault(record, SANDBOX, getattr(outcome, "reason", reason), str(outcome))
                return
            if isinstance(outcome, BaseException):
                raise outcome
        record.faults.pop(SANDBOX, None)
        record.prepared = True
        log.debug("pod prepared", pod=record.key, ms=round((asyncio.get_running_loop().time() - record.seen_at) * 1000))

    async def _sandbox(self, pod: core.Pod) -> Sandbox:
        async with self._sandbox_slots:
            return await self._runtime.sandboxes.create(specs.sandbox_spec(pod, self._settings, self._host_dns))

    async def start(self, record: Record, action: decision.Start) -> None:
        """Image, variables, container, hook."""
        pod = record.pod
        spec = next(c for c in specs_of(pod) if c.name == action.name)
        told: list[tuple[str, str]] = []
        try:
            image = await self._image(record, spec, action.kind, told)
            container = await self._run(record, action, spec, image=image, told=told)
        except (ImageFault, ConfigFault, RuntimeFault, OSError) as fault:
            where = field_path(spec, action.kind)
            self.fault(record, spec.name, _reason(fault), str(fault), field=where, spec=fingerprint.of(spec))
            return
        finally:
            if told:
                asyncio.get_running_loop().call_later(TELL_S, self._tell, record, field_path(spec, action.kind), told)
        record.faults.pop(spec.name, None)
        if action.attempt >= KEPT:
            await asyncio.to_thread(retention.prune, self._settings, record.uid, spec.name, action.attempt)
        _pace(record, action, spec, container)
        if spec.lifecycle.HasField("post_start"):
            record.starts[spec.name].cancellable = True
            await self._post_start(record, spec, action.kind, container)

    def _tell(self, record: Record, where: str, told: list[tuple[str, str]]) -> None:
        for reason, text in told:
            self._events.normal(record.pod, reason, text, field_path=where)

    async def _image(self, record: Record, spec: core.Container, kind: Kind, told: list[tuple[str, str]]) -> Image:
        policy = PullPolicy(spec.image_pull_policy or "IfNotPresent")
        where = field_path(spec, kind)
        present = await self._runtime.images.find(spec.image)
        local = spec.image.startswith("localhost/")
        pulls = not local and (present is None or policy is PullPolicy.ALWAYS)
        if pulls and policy is not PullPolicy.NEVER:
            self._events.normal(record.pod, "Pulling", f'Pulling image "{spec.image}"', field_path=where)
        begun = time.monotonic()
        secrets = credentials.of_pod(record.pod, spec.image, self._volumes.secret)
        image = await self._runtime.images.ensure(spec.image, policy, credentials=secrets)
        if pulls:
            took_s = time.monotonic() - begun
            text = f'Successfully pulled image "{spec.image}" in {took_s:.3f}s. Image size: {image.size} bytes.'
        else:
            text = f'Container image "{spec.image}" already present on machine'
        told.append(("Pulled", text))
        return image

    async def _run(
        self,
        record: Record,
        action: decision.Start,
        spec: core.Container,
        *,
        image: Image,
        told: list[tuple[str, str]],
    ) -> Container:
        pod = record.pod
        sandbox = self._runtime.sandboxes.get(record.uid)
        if sandbox is None:
            raise ContainerFault("the pod's sandbox is gone")
        await self._services.synced()
        around = specs.Surroundings(
            sandbox=sandbox,
            image=image,
            env=environment.build(pod, spec, self._sources(pod, sandbox)),
            volumes=self._volumes.paths(pod),
            memory_capacity=self._node.memory_bytes,
            processes=self._processes(pod, spec.name),
        )
        wanted = specs.container_spec(pod, spec, around, attempt=action.attempt, settings=self._settings)
        self._touch_message(record.uid, spec, action.attempt)
        async with self._slots:
            start = record.starts.get(spec.name)
            if start is not None:
                start.cancellable = False
            begun = time.monotonic()
            created = await self._runtime.containers.create(sandbox, wanted)
            created_at = time.monotonic()
            told.append(("Created", f"Created container: {spec.name}"))
            try:
                container = await self._runtime.containers.start(created.id)
            except RuntimeFault:
                await self._runtime.containers.remove(created.id)
                raise
        told.append(("Started", f"Started container {spec.name}"))
        if action.attempt == 0:
            _start_seconds.observe(asyncio.get_running_loop().time() - record.seen_at)
        else:
            _restarts.inc()
        log.info(
            "container started",
            pod=record.key,
            container=spec.name,
            attempt=action.attempt,
            create_ms=round((created_at - begun) * 1000),
            start_ms=round((time.monotonic() - created_at) * 1000),
            age_ms=round((asyncio.get_running_loop().time() - record.seen_at) * 1000),
        )
        return container

    def _processes(self, pod: core.Pod, name: str) -> int:
        """The process whose namespace of processes an ephemeral container joins; 0: its own. ContainerFault."""
        targets = (one.target_container_name for one in pod.spec.ephemeral_containers
                   if one.ephemeral_container_common.name == name)  # fmt: skip
        target = next(targets, "")
        if not target:
            return 0
        runs = [one for one in self._runtime.containers.list(pod.metadata.uid) if one.name == target and one.pid]
        if not runs:
            raise ContainerFault(f"the target container {target} is not running")
        return runs[-1].pid

    def _make_folders(self, pod: core.Pod) -> None:
        """For logs and messages, beside the sandbox: a directory on a busy disk costs milliseconds."""
        uid = pod.metadata.uid
        for spec in (*pod.spec.init_containers, *pod.spec.containers):
            for path in (
                specs.log_path(self._settings, uid, spec.name, 0),
                specs.message_path(self._settings, uid, spec.name, 0),
            ):
                path.parent.mkdir(parents=True, exist_ok=True)
            self._touch_message(uid, spec, 0)

    def _touch_message(self, uid: str, spec: core.Container, attempt: int) -> None:
        path = specs.message_path(self._settings, uid, spec.name, attempt)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o666)
            path.chmod(0o666)

    def _sources(self, pod: core.Pod, sandbox: Sandbox) -> environment.Sources:
        address = (self._settings.node_ip,) if pod.spec.host_network else sandbox.addresses
        return environment.Sources(
            config_map=lambda name: self._volumes.config_map(pod, name),
            secret=lambda name: self._volumes.secret(pod, name),
            services=self._linked_services(pod.metadata.namespace),
            facts=fields.Facts(
                host_ip=self._settings.node_ip,
                pod_ips=address,
                cpu_milli=self._node.cpu_milli,
                memory_bytes=self._node.memory_bytes,
                storage_bytes=self._node.storage_bytes,
            ),
        )

    def _linked_services(self, namespace: str) -> list[core.Service]:
        cache = self._services.cache
        api = cache.get(Key(environment.API_NAMESPACE, environment.API_SERVICE))
        own = cache.by_index(BY_NAMESPACE, namespace)
        return [*([api] if api is not None and namespace != environment.API_NAMESPACE else []), *own]

    async def _post_start(self, record: Record, spec: core.Container, kind: Kind, container: Container) -> None:
        sandbox = self._runtime.sandboxes.get(record.uid)
        address = sandbox.addresses[0] if sandbox and sandbox.addresses else self._settings.node_ip
        target = Target(container, spec, address)
        outcome = await carry_out(self._runtime, target, spec.lifecycle.post_start, timeout_s=HOOK_TIMEOUT_S)
        if outcome.passed:
            return
        where = field_path(spec, kind)
        self._events.warning(record.pod, "FailedPostStartHook", f"PostStartHook failed: {outcome.message}",
                             field_path=where)  # fmt: skip
        self._events.normal(record.pod, "Killing", f"FailedPostStartHook: stopping {spec.name}", field_path=where)
        grace_s = float(record.pod.spec.termination_grace_period_seconds or decision.GRACE_DEFAULT_S)
        await self._runtime.containers.stop(container.id, grace_s=grace_s)

    def fault(self, record: Record, name: str, reason: str, message: str, *, field: str = "", spec: str = "") -> None:
        """Remember a failure, tell people, and log it."""
        now = datetime.now(UTC)
        record.faults[name] = backoff.after_fault(record.faults.get(name), reason, message, now=now, spec=spec)
        _faults.labels(reason).inc()
        for word, text in _events_of(reason, message):
            self._events.warning(record.pod, word, text, field_path=field)
        log.warning("pod not started", pod=record.key, container=name or "-", reason=reason, message=message)


def field_path(spec: core.Container, kind: Kind) -> str:
    words = {Kind.MAIN: "containers", Kind.EPHEMERAL: "ephemeralContainers"}
    return f"spec.{words.get(kind, 'initContainers')}{{{spec.name}}}"


def _reason(fault: Exception) -> str:
    if isinstance(fault, ConfigFault):
        return "CreateContainerConfigError"
    return str(getattr(fault, "reason", "CreateContainerError"))


def _events_of(reason: str, message: str) -> list[tuple[str, str]]:
    """The events of a fault: a container's are told as Failed, with the reason word in the text."""
    if reason == "ErrImagePull":
        return [("Failed", f"Failed to pull image: {message}"), ("Failed", f"Error: {reason}")]
    if reason in OWN_EVENTS:
        return [(reason, message)]
    return [("Failed", f"Error: {reason}: {message}")]


def _pace(record: Record, action: decision.Start, spec: core.Container, now: Container) -> None:
    """Lengthen the back-off of a container that was restarted for having ended; forget it where it was changed."""
    last = action.last
    if last is None or last.labels.get(SANDBOX_LABEL) != now.labels.get(SANDBOX_LABEL):
        return
    if last.labels.get(SPEC_LABEL) != fingerprint.of(spec):
        record.backoffs.pop(spec.name, None)
        return
    record.backoffs[spec.name] = backoff.after_restart(record.backoffs.get(spec.name), last)
