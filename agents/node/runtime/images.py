"""Images in this node's store: found, pulled by policy, listed and removed.

What `find` learnt is kept until the store's index file changes, so that starting a pod asks Podman nothing about an
image it has used. One pull of one image at a time, however many pods wait for it; at most PULLERS pulls at once.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import json
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from raftsman import logs

from . import errors, image_names
from .api import PULLERS, PodmanApi
from .layout import Layout
from .specs import Credentials, Image, PullPolicy

if TYPE_CHECKING:
    from podman.api.client import APIClient

log = logs.get(__name__)

CACHE_MAX = 512
PULL_READ_TIMEOUT_S = 300.0


class Images:
    """The store of one instance."""

    def __init__(self, layout: Layout, api: PodmanApi) -> None:
        self._api = api
        self._index = layout.graph_root / "overlay-images" / "images.json"
        self._seen: object = None
        self._found: dict[str, Image] = {}
        self._listed: tuple[Image, ...] | None = None
        self._pulls: dict[str, asyncio.Lock] = {}
        self._slots = asyncio.Semaphore(PULLERS)

    async def ensure(self, name: str, policy: PullPolicy, *, credentials: Sequence[Credentials] = ()) -> Image:
        """The image, pulled if the policy says so.

        InvalidImageName, ImageNeverPull (absent, and Never or a localhost/ name), ImagePullError.
        """
        reference = image_names.parse(name)
        present = await self.find(name)
        if present is not None and (policy is not PullPolicy.ALWAYS or reference.local):
            return present
        if reference.local or policy is PullPolicy.NEVER:
            why = "localhost/ images are never pulled" if reference.local else "the pull policy is Never"
            raise errors.ImageNeverPull(f"image {reference} is not on this node, and {why}")
        async with self._pulls.setdefault(str(reference), asyncio.Lock()):
            if policy is not PullPolicy.ALWAYS and (present := await self.find(name)) is not None:
                return present
            await self._pull(reference, credentials)
        self._pulls.pop(str(reference), None)
        present = await self.find(name)
        if present is None:
            raise errors.ImagePullError(f"image {reference} was pulled and is not in the store; is the disk full?")
        return present

    async def find(self, name: str) -> Image | None:
        """The image of that name, or None. A full image id is a name too."""
        key = str(image_names.parse(name)) if not name.startswith("sha256:") else name.removeprefix("sha256:")
        self._forget_if_changed()
        known = self._found.get(key)
        if known is not None:
            return known
        try:
            document = await self._api.get(f"/images/{quote(key, safe='')}/json")
        except errors.NotFound:
            return None
        if len(self._found) >= CACHE_MAX:
            self._found.clear()
        image = self._found[key] = _inspected(document)
        return image

    async def list(self) -> tuple[Image, ...]:
        """All images; only id, names and size are filled in. From memory as long as the store does not change."""
        self._forget_if_changed()
        if self._listed is None:
            self._listed = await self._list()
        return self._listed

    async def _list(self) -> tuple[Image, ...]:
        entries = await self._api.get("/images/json") or []
        return tuple(
            Image(
                id=entry["Id"],
                tags=tuple(entry.get("RepoTags") or ()),
                digests=tuple(entry.get("RepoDigests") or ()),
                size=int(entry.get("Size", 0)),
            )
            for entry in entries
        )

    async def remove(self, name: str) -> None:
        """Take a name away, and the image with its last name. NotFound; ImageFault while a container uses it."""
        reference = str(image_names.parse(name))
        if await self.find(name) is None:
            raise errors.NotFound(f"no image {reference}")
        await self._api.delete(f"/images/{quote(reference, safe='')}", fault=errors.ImageFault)
        self._found.clear()
        self._listed = None

    async def _pull(self, reference: image_names.Reference, credentials: Sequence[Credentials]) -> None:
        failure: errors.ImagePullError | None = None
        async with self._slots:
            # Several secrets may name one registry; the first that opens it counts.
            for credential in credentials or (None,):
                cancelled = threading.Event()
                try:
                    await self._api.long(
                        functools.partial(_pull, reference=reference, credential=credential, cancelled=cancelled)
                    )
                except errors.ImagePullError as refused:
                    failure = refused
                    continue
                finally:
                    cancelled.set()
                log.info("image pulled", image=str(reference))
                return
        assert failure is not None, "at least one attempt was made"
        raise failure

    def _forget_if_changed(self) -> None:
        try:
            status = self._index.stat()
            seen: object = (status.st_mtime_ns, status.st_size, status.st_ino)
        except FileNotFoundError:
            seen = None
        if seen != self._seen:
            self._seen = seen
            self._found.clear()
            self._listed = None


def _pull(
    client: APIClient, *, reference: image_names.Reference, credential: Credentials | None, cancelled: threading.Event
) -> None:
    """Blocks. Podman answers 200 first and tells of failure in a line of the stream."""
    import requests

    headers = {}
    if credential is not None:
        secret = json.dumps({"username": credential.username, "password": credential.password})
        headers["X-Registry-Auth"] = base64.urlsafe_b64encode(secret.encode()).decode()
    params = {"reference": str(reference), "policy": "always", "tlsVerify": str(not reference.insecure).lower()}
    session: Any = client
    try:
        answer = session.post(
            "/images/pull", params=params, headers=headers, stream=True, timeout=(5.0, PULL_READ_TIMEOUT_S)
        )
        with contextlib.closing(answer):
            for line in answer.iter_lines():
                if cancelled.is_set():
                    return
                problem = _problem(line, answer.status_code)
                if problem:
                    raise errors.ImagePullError(f"image {reference}: {problem}")
    except requests.RequestException as broken:
        raise errors.ImagePullError(f"image {reference}: podman stopped answering: {broken}") from broken


def _problem(line: bytes, status: int) -> str:
    if not line.strip():
        return ""
    try:
        document = json.loads(line)
    except ValueError:
        return line.decode(errors="replace") if status >= 400 else ""
    return str(document.get("error") or (document.get("message") if status >= 400 else "") or "")


def _inspected(document: dict[str, Any]) -> Image:
    config = document.get("Config") or {}
    return Image(
        id=document["Id"],
        tags=tuple(document.get("RepoTags") or ()),
        digests=tuple(document.get("RepoDigests") or ()),
        size=int(document.get("Size", 0)),
        user=config.get("User") or document.get("User") or "",
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        env=tuple(config.get("Env") or ()),
        working_dir=config.get("WorkingDir") or "",
        stop_signal=config.get("StopSignal") or "",
    )
