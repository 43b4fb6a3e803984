"""`describe`: everything about an object that a person wants to know, and what happened to it.

One file for each family of kinds; generic.py for the rest. Secrets are described by the sizes of their values.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
from raftsman import errors
from raftsman.cli import failure, targets
from raftsman.cli.session import Session
from raftsman.cli.targets import Target
from raftsman.cli.verb import Failure, flag, verb
from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery

from . import batch, cluster, generic, network, pods, policies, storage, workloads
from .text import Text, events_table

SERVICE_LABEL = "kubernetes.io/service-name"
_WRITERS: dict[str, Callable[[Text, Any], None]] = {
    "pods": pods.pod,
    "deployments.apps": workloads.deployment,
    "replicasets.apps": workloads.replica_set,
    "daemonsets.apps": workloads.daemon_set,
    "statefulsets.apps": workloads.stateful_set,
    "replicationcontrollers": workloads.replication_controller,
    "jobs.batch": batch.job,
    "cronjobs.batch": batch.cron_job,
    "horizontalpodautoscalers.autoscaling": batch.autoscaler,
    "persistentvolumes": storage.volume,
    "persistentvolumeclaims": storage.claim,
    "resourcequotas": storage.quota,
    "limitranges": storage.limit_range,
    "endpoints": network.endpoints,
    "endpointslices.discovery.k8s.io": network.endpoint_slice,
    "ingresses.networking.k8s.io": policies.ingress,
    "ingressclasses.networking.k8s.io": policies.ingress_class,
    "networkpolicies.networking.k8s.io": policies.network_policy,
    "poddisruptionbudgets.policy": policies.budget,
    "priorityclasses.scheduling.k8s.io": policies.priority_class,
    "storageclasses.storage.k8s.io": policies.storage_class,
    "certificatesigningrequests.certificates.k8s.io": policies.signing_request,
    "nodes": cluster.node,
    "namespaces": cluster.namespace,
    "configmaps": cluster.config_map,
    "secrets": cluster.secret,
    "serviceaccounts": cluster.service_account,
    "roles.rbac.authorization.k8s.io": cluster.role,
    "clusterroles.rbac.authorization.k8s.io": cluster.role,
    "rolebindings.rbac.authorization.k8s.io": cluster.role_binding,
    "clusterrolebindings.rbac.authorization.k8s.io": cluster.role_binding,
}
_WITHOUT_EVENTS = ("secrets", "events", "roles.rbac.authorization.k8s.io", "clusterroles.rbac.authorization.k8s.io",
                   "rolebindings.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io",
                   "namespaces")  # fmt: skip


@verb()
@click.argument("words", nargs=-1, metavar="TYPE[/NAME] [NAME]…")
@targets.with_files
@click.option("-l", "--selector", default="", help="Only objects with these labels.")
@flag("-A", "--all-namespaces", help="In all namespaces.")
@flag("--show-events", default=True, help="Print the object's events.")
async def describe(
    session: Session, words: tuple[str, ...], filenames: tuple[str, ...], recursive: bool, selector: str,
    all_namespaces: bool, show_events: bool,
) -> None:  # fmt: skip
    """Describe objects: `describe pod web-1`, `describe nodes`, `describe deploy -l app=web`."""
    if filenames:
        wanted = targets.of_documents(targets.read_files(filenames, recursive=recursive), session)
    else:
        wanted = targets.parse(words, "" if all_namespaces else session.namespace)
    said = []
    for target in wanted:
        try:
            for obj in await _objects(session, target, selector):
                said.append(await _described(session, target, obj, with_events=show_events))
        except errors.NotFound as error:
            session.fail(failure.text(error))
    if said:
        click.echo("\n\n".join(said), nl=False)
    elif not session.failed:
        session.note(f"No resources found in {session.namespace} namespace.")


async def _objects(session: Session, target: Target, selector: str) -> list[object]:
    if target.name and selector:
        raise Failure("name cannot be provided when a selector is specified")
    try:
        return await targets.fetched(session, target, label_selector=selector)
    except errors.NotFound:
        # What kubectl does: a name that is no object's may begin the names of some.
        found = await targets.fetched(session, Target(target.resource, "", target.namespace))
        beginning = [obj for obj in found if obj.metadata.name.startswith(target.name)]
        if not target.name or not beginning:
            raise
        return beginning


async def _described(session: Session, target: Target, obj: object, *, with_events: bool) -> str:
    text = Text()
    writer = _WRITERS.get(target.resource.qualified)
    if isinstance(obj, core.Service):
        network.service(text, obj, await _slices(session, obj))
    elif writer is None:
        generic.any_object(text, obj)
    else:
        writer(text, obj)
    await _related(session, target, text, obj)
    if with_events and target.resource.qualified not in _WITHOUT_EVENTS:
        await _events(session, target, text, obj)
    return text.rendered()


async def _slices(session: Session, service: core.Service) -> list[discovery.EndpointSlice]:
    metadata = service.metadata
    label = f"{SERVICE_LABEL}={metadata.name}"
    found = await session.client.list(discovery.EndpointSlice, namespace=metadata.namespace, label_selector=label)
    return list(found.items)


async def _related(session: Session, target: Target, text: Text, obj: object) -> None:
    """What is known of an object only by looking at others."""
    if isinstance(obj, core.Node):
        listed = await session.client.list(core.Pod, field_selector=f"spec.nodeName={obj.metadata.name}")
        cluster.node_pods(text, obj, list(listed.items))
    elif target.resource.qualified == "deployments.apps":
        from raftsman.cli.rollout import revisions

        workloads.deployment_sets(text, obj, list((await revisions(session, obj)).values()))  # type: ignore[arg-type]


async def _events(session: Session, target: Target, text: Text, obj: object) -> None:
    meta = obj.metadata  # type: ignore[attr-defined]
    fields = f"involvedObject.kind={target.resource.kind},involvedObject.name={meta.name}"
    if meta.uid and not isinstance(obj, core.Node):
        fields += f",involvedObject.uid={meta.uid}"
    try:
        found = await session.client.list(core.Event, namespace=meta.namespace, field_selector=fields)
    except errors.ApiError as error:
        session.note(failure.text(error))
        return
    events_table(text, list(found.items), now=datetime.now(UTC))
