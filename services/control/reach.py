"""Wait until the API server listens.

Knocks every KNOCK_S for the first EAGER_S, so that a cluster that is just starting loses nothing here, then every
PATIENT_S. A connection that opens is enough: whatever comes after, clients retry by themselves.
"""

from __future__ import annotations

import asyncio
import time

from raftsman import logs

KNOCK_S = 0.02
EAGER_S = 10.0
PATIENT_S = 0.5
log = logs.get(__name__)


async def reachable(target: str) -> None:
    """Return when `target` (HOST:PORT or unix:/path) accepts a connection."""
    started = time.monotonic()
    told = False
    while True:
        try:
            await _knock(target)
        except OSError as error:
            waited_s = time.monotonic() - started
            if waited_s > EAGER_S and not told:
                log.warning("API server cannot be reached, waiting", target=target, error=error)
                told = True
            await asyncio.sleep(KNOCK_S if waited_s < EAGER_S else PATIENT_S)
        else:
            log.info("API server reached", target=target, ms=round((time.monotonic() - started) * 1000))
            return


async def _knock(target: str) -> None:
    if target.startswith("unix:"):
        _, writer = await asyncio.open_unix_connection(target.removeprefix("unix:"))
    else:
        host, _, port = target.rpartition(":")
        _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    writer.close()
