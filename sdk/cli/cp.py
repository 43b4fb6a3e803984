"""`cp`: files and folders to and from containers, as a tar archive through exec (the container needs `tar`)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import posixpath
import sys
import tarfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import click
from raftsman.core import v1 as core

from . import pods
from .session import Session
from .verb import Failure, flag, verb

CHUNK_BYTES = 64 * 1024
ERROR_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class Place:
    """A path, here if `pod` is empty."""

    path: str
    pod: str = ""
    namespace: str = ""


@verb()
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="TARGET")
@click.option("-c", "--container", default="", help="In this container.")
@flag("--no-preserve", help="Do not keep owners and permissions.")
async def cp(session: Session, source: str, target: str, container: str, no_preserve: bool) -> None:
    """Copy files: `cp ./conf web-1:/etc/conf`, `cp ns/web-1:/var/log ./log`. One side is [NAMESPACE/]POD:PATH."""
    from_, to = place(source), place(target)
    if bool(from_.pod) == bool(to.pod):
        raise Failure("one of src or dest must be a local file specification")
    if not from_.path or not to.path:
        raise Failure("filepath can not be empty")
    remote = from_ if from_.pod else to
    namespace = remote.namespace or session.namespace
    pod = await session.client.get(core.Pod, remote.pod, namespace=namespace)
    name = pods.container_of(session, pod, container)
    if to.pod:
        await _upload(session, pod, name, from_.path, to.path, keep=not no_preserve)
    else:
        await _download(session, pod, name, from_.path, to.path, keep=not no_preserve)


def place(text: str) -> Place:
    """`POD:PATH`, `NAMESPACE/POD:PATH`, or a path here."""
    name, colon, path = text.partition(":")
    if not colon or name.startswith((".", "/")) or not name:
        return Place(text)
    namespace, slash, pod = name.rpartition("/")
    if "/" in namespace:
        return Place(text)
    return Place(path, pod, namespace if slash else "")


async def _upload(session: Session, pod: core.Pod, container: str, source: str, target: str, *, keep: bool) -> None:
    here, own_name = _existing(source)
    if target.endswith("/") or await _is_folder(session, pod, container, target):
        target = posixpath.join(target, own_name)
    folder, name = posixpath.split(posixpath.normpath(target))
    words = ["tar", "-xmf", "-", "-C", folder or "."] if keep else ["tar", "--no-same-permissions", "--no-same-owner",
                                                                     "-xmf", "-", "-C", folder or "."]  # fmt: skip
    stream = session.client.exec(
        pod.metadata.name, words, namespace=pod.metadata.namespace, container=container, stdin=_packed(here, name)
    )
    await _done(stream, _nowhere)


async def _download(session: Session, pod: core.Pod, container: str, source: str, target: str, *, keep: bool) -> None:
    folder, name = posixpath.split(posixpath.normpath(source))
    here = _place_for(target, name)
    stream = session.client.exec(
        pod.metadata.name, ["tar", "cf", "-", "-C", folder or ".", name], namespace=pod.metadata.namespace,
        container=container,
    )  # fmt: skip
    reading, writing = os.pipe()
    unpacking = asyncio.create_task(asyncio.to_thread(_unpack, os.fdopen(reading, "rb"), name, here, keep))
    try:
        with os.fdopen(writing, "wb") as pipe:

            async def write(data: bytes) -> None:
                with contextlib.suppress(BrokenPipeError):
                    await asyncio.to_thread(pipe.write, data)

            await _done(stream, write)
    finally:
        try:
            await unpacking
        except (tarfile.TarError, OSError) as refused:
            raise Failure(f"{target}: {refused}") from None


def _existing(source: str) -> tuple[Path, str]:
    """A file or folder of ours and its own name."""
    here = Path(source)
    if not here.exists():
        raise Failure(f"{source} doesn't exist in local filesystem")
    return here, here.resolve().name


def _place_for(target: str, name: str) -> Path:
    """In a folder that is there, or as the target itself."""
    here = Path(target)
    return here / name if here.is_dir() else here


async def _is_folder(session: Session, pod: core.Pod, container: str, path: str) -> bool:
    stream = session.client.exec(
        pod.metadata.name, ["test", "-d", path], namespace=pod.metadata.namespace, container=container
    )
    async with contextlib.aclosing(stream) as answers:
        async for answer in answers:
            if answer.HasField("exit"):
                return answer.exit.code == 0
    return False


async def _done(stream: AsyncGenerator[core.ExecResponse, None], take: Callable[[bytes], Awaitable[None]]) -> None:
    """To the command's end; a Failure with what it said if it did not succeed."""
    said = bytearray()
    async with contextlib.aclosing(stream) as answers:
        async for answer in answers:
            match answer.WhichOneof("message"):
                case "stdout":
                    await take(answer.stdout)
                case "stderr":
                    said += answer.stderr[: ERROR_BYTES_MAX - len(said)]
                case "exit":
                    if answer.exit.code or answer.exit.message:
                        text = said.decode(errors="replace").strip()
                        raise Failure(answer.exit.message or text or f"tar ended with exit code {answer.exit.code}")
                    if said:
                        sys.stderr.write(said.decode(errors="replace"))
                    return
    raise Failure("the connection ended before the copy was complete")


async def _nowhere(data: bytes) -> None:
    """tar says nothing of its own here."""


async def _packed(source: Path, name: str) -> AsyncIterator[bytes]:
    """An archive of `source` as `name`, made in a thread as it is taken."""
    reading, writing = os.pipe()

    def pack() -> None:
        with (
            os.fdopen(writing, "wb") as pipe,
            contextlib.suppress(BrokenPipeError),
            tarfile.open(fileobj=pipe, mode="w|") as archive,
        ):
            archive.add(source, arcname=name)

    packing = asyncio.create_task(asyncio.to_thread(pack))
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while data := await asyncio.to_thread(pipe.read, CHUNK_BYTES):
            yield data
    await packing


def _unpack(pipe: BinaryIO, name: str, target: Path, keep: bool) -> None:
    """The archive's `name` as `target`; nothing that it holds leads out of it."""
    with pipe, tarfile.open(fileobj=pipe, mode="r|") as archive:
        for member in archive:
            inside = posixpath.relpath(posixpath.normpath(member.name), name)
            if inside.startswith(".."):
                continue
            member.name = target.name if inside == "." else posixpath.join(target.name, inside)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                archive.extract(member, target.parent, set_attrs=keep, filter="data")
            except tarfile.FilterError as refused:
                sys.stderr.write(f"warning: skipping {member.name}: {refused}\n")
        # What follows the archive is taken too, so that nobody waits for room.
        while pipe.read(CHUNK_BYTES):
            pass
