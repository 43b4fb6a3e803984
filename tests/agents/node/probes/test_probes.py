"""Judging probe results, asking over HTTP, and the schedule."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from raftsman.agents.node.probes import handlers, http, judgement
from raftsman.agents.node.probes.judgement import Role, Timing
from raftsman.agents.node.probes.prober import Prober
from raftsman.agents.node.runtime import Container, Phase, Runtime
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

NO_RUNTIME = cast("Runtime", None)


def standings(role: Role, results: str, *, failures: int = 3, successes: int = 1) -> list[tuple[bool, bool]]:
    standing, found = judgement.begin(role), []
    for letter in results:
        timing = Timing(failures=failures, successes=successes)
        standing = judgement.judge(standing, letter == "+", role=role, timing=timing)
        found.append((standing.passing, standing.given_up))
    return found


def test_liveness_gives_up_after_so_many_failures_in_a_row() -> None:
    found = standings(Role.LIVENESS, "++--+---")
    assert [given_up for _, given_up in found] == [False] * 7 + [True]


def test_readiness_needs_its_thresholds_both_ways() -> None:
    found = standings(Role.READINESS, "-++--+-++", failures=2, successes=2)
    assert [passing for passing, _ in found] == [False, False, True, True, False, False, False, False, True]
    assert not any(given_up for _, given_up in found)


def test_startup_passes_once_or_gives_up() -> None:
    assert standings(Role.STARTUP, "--+")[-1] == (True, False)
    assert standings(Role.STARTUP, "---")[-1] == (False, True)


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server on loopback that gives one answer a connection, the last one forever."""
    asked: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answers[min(len(asked), len(answers)) - 1])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BAD = b"HTTP/1.1 503 Unavailable\r\n\r\nbusy"


async def test_an_http_request_has_its_headers_and_gives_status_and_body() -> None:
    async with answering(BAD) as (port, asked):
        request = http.Request("127.0.0.1", port, "healthz?x=1", headers=(("Host", "example"), ("X-A", "b")))
        assert await http.get(request, timeout_s=2) == (503, b"busy")
    (text,) = asked
    assert text.startswith(b"GET /healthz?x=1 HTTP/1.1\r\n")
    assert b"Host: example\r\n" in text
    assert b"X-A: b\r\n" in text
    assert text.count(b"Host:") == 1


async def test_an_answer_that_is_no_http_and_no_answer_at_all_are_faults() -> None:
    async with answering(b"SSH-2.0-x\r\n") as (port, _):
        with pytest.raises(http.HttpFault, match="not HTTP"):
            await http.get(http.Request("127.0.0.1", port), timeout_s=2)
    with pytest.raises(http.HttpFault, match="refused"):
        await http.get(http.Request("127.0.0.1", port), timeout_s=2)


async def test_a_header_cannot_smuggle_another_request() -> None:
    async with answering(OK) as (port, asked):
        request = http.Request("127.0.0.1", port, headers=(("X", "a\r\n\r\nGET / HTTP/1.1"),))
        with pytest.raises(http.HttpFault, match="line break"):
            await http.get(request, timeout_s=2)
    assert not asked


def test_ports_are_numbers_or_names() -> None:
    spec = core.Container(name="web")
    spec.ports.add(name="http", container_port=8080)
    assert handlers.port_of(spec, meta.IntOrString(type=0, int_val=9)) == 9
    assert handlers.port_of(spec, meta.IntOrString(type=1, str_val="http")) == 8080
    with pytest.raises(ValueError, match="no port named 'x'"):
        handlers.port_of(spec, meta.IntOrString(type=1, str_val="x"))


def target(spec: core.Container) -> handlers.Target:
    now = datetime.now(UTC)
    container = Container("id", "uid", spec.name, 0, "img", "", Phase.RUNNING, now, Path("/x"), started_at=now)
    return handlers.Target(container, spec, "127.0.0.1")


def probed(port: int, *, role: str, period_s: int = 1, failures: int = 1) -> core.Container:
    spec = core.Container(name="web")
    probe = getattr(spec, f"{role}_probe")
    probe.period_seconds, probe.failure_threshold = period_s, failures
    probe.handler.http_get.port.CopyFrom(meta.IntOrString(type=0, int_val=port))
    return spec


class Ears:
    """What a prober tells."""

    def __init__(self) -> None:
        self.changes: asyncio.Queue[str] = asyncio.Queue()
        self.failures: list[str] = []
        self.prober = Prober(
            NO_RUNTIME,
            on_change=self.changes.put_nowait,
            on_failure=lambda uid, container, role, message: self.failures.append(message),
        )


async def test_a_server_that_listens_late_is_ready_before_its_period_is_over() -> None:
    ears = Ears()
    async with answering(BAD, BAD, OK) as (port, _):
        ears.prober.watch("uid", target(probed(port, role="readiness", period_s=10)))
        health = ears.prober.health("id")
        assert health is not None
        assert not health.ready
        async with asyncio.timeout(3):
            assert await ears.changes.get() == "uid"
        health = ears.prober.health("id")
        assert health is not None
        assert health.ready
    assert ears.failures == []
    await ears.prober.close()


async def test_a_failed_liveness_probe_names_the_container_and_is_not_asked_again() -> None:
    ears = Ears()
    async with answering(BAD) as (port, asked):
        ears.prober.watch("uid", target(probed(port, role="liveness")))
        async with asyncio.timeout(3):
            await ears.changes.get()
        health = ears.prober.health("id")
        assert health is not None
        assert health.failure == "Container web failed liveness probe, will be restarted"
        await asyncio.sleep(1.1)
        assert len(asked) == 1
    assert ears.failures == ["HTTP probe failed with statuscode: 503"]
    await ears.prober.close()


async def test_liveness_waits_for_startup() -> None:
    ears = Ears()
    async with answering(OK) as (port, asked):
        spec = probed(port, role="liveness", period_s=60)
        spec.startup_probe.CopyFrom(probed(port, role="startup").startup_probe)
        spec.startup_probe.initial_delay_seconds = 1
        ears.prober.watch("uid", target(spec))
        await asyncio.sleep(0.3)
        assert not asked
        async with asyncio.timeout(3):
            await ears.changes.get()
        health = ears.prober.health("id")
        assert health is not None
        assert health.started
    await ears.prober.close()


async def test_a_forgotten_container_is_asked_no_more() -> None:
    ears = Ears()
    async with answering(BAD) as (port, asked):
        ears.prober.watch("uid", target(probed(port, role="readiness")))
        ears.prober.forget("id")
        assert ears.prober.health("id") is None
        await asyncio.sleep(0.3)
        assert not asked
    await ears.prober.close()
