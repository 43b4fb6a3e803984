"""Podman's REST API as coroutines: podman-py's own session, in at most WORKERS threads.

Four workers are what two cores can use; more only queue on the CPU. The session is used raw where podman-py's
objects cannot say what is needed (a SpecGenerator document, a delete without the ten seconds of waiting). Every call
keeps the service alive while it runs; an answer of 400 and above becomes the caller's kind of fault.
"""

from __future__ import annotations

import asyncio
import functools
import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from . import errors
from .service import Service

if TYPE_CHECKING:
    from podman.api.client import APIClient

WORKERS = 4
PULLERS = 2
CALL_TIMEOUT_S = 120.0

T = TypeVar("T")
Params = Mapping[str, str | int | bool]


class PodmanApi:
    """`get`, `post` and `delete` give the decoded JSON body, or None where there is none."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._executor = ThreadPoolExecutor(WORKERS, thread_name_prefix="podman")
        self._pullers = ThreadPoolExecutor(PULLERS, thread_name_prefix="pull")
        self._local = threading.local()

    async def get(
        self, path: str, params: Params | None = None, *, fault: type[errors.RuntimeFault] = errors.RuntimeFault
    ) -> Any:
        return await self._call("get", path, params, None, fault)

    async def post(
        self,
        path: str,
        body: object = None,
        *,
        params: Params | None = None,
        fault: type[errors.RuntimeFault] = errors.RuntimeFault,
    ) -> Any:
        return await self._call("post", path, params, body, fault)

    async def delete(
        self, path: str, params: Params | None = None, *, fault: type[errors.RuntimeFault] = errors.RuntimeFault
    ) -> Any:
        return await self._call("delete", path, params, None, fault)

    async def long(self, work: Callable[[APIClient], T]) -> T:
        """Run something that may take minutes (a pull) in one of PULLERS threads of its own."""
        async with self.service.use():
            return await asyncio.get_running_loop().run_in_executor(self._pullers, self._with_client, work)

    async def blocking(self, work: Callable[[], T]) -> T:
        """Run short blocking work (files, mounts, netlink) beside the API calls."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def warm(self) -> None:
        """Import podman-py in a thread while the service starts: 120 ms that the first pod need not wait for."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._client)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._pullers.shutdown(wait=False, cancel_futures=True)

    async def _call(
        self, method: str, path: str, params: Params | None, body: object, fault: type[errors.RuntimeFault]
    ) -> Any:
        async with self.service.use():
            work = functools.partial(self._request, method, path, params, body, fault)
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _request(
        self, method: str, path: str, params: Params | None, body: object, fault: type[errors.RuntimeFault]
    ) -> Any:
        import requests

        data = None if body is None else json.dumps(body)
        client: Any = self._client()
        try:
            if method == "post":
                answer = client.post(path, data=data, params=_words(params), timeout=CALL_TIMEOUT_S)
            else:
                answer = getattr(client, method)(path, params=_words(params), timeout=CALL_TIMEOUT_S)
        except requests.RequestException as broken:
            raise errors.Unavailable(f"podman did not answer {method} {path}: {broken}") from broken
        if answer.status_code >= 400:
            raise _fault(answer.status_code, answer.text, fault)
        return json.loads(answer.content) if answer.content else None

    def _client(self) -> APIClient:
        client: APIClient | None = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = self._connect()
        return client

    def _connect(self) -> APIClient:
        from podman.api.client import APIClient

        return APIClient(base_url=f"unix://{self.service.socket}")

    def _with_client(self, work: Callable[[APIClient], T]) -> T:
        return work(self._client())


def _words(params: Params | None) -> dict[str, str]:
    """Query values as Go's decoder reads them."""
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in (params or {}).items()}


def _fault(status: int, text: str, fault: type[errors.RuntimeFault]) -> errors.RuntimeFault:
    try:
        document = json.loads(text)
        message = document.get("message") or document.get("cause") or text
    except (ValueError, AttributeError):
        message = text or f"podman answered {status}"
    if status == 404 and fault is errors.RuntimeFault:
        return errors.NotFound(message)
    return fault(message)
