"""A REST client, and custom resources that go when a test is over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from ..cluster import ApiServerProcess  # noqa: TID252
from ..rest import Rest  # noqa: TID252
from .definitions import crontab, definition

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WAIT_S = 30.0


class Customs:
    """Makes definitions and waits until they are served."""

    def __init__(self, rest: Rest) -> None:
        self.rest = rest
        self.made: list[str] = []

    def define(self, tree: dict[str, Any]) -> str:
        """The path of the resource's first version, once it is served."""
        status, answer = self.rest.json("POST", DEFINITIONS, tree)
        assert status == 201, answer
        self.made.append(tree["metadata"]["name"])
        spec = tree["spec"]
        path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
        self.until(lambda: self.rest.json("GET", path)[0] == 200)
        return path

    def until(self, holds: Any) -> None:
        deadline = time.monotonic() + WAIT_S
        while not holds():
            assert time.monotonic() < deadline, "it never came about"
            time.sleep(0.02)

    def crontabs(self, namespace: str, tree: dict[str, Any] | None = None) -> Crontabs:
        tree = tree or definition(subresources={"status": {}})
        path = self.define(tree)
        group_version, _, plural = path.removeprefix("/apis/").rpartition("/")
        group = group_version.partition("/")[0]
        return Crontabs(self.rest, f"/apis/{group_version}/namespaces/{namespace}/{plural}", group, namespace)

    def close(self) -> None:
        for name in self.made:
            self.rest.json("DELETE", f"{DEFINITIONS}/{name}")


class Crontabs:
    """The CronTabs of one namespace."""

    def __init__(self, rest: Rest, path: str, group: str, namespace: str) -> None:
        self.rest, self.path, self.group, self.namespace = rest, path, group, namespace

    def make(self, name: str, **spec: Any) -> dict[str, Any]:
        status, answer = self.rest.json("POST", self.path, self.tree(name, **spec))
        assert status == 201, answer
        found: dict[str, Any] = answer
        return found

    def tree(self, name: str, **spec: Any) -> dict[str, Any]:
        return crontab(self.group, name, self.namespace, **spec)

    def get(self, name: str) -> dict[str, Any]:
        status, answer = self.rest.json("GET", f"{self.path}/{name}")
        assert status == 200, answer
        found: dict[str, Any] = answer
        return found

    def merge(self, name: str, patch: Any, part: str = "") -> tuple[int, Any]:
        headers = {"Content-Type": "application/merge-patch+json"}
        return self.rest.json("PATCH", f"{self.path}/{name}{part}", patch, headers=headers)


@pytest.fixture
def rest(server: ApiServerProcess) -> Iterator[Rest]:
    client = Rest(server)
    yield client
    client.close()


@pytest.fixture
def customs(rest: Rest) -> Iterator[Customs]:
    made = Customs(rest)
    yield made
    made.close()


@pytest.fixture
def crontabs(customs: Customs, namespace: str) -> Crontabs:
    return customs.crontabs(namespace)
