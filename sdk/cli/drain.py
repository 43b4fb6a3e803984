"""`drain`: make a node take no new pods, and evict those that it has."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import click
from raftsman import errors
from raftsman.core import v1 as core
from raftsman.metadata import controller_of

from . import cordon, failure
from .output import with_dry_run
from .session import Session
from .verb import Duration, Failure, flag, verb

RETRY_S = 5.0
EVICTIONS_MAX = 16
MIRROR = "kubernetes.io/config.mirror"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which pods go, what is said of others that stay, and why it cannot be."""

    pods: Sequence[core.Pod]
    warnings: Sequence[str] = ()
    refusals: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Wishes:
    ignore_daemonsets: bool = False
    delete_emptydir_data: bool = False
    force: bool = False


@verb()
@click.argument("nodes", nargs=-1, metavar="NODE…")
@click.option("-l", "--selector", default="", help="The nodes with these labels.")
@click.option("--pod-selector", default="", help="Only pods with these labels.")
@flag("--ignore-daemonsets", help="Leave pods of daemon sets where they are.")
@flag("--delete-emptydir-data", help="Also pods whose emptyDir volumes go with them.")
@flag("--force", help="Also pods that nobody makes again.")
@flag("--disable-eviction", help="Delete instead of evicting: disruption budgets do not count.")
@click.option("--grace-period", type=int, default=-1, help="Seconds that each pod is given; -1: its own.")
@click.option("--timeout", "timeout_s", type=Duration(), default=0.0, help="Give up after so long; 0: never.")
@with_dry_run
async def drain(
    session: Session, nodes: tuple[str, ...], selector: str, pod_selector: str, ignore_daemonsets: bool,
    delete_emptydir_data: bool, force: bool, disable_eviction: bool, grace_period: int, timeout_s: float, dry_run: str,
) -> None:  # fmt: skip
    """Empty a node: `drain n1 --ignore-daemonsets --delete-emptydir-data`. It keeps to disruption budgets."""
    names = await cordon.named(session, nodes, selector)
    await cordon.mark(session, names, dry_run, unschedulable=True)
    if session.failed:
        return
    wishes = Wishes(ignore_daemonsets, delete_emptydir_data, force)
    for name in names:
        listed = await session.client.list(
            core.Pod, field_selector=f"spec.nodeName={name}", label_selector=pod_selector
        )
        choice = chosen(listed.items, wishes)
        if choice.refusals:
            raise Failure(f'unable to drain node "{name}": {", ".join(choice.refusals)}')
        for warning in choice.warnings:
            session.note(f"Warning: {warning}")
        emptying = _Emptying(session, grace_period, evict=not disable_eviction, dry_run=dry_run)
        try:
            async with asyncio.timeout(timeout_s or None):
                await emptying.run(choice.pods)
        except TimeoutError:
            raise Failure(f'unable to drain node "{name}": global timeout reached: {timeout_s:.0f}s') from None
        session.say(f"node/{name} drained{' (dry run)' if dry_run != 'none' else ''}")


def chosen(pods: Sequence[core.Pod], wishes: Wishes) -> Choice:
    """What is to be done with a node's pods."""
    going: list[core.Pod] = []
    warnings: dict[str, list[str]] = {}
    refusals: dict[str, list[str]] = {}
    for pod in pods:
        name = f"{pod.metadata.namespace}/{pod.metadata.name}"
        if MIRROR in pod.metadata.annotations:
            continue
        ended = pod.status.phase in ("Succeeded", "Failed")
        owner = controller_of(pod)
        if owner is not None and owner.kind == "DaemonSet" and not ended:
            if wishes.ignore_daemonsets:
                warnings.setdefault("ignoring DaemonSet-managed Pods", []).append(name)
            else:
                refusals.setdefault("DaemonSet-managed Pods (use --ignore-daemonsets to ignore)", []).append(name)
            continue
        problem = None if ended else _problem(pod, wishes, owned=owner is not None)
        if problem is not None:
            refusals.setdefault(problem, []).append(name)
            continue
        if owner is None and not ended:
            warnings.setdefault("deleting Pods that declare no controller", []).append(name)
        going.append(pod)
    return Choice(going, _worded(warnings), _worded(refusals, before="cannot delete "))


def _problem(pod: core.Pod, wishes: Wishes, *, owned: bool) -> str | None:
    if not owned and not wishes.force:
        return "Pods that declare no controller (use --force to override)"
    local = any(volume.volume_source.HasField("empty_dir") for volume in pod.spec.volumes)
    if local and not wishes.delete_emptydir_data:
        return "Pods with local storage (use --delete-emptydir-data to override)"
    return None


def _worded(found: dict[str, list[str]], *, before: str = "") -> list[str]:
    return [f"{before}{what}: {', '.join(names)}" for what, names in found.items()]


class _Emptying:
    """Pods on their way out."""

    def __init__(self, session: Session, grace_period: int, *, evict: bool, dry_run: str) -> None:
        self._session, self._evict, self._dry_run = session, evict, dry_run
        self._grace_s = grace_period if grace_period >= 0 else None
        self._slots = asyncio.Semaphore(EVICTIONS_MAX)

    async def run(self, pods: Sequence[core.Pod]) -> None:
        async with asyncio.TaskGroup() as group:
            for pod in pods:
                group.create_task(self._end(pod))

    async def _end(self, pod: core.Pod) -> None:
        metadata = pod.metadata
        did = "evict" if self._evict else "delet"
        async with self._slots:
            self._session.note(f"{did}ing pod {metadata.namespace}/{metadata.name}")
            if self._dry_run == "client":
                return
            try:
                await self._ask(pod)
                if self._dry_run == "none":
                    await self._gone(pod)
            except errors.NotFound:
                pass
            except errors.ApiError as error:
                self._session.fail(f"error when {did}ing pods/\"{metadata.name}\" -n \"{metadata.namespace}\": "
                                   f"{failure.text(error)}")  # fmt: skip
                return
        self._session.say(f"pod/{metadata.name} {did}ed")

    async def _ask(self, pod: core.Pod) -> None:
        metadata, dry = pod.metadata, self._dry_run == "server"
        client = self._session.client
        if not self._evict:
            await client.delete(
                core.Pod, metadata.name, namespace=metadata.namespace, grace_period_s=self._grace_s, dry_run=dry
            )
            return None
        while True:
            try:
                return await client.evict(
                    metadata.name, namespace=metadata.namespace, grace_period_s=self._grace_s, dry_run=dry
                )
            except errors.TooManyRequests as error:
                self._session.note(
                    f'error when evicting pods/"{metadata.name}" -n "{metadata.namespace}" (will retry after 5s): '
                    f"{error.message}"
                )
                if dry:
                    return None
            await asyncio.sleep(RETRY_S)

    async def _gone(self, pod: core.Pod) -> None:
        uid, grace_s = pod.metadata.uid, max(self._grace_s or 0, pod.spec.termination_grace_period_seconds, 30)
        await self._session.client.wait(
            core.Pod, pod.metadata.name, lambda found: found is None or found.metadata.uid != uid,
            namespace=pod.metadata.namespace, timeout_s=10.0 * grace_s,
        )  # fmt: skip
