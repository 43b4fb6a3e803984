"""`python -m raftsman.services.control`: scheduler and controllers in one process.

Reads its flags, two kubeconfigs and the root CA; writes only through the API server. Starts when that listens, is ready
when every cache has been filled, and stops on SIGTERM or SIGINT; if any part fails in a way that it never should, the
process ends with 1 and whoever supervises it starts it again. It must be the only one of its cluster: leader election
comes with the second control process, not before.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from raftsman import health, logs

from . import config

log = logs.get("raftsman.services.control")


def main() -> int:
    """Run until SIGTERM or SIGINT. 1 if it could not start or failed."""
    settings = config.parse()
    logs.setup(settings.log_level)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(settings))


async def _run(settings: config.Config) -> int:
    from .control import Control

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        control = Control(settings)
        server = await health.serve(settings.health_address, {"caches": control.check})
    except (OSError, ValueError) as error:
        log.error("cannot start", error=error)
        return 1
    working = asyncio.create_task(control.run(health.notify_ready))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    failed = working.done()
    working.cancel()
    stopping.cancel()
    outcome = (await asyncio.gather(working, return_exceptions=True))[0]
    if failed:
        log.error("stopped by a failure", exc_info=outcome if isinstance(outcome, BaseException) else None)
    server.close()
    await control.close()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
