"""Passwords, hashed and compared with bcrypt: slow on purpose, so never on an event loop and never many at once.

One thread of low priority does it, whatever is asked meanwhile: a flood of logins waits for itself and for nothing
else. Bounds: WAITING_MAX at once, BYTES_MAX a password (bcrypt looks at no more).
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt
from raftsman.store import errors

WAITING_MAX = 64
BYTES_MAX = 72
NICE = 10

T = TypeVar("T")


class Passwords:
    """`cost` is bcrypt's: each step takes twice as long."""

    def __init__(self, *, cost: int) -> None:
        self._cost = cost
        self._waiting = 0
        self._nobodys = b""
        self._executor = ThreadPoolExecutor(1, "bcrypt", _lower_priority)

    async def hash(self, password: str) -> str:
        """Raises invalid_request for one that is too long, too_many_requests."""
        data = password.encode()
        if len(data) > BYTES_MAX:
            raise errors.invalid_request(f"a password is longer than {BYTES_MAX} bytes")
        return await self._run(lambda: bcrypt.hashpw(data, bcrypt.gensalt(self._cost)).decode())

    async def matches(self, password: str, hashed: bytes) -> bool:
        """Nothing matches an empty hash, and finding that out takes as long. Raises too_many_requests."""
        data = password.encode()
        if len(data) > BYTES_MAX:
            return False
        return await self._run(lambda: bcrypt.checkpw(data, hashed or self._decoy()) and bool(hashed))

    def _decoy(self) -> bytes:
        if not self._nobodys:
            self._nobodys = bcrypt.hashpw(b"", bcrypt.gensalt(self._cost))
        return self._nobodys

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING_MAX:
            raise errors.too_many_requests()
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


def _lower_priority() -> None:
    """This thread's only: Linux counts niceness by thread."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
