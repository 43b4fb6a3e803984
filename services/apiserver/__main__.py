"""`python -m raftsman.services.apiserver`."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import sys

from raftsman import health, logs

from . import config

GC_THRESHOLDS = (50_000, 20, 50)
"""Requests leave few cycles behind, and a cache has many objects to be looked at for nothing."""


def main() -> int:
    """Serve until SIGTERM or SIGINT. 1 if it could not start."""
    settings = config.parse()
    logs.setup(settings.log_level)
    import uvloop

    gc.set_threshold(*GC_THRESHOLDS)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection is a file
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(settings))


async def _run(settings: config.Config) -> int:
    from .server import Server

    log = logs.get("raftsman.services.apiserver")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        server = Server(settings)
    except (OSError, ValueError) as error:
        log.error("cannot start", error=error)
        return 1
    starting = asyncio.create_task(server.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    code = 0
    if starting.done() and starting.exception() is not None:
        log.error("cannot start", error=starting.exception())
        code = 1
    elif starting.done():
        # What is there now stays: nobody need look at it again.
        gc.collect()
        gc.freeze()
        health.notify_ready()
        await stopping
    for task in (starting, stopping):
        task.cancel()
    await server.stop()
    return code


if __name__ == "__main__":
    sys.exit(main())
