"""Every request is given seats of its priority level before it is answered, at once, after a while, or not at all.

Flow schemas and priority levels are read out of the cache when they change. What a caller's request is classified as
is remembered, CLASSIFIED_MAX of it. A request waits at most WAIT_MAX_S, then it is told to come back, as one is at once
that finds its queues full: errors.TooManyRequests.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Mapping
from typing import NamedTuple

import prometheus_client as prometheus
from raftsman import errors
from raftsman.flowcontrol import v1 as flowcontrol
from raftsman.services.apiserver.access.identity import User
from raftsman.services.apiserver.watchcache.kind_cache import KindCache

from .level import Full, Level, Seats
from .schemas import Asked, Schema, in_order

GROUP = "flowcontrol.apiserver.k8s.io"
SEATS_MAX = 600
CLASSIFIED_MAX = 8192
WAIT_MAX_S = 15.0
RETRY_AFTER_S = 1
# A list takes a seat for so many objects, and no more than so many seats.
OBJECTS_PER_SEAT = 1000
LIST_SEATS_MAX = 10
SCHEMA_HEADER, LEVEL_HEADER = "X-Kubernetes-PF-FlowSchema-UID", "X-Kubernetes-PF-PriorityLevel-UID"

REJECTED = prometheus.Counter(
    "apiserver_flowcontrol_rejected_requests", "Requests told to come back.",
    ("priority_level", "flow_schema", "reason"),
)  # fmt: skip
DISPATCHED = prometheus.Counter(
    "apiserver_flowcontrol_dispatched_requests", "Requests that waited and were answered.",
    ("priority_level", "flow_schema"),
)  # fmt: skip


class Classified(NamedTuple):
    schema: Schema
    level: Level
    hand: tuple[int, ...]
    headers: tuple[tuple[str, str], ...]
    """Told with every answer over REST, in lower case as gRPC's trailing metadata."""


class Ticket:
    """Seats of a level. Given back once, however often that is said."""

    __slots__ = ("_held", "_level", "_queue", "_seats")

    def __init__(self, level: Level, queue: int, seats: int) -> None:
        self._level, self._queue, self._seats = level, queue, seats
        self._held = True

    def release(self) -> None:
        if self._held:
            self._held = False
            self._level.leave(self._queue, self._seats)


class FlowControl:
    def __init__(self, caches: Mapping[str, KindCache], *, seats: int = SEATS_MAX) -> None:
        self._schemas = caches[f"flowschemas.{GROUP}"]
        self._levels = caches[f"prioritylevelconfigurations.{GROUP}"]
        self._total = seats
        self._classified: dict[tuple[str, tuple[str, ...], Asked], Classified] = {}
        self._compiled: tuple[list[Schema], dict[str, Level]] | None = None
        for cache in (self._schemas, self._levels):
            cache.listeners.append(lambda _: self.forget())

    def forget(self) -> None:
        """What was read is read again. Requests that run or wait stay with the level that they came to."""
        self._compiled = None
        self._classified.clear()

    async def admit(self, found: Classified, *, seats: int = 1) -> Ticket:
        """Seats, to be released. errors.TooManyRequests."""
        schema, level, hand, _ = found
        try:
            queue = level.enter(hand, seats)
        except Full:
            raise self._refused(schema, level, "concurrency-limit") from None
        if queue is None:
            queue = await self._waited(schema, level, hand, seats)
        return Ticket(level, queue, seats)

    async def _waited(self, schema: Schema, level: Level, hand: tuple[int, ...], seats: int) -> int:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def start() -> None:
            if not turn.done():
                turn.set_result(None)

        try:
            waiter = level.wait(hand, seats, start)
        except Full:
            raise self._refused(schema, level, "queue-full") from None
        try:
            async with asyncio.timeout(WAIT_MAX_S):
                await turn
        except BaseException as error:
            if waiter.gone:
                # Its turn had come in the same moment.
                level.leave(waiter.queue, seats)
            level.give_up(waiter)
            if isinstance(error, TimeoutError):
                raise self._refused(schema, level, "time-out") from None
            raise
        DISPATCHED.labels(level.name, schema.name).inc()
        return waiter.queue

    def _refused(self, schema: Schema, level: Level, reason: str) -> errors.ApiError:
        REJECTED.labels(level.name, schema.name, reason).inc()
        error = errors.TooManyRequests("Too many requests, please try again later.")
        error.status.details.retry_after_seconds = RETRY_AFTER_S
        return error

    # -- classifying

    def classify(self, user: User, asked: Asked) -> Classified:
        """The schema, the level and the hand of queues of such a request."""
        key = (user.name, user.groups, asked)
        found = self._classified.get(key)
        if found is None:
            found = self._found(user, asked)
            if len(self._classified) >= CLASSIFIED_MAX:
                del self._classified[next(iter(self._classified))]
            self._classified[key] = found
        return found

    def _found(self, user: User, asked: Asked) -> Classified:
        schemas, levels = self._read()
        schema = next(one for one in schemas if one.level in levels and one.matches(user, asked))
        level = levels[schema.level]
        flow = f"{schema.name}\0{schema.flow(user, asked)}".encode()
        hand = level.deal(int.from_bytes(hashlib.blake2b(flow, digest_size=16).digest(), "big"))
        return Classified(schema, level, hand, ((SCHEMA_HEADER, schema.uid), (LEVEL_HEADER, level.uid)))

    def _read(self) -> tuple[list[Schema], dict[str, Level]]:
        if self._compiled is None:
            schemas = in_order(found.parsed() for found in self._schemas.values())
            levels = _levels([found.parsed() for found in self._levels.values()], self._total)
            # Who is nobody's is everybody's last: the server's own, should somebody have deleted its objects.
            levels.setdefault("", Level("", "", Seats(), nominal=self._total))
            schemas.append(_Everything("", "", "", "", ()))
            self._compiled = (schemas, levels)
        return self._compiled


class _Everything(Schema):
    def matches(self, user: User, asked: Asked) -> bool:
        return True


def _levels(found: list[flowcontrol.PriorityLevelConfiguration], total: int) -> dict[str, Level]:
    """Each with its part of the server's seats."""
    seats = Seats()
    shares = sum(_shares(one) for one in found) or 1
    return {one.metadata.name: _level(one, seats, math.ceil(total * _shares(one) / shares)) for one in found}


def _shares(found: flowcontrol.PriorityLevelConfiguration) -> int:
    part = found.spec.exempt if found.spec.type == "Exempt" else found.spec.limited
    return part.nominal_concurrency_shares


def _level(found: flowcontrol.PriorityLevelConfiguration, seats: Seats, nominal: int) -> Level:
    name, uid = found.metadata.name, found.metadata.uid
    if found.spec.type == "Exempt":
        lendable = nominal * found.spec.exempt.lendable_percent // 100
        return Level(name, uid, seats, nominal=nominal, lendable=lendable, exempt=True)
    limited = found.spec.limited
    lendable = nominal * limited.lendable_percent // 100
    borrowing = None
    if limited.HasField("borrowing_limit_percent"):
        borrowing = nominal * limited.borrowing_limit_percent // 100
    if limited.limit_response.type != "Queue":
        return Level(name, uid, seats, nominal=nominal, lendable=lendable, borrowing=borrowing)
    queuing = limited.limit_response.queuing
    return Level(
        name, uid, seats, nominal=nominal, lendable=lendable, borrowing=borrowing, queues=queuing.queues,
        hand=queuing.hand_size, length=queuing.queue_length_limit,
    )  # fmt: skip


def list_seats(objects: int) -> int:
    """What a list of so many objects takes."""
    return min(LIST_SEATS_MAX, 1 + objects // OBJECTS_PER_SEAT)
