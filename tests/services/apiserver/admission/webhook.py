"""A real HTTPS server that is asked by the API server, and configurations that name it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web
from raftsman import errors
from raftsman.admissionregistration import v1 as registration
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

from tests.services.apiserver.certificates import Authority
from tests.services.apiserver.cluster import Api

Answer = Callable[[dict[str, Any]], dict[str, Any]]


class Webhook:
    """`answer` gets the request of a review and gives the response without its uid. Remembers what it was asked."""

    def __init__(self, port: int, bundle: bytes, answer: Answer) -> None:
        self.port, self.bundle, self.answer = port, bundle, answer
        self.asked: list[dict[str, Any]] = []
        self.connections = 0
        self.delay_s = 0.0

    async def handle(self, request: web.Request) -> web.Response:
        review = await request.json()
        self.asked.append(review["request"])
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        response = {"uid": review["request"]["uid"], **self.answer(review["request"])}
        return web.json_response({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/review"


@contextlib.asynccontextmanager
async def serving(authority: Authority, answer: Answer, *, host: str = "localhost") -> AsyncIterator[Webhook]:
    cert, key = authority.issue("webhook", file=f"webhook-{secrets.token_hex(4)}", host=host)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    app = web.Application()
    hook = Webhook(0, authority.ca_pem, answer)
    app.router.add_post("/review", hook.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    assert site._server is not None
    hook.port = site._server.sockets[0].getsockname()[1]
    try:
        yield hook
    finally:
        await runner.cleanup()


def allow(request: dict[str, Any]) -> dict[str, Any]:
    return {"allowed": True}


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    """A response that changes the object."""
    encoded = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": encoded}


def configuration(
    kind: type[Any], hook: Webhook, namespace: str, *, name: str = "", resources: tuple[str, ...] = ("configmaps",),
    operations: tuple[str, ...] = ("CREATE", "UPDATE"), **facts: Any,
) -> Any:  # fmt: skip
    """One that concerns a test's own namespace alone."""
    made = kind()
    made.metadata.name = name or f"c-{secrets.token_hex(4)}"
    webhook = made.webhooks.add(name="check.example.com", side_effects="None", admission_review_versions=["v1"])
    webhook.client_config.url, webhook.client_config.ca_bundle = hook.url, hook.bundle
    rule = webhook.rules.add(operations=operations)
    rule.rule.MergeFrom(registration.Rule(api_groups=["*"], api_versions=["*"], resources=resources))
    webhook.namespace_selector.match_labels["kubernetes.io/metadata.name"] = namespace
    for field, value in facts.items():
        setattr(webhook, field, value)
    return made


@contextlib.asynccontextmanager
async def configured(api: Api, *made: Any) -> AsyncIterator[None]:
    for one in made:
        await api.create(one)
    try:
        yield
    finally:
        for one in made:
            with contextlib.suppress(errors.NotFound):
                await api.delete(type(one), one.metadata.name)


def a_map(namespace: str, name: str = "one", **data: str) -> core.ConfigMap:
    return core.ConfigMap(metadata=meta.ObjectMeta(namespace=namespace, name=name), data=data)
