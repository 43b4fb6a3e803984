"""`debug`: a container with tools beside what does not work: in the pod itself, in a copy of it, or on a node."""

from __future__ import annotations

import random
from typing import Any

import click
from raftsman.core import v1 as core

from . import attach, targets
from .session import Session
from .targets import Target
from .verb import Failure, Globals, Verb, after_dashes, flag, run_async

START_S = 120.0
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


@click.command("debug", cls=Verb)
@click.argument("words", nargs=-1, metavar="POD | TYPE/NAME -- [COMMAND…]")
@click.option("--image", default="", help="The image with the tools.")
@flag("-i", "--stdin", help="Keep its input open, and pass ours on.")
@flag("-t", "--tty", help="Give it a terminal.")
@flag("-q", "--quiet", help="Say nothing of our own.")
@click.option("--attach", "attached", type=bool, default=None, help="Attach to it; with -i that is so anyway.")
@click.option("-c", "--container", default="", help="Its name; of a copy, the container to change.")
@click.option("--target", default="", help="See the processes of this container of the pod.")
@click.option("--copy-to", default="", help="Not in the pod but in a copy of this name.")
@click.option("--env", "env", multiple=True, metavar="NAME=VALUE", help="Environment variables.")
@flag("--replace", help="With --copy-to: remove the pod itself.")
@flag("--same-node", help="With --copy-to: on the same node.")
@flag("--share-processes", default=True, help="With --copy-to: its containers see each other's processes.")
@click.pass_context
def debug(ctx: click.Context, /, **given: Any) -> int | None:
    """Look into a pod or a node: `debug -it web-1 --image=busybox --target=app`, `debug -it node/n1 --image=tools`."""
    return run_async(_debug, ctx.ensure_object(Globals), (after_dashes(ctx),), given)


async def _debug(
    session: Session, command: list[str], *, words: tuple[str, ...], stdin: bool, tty: bool, quiet: bool,
    attached: bool | None, **wishes: Any,
) -> int | None:  # fmt: skip
    if not words:
        raise Failure("NAME or TYPE/NAME is required for debug")
    target = targets.one(words, session.namespace, default="pod")
    if not wishes["image"] and not wishes["copy_to"]:
        raise Failure("--image is required")
    wishes |= {"command": command, "stdin": stdin, "tty": tty}
    if target.resource.message is core.Node:
        pod, container = await _on_node(session, target, wishes)
    elif target.resource.message is not core.Pod:
        raise Failure(f"{target.resource.name} cannot be debugged: only pods and nodes")
    elif wishes["copy_to"]:
        pod, container = await _copied(session, target, wishes)
    else:
        pod, container = await _beside(session, target, wishes, quiet=quiet)
    if not (stdin if attached is None else attached):
        return None
    pod = await _running(session, pod, container)
    return await attach.to_container(session, pod, container, stdin=stdin, tty=tty, quiet=quiet)


async def _beside(session: Session, target: Target, wishes: dict[str, Any], *, quiet: bool) -> tuple[core.Pod, str]:
    """An ephemeral container in the pod."""
    pod = await session.client.get(core.Pod, target.name, namespace=target.namespace)
    name = wishes["container"] or f"debugger-{_suffix()}"
    if not wishes["container"] and not quiet:
        session.note(f"Defaulting debug container name to {name}.")
    added = pod.spec.ephemeral_containers.add(target_container_name=wishes["target"] or None)
    added.ephemeral_container_common.MergeFromString(_container(name, wishes).SerializeToString())
    return await session.client.update_ephemeral_containers(pod), name


async def _copied(session: Session, target: Target, wishes: dict[str, Any]) -> tuple[core.Pod, str]:
    """A pod like it, with one container more or another image or command, and without what ends it."""
    pod = await session.client.get(core.Pod, target.name, namespace=target.namespace)
    copy = core.Pod()
    copy.metadata.name, copy.metadata.namespace = wishes["copy_to"], pod.metadata.namespace
    copy.metadata.annotations.update(pod.metadata.annotations)
    copy.spec.CopyFrom(pod.spec)
    del copy.spec.ephemeral_containers[:]
    if not wishes["same_node"]:
        copy.spec.ClearField("node_name")
    if wishes["share_processes"]:
        copy.spec.share_process_namespace = True
    name = wishes["container"] or f"debugger-{_suffix()}"
    changed = next((one for one in copy.spec.containers if one.name == name), None)
    if changed is None:
        copy.spec.containers.append(_container(name, wishes))
    else:
        changed.MergeFrom(core.Container(stdin=wishes["stdin"], tty=wishes["tty"], image=wishes["image"] or None))
        if wishes["command"]:
            changed.ClearField("args")
            del changed.command[:]
            changed.command.extend(wishes["command"])
    for one in copy.spec.containers:
        for probe in ("liveness_probe", "readiness_probe", "startup_probe"):
            one.ClearField(probe)
    made = await session.client.create(copy)
    if wishes["replace"]:
        await session.client.delete(core.Pod, target.name, namespace=target.namespace)
    return made, name


async def _on_node(session: Session, target: Target, wishes: dict[str, Any]) -> tuple[core.Pod, str]:
    """A pod on the node that shares its processes and network and has its files under /host."""
    await session.client.get(core.Node, target.name)
    name = wishes["container"] or "debugger"
    pod = core.Pod()
    pod.metadata.name = f"node-debugger-{target.name}-{_suffix()}"
    pod.metadata.namespace = session.namespace
    spec = pod.spec
    spec.node_name, spec.restart_policy = target.name, "Never"
    spec.host_pid = spec.host_network = spec.host_ipc = True
    spec.tolerations.add(operator="Exists")
    volume = spec.volumes.add(name="host-root")
    volume.volume_source.host_path.path = "/"
    container = _container(name, wishes)
    container.volume_mounts.add(name="host-root", mount_path="/host")
    spec.containers.append(container)
    session.note(f"Creating debugging pod {pod.metadata.name} with container {name} on node {target.name}.")
    return await session.client.create(pod), name


def _container(name: str, wishes: dict[str, Any]) -> core.Container:
    made = core.Container(
        name=name, image=wishes["image"], stdin=wishes["stdin"] or None, tty=wishes["tty"] or None,
        image_pull_policy="IfNotPresent", termination_message_policy="File",
    )  # fmt: skip
    made.args.extend(wishes["command"])
    for word in wishes["env"]:
        variable, equals, value = word.partition("=")
        if not equals or not variable:
            raise Failure(f'invalid argument "{word}" for "--env" flag: it is NAME=VALUE')
        made.env.add(name=variable, value=value)
    return made


async def _running(session: Session, pod: core.Pod, container: str) -> core.Pod:
    """The pod once the container has started, or ended already."""

    def begun(found: core.Pod | None) -> bool:
        if found is None:
            return True
        status = found.status
        every = (*status.container_statuses, *status.init_container_statuses, *status.ephemeral_container_statuses)
        state = next((one.state for one in every if one.name == container), None)
        return state is not None and (state.HasField("running") or state.HasField("terminated"))

    metadata = pod.metadata
    found = await session.client.wait(core.Pod, metadata.name, begun, namespace=metadata.namespace, timeout_s=START_S)
    if found is None:
        raise Failure(f"pod {metadata.name} is gone")
    return found


def _suffix() -> str:
    return "".join(random.choice(_LETTERS) for _ in range(5))
