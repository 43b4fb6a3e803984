"""A priority level: so many seats, and fair queues for who finds none free.

    seats    nominal = its share of the server's; more while others do not use what they lend
    queues   each flow is dealt a hand of a few queues (shuffle sharding) and waits in its shortest one, so that a flow
             with much to do is unlikely to fill every queue of another
    order    by virtual finish time (start-time fair queuing): queues take turns by what they cost, not by how many wait

No I/O and no clock: who waits is told by a callback, when it gets its seats. A queue holds at most the level's limit.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Sequence


class Full(Exception):
    """Every queue of the hand is full, or the level has none."""


class Waiter:
    """A request in a queue."""

    __slots__ = ("finish", "gone", "queue", "seats", "start")

    def __init__(self, seats: int, finish: float, queue: int, start: Callable[[], None]) -> None:
        self.seats, self.finish, self.queue, self.start = seats, finish, queue, start
        self.gone = False


class Seats:
    """How many seats each level has, uses and lends. Levels are few: what can be borrowed is summed up when asked."""

    def __init__(self) -> None:
        self._levels: list[Level] = []

    def join(self, level: Level) -> None:
        self._levels.append(level)

    def borrowable(self) -> int:
        limited = [one for one in self._levels if not one.exempt]
        lent = sum(max(0, min(one.lendable, one.nominal - one.taken)) for one in limited)
        return lent - sum(max(0, one.taken - one.nominal) for one in limited)

    def others_wait(self) -> list[Level]:
        return [one for one in self._levels if one.waiting]


class Level:
    """One level. `queues` of 0: nobody waits."""

    def __init__(
        self, name: str, uid: str, seats: Seats, *, nominal: int, lendable: int = 0, borrowing: int | None = None,
        queues: int = 0, hand: int = 1, length: int = 0, exempt: bool = False,
    ) -> None:  # fmt: skip
        """`borrowing`: at most so many seats of others; None: as many as there are."""
        self.name, self.uid, self.exempt = name, uid, exempt
        self.nominal, self.lendable, self.borrowing = nominal, lendable, borrowing
        self.taken = self.waiting = 0
        self._seats = seats
        self._hand, self._length = min(hand, queues), length
        self._queues: list[deque[Waiter]] = [deque() for _ in range(queues)]
        self._finish = [0.0] * queues
        self._executing = [0] * queues
        self._virtual = 0.0
        self._heads: list[tuple[float, int, Waiter]] = []
        self._order = itertools.count()
        seats.join(self)

    # -- arriving

    def deal(self, flow: int) -> tuple[int, ...]:
        """The hand of a flow, by its hash: different queues, each hand as likely as any other."""
        left = list(range(len(self._queues)))
        hand = []
        for _ in range(self._hand):
            flow, index = divmod(flow, len(left))
            hand.append(left.pop(index))
        return tuple(hand)

    def enter(self, hand: Sequence[int], seats: int) -> int | None:
        """The queue that the request counts in, if it may run at once; None if it has to wait."""
        if self.exempt:
            self.taken += seats
            return -1
        if not hand:
            if not self._free(seats):
                raise Full(self.name)
            self.taken += seats
            return -1
        if self.waiting or not self._free(seats):
            return None
        queue = min(hand, key=self._executing.__getitem__)
        self._begin(queue, seats, self._cost(queue, seats))
        return queue

    def wait(self, hand: Sequence[int], seats: int, start: Callable[[], None]) -> Waiter:
        """Put at the end of the hand's shortest queue. Raises Full."""
        queue = min(hand, key=lambda one: (len(self._queues[one]), self._executing[one]))
        if len(self._queues[queue]) >= self._length:
            raise Full(self.name)
        waiter = Waiter(seats, self._cost(queue, seats), queue, start)
        self._queues[queue].append(waiter)
        self.waiting += 1
        if len(self._queues[queue]) == 1:
            self._head(queue)
        return waiter

    def _cost(self, queue: int, seats: int) -> float:
        """When the request would be done if queues took turns in infinitely small steps."""
        self._finish[queue] = max(self._virtual, self._finish[queue]) + seats
        return self._finish[queue]

    def _free(self, seats: int) -> bool:
        """A level has its nominal seats always; what it uses beyond is somebody's who does not need it now."""
        over = self.taken + seats - self.nominal
        if over <= 0:
            return True
        if self.taken == 0:
            # A request that asks for more seats than there are runs alone.
            return True
        if self.borrowing is not None and over > self.borrowing:
            return False
        return self._seats.borrowable() >= min(over, seats)

    def _begin(self, queue: int, seats: int, finish: float) -> None:
        self.taken += seats
        self._executing[queue] += seats
        self._virtual = max(self._virtual, finish - seats)

    # -- leaving

    def leave(self, queue: int, seats: int) -> None:
        """A request is done."""
        self.taken -= seats
        if queue >= 0:
            self._executing[queue] -= seats
        for level in self._seats.others_wait():
            level.dispatch()

    def give_up(self, waiter: Waiter) -> None:
        """A request waits no longer."""
        if not waiter.gone:
            waiter.gone = True
            self.waiting -= 1
            self._queues[waiter.queue].remove(waiter)
            self._head(waiter.queue)

    def dispatch(self) -> None:
        """Start those whose turn it is, as far as there are seats."""
        while self._heads:
            finish, _, waiter = self._heads[0]
            queue = self._queues[waiter.queue]
            if waiter.gone or not queue or queue[0] is not waiter:
                heapq.heappop(self._heads)
                continue
            if not self._free(waiter.seats):
                return
            heapq.heappop(self._heads)
            queue.popleft()
            waiter.gone = True
            self.waiting -= 1
            self._begin(waiter.queue, waiter.seats, finish)
            self._head(waiter.queue)
            waiter.start()

    def _head(self, queue: int) -> None:
        if self._queues[queue]:
            first = self._queues[queue][0]
            heapq.heappush(self._heads, (first.finish, next(self._order), first))
