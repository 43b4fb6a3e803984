"""Whether the server lives and is ready: named checks, in the text form that Kubernetes gives them.

`/readyz` runs all, each within CHECK_S; `?verbose` lists them; `?exclude=NAME` leaves one out; `/readyz/NAME` runs one.
Why a check fails is logged, and told nobody: the answer is for everybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from raftsman import logs

from .http import Answer, Request

CHECK_S = 5.0
ROOTS = ("/healthz", "/livez", "/readyz")
_TEXT = "text/plain; charset=utf-8"
# Clients and tests read this status, which is not the 503 that one might expect.
_FAILED = 500

Check = Callable[[], Awaitable[None]]

log = logs.get(__name__)


def names(path: str) -> bool:
    """Whether a path is one of these."""
    root = "/" + path.split("/")[1]
    return root in ROOTS


async def answer(path: str, request: Request, checks: Mapping[str, Check]) -> Answer | None:
    """The answer at /livez, /readyz, /healthz or below; None if there is no such check. A check fails by raising."""
    root, _, name = path.lstrip("/").partition("/")
    if name:
        if name not in checks:
            return None
        failed = await _failed(name, checks[name])
        return Answer(200, b"ok", _TEXT) if not failed else Answer(_FAILED, b"internal server error\n", _TEXT)
    excluded = set(request.query.get("exclude", ())) - {""}
    wanted = {name: check for name, check in checks.items() if name not in excluded}
    results = await asyncio.gather(*(_failed(name, check) for name, check in wanted.items()))
    outcome = dict(zip(wanted, results, strict=True))
    lines = [_line(name, outcome.get(name)) for name in checks]
    if unknown := sorted(excluded - set(checks)):
        quoted = ", ".join(f'"{name}"' for name in unknown)
        lines.append(f"warn: some health checks cannot be excluded: no matches for {quoted}")
    if any(results):
        return Answer(_FAILED, "\n".join([*lines, f"{root} check failed", ""]).encode(), _TEXT)
    if "verbose" in request.query:
        return Answer(200, "\n".join([*lines, f"{root} check passed", ""]).encode(), _TEXT)
    return Answer(200, b"ok", _TEXT)


def _line(name: str, failed: bool | None) -> str:
    if failed is None:
        return f"[+]{name} excluded: ok"
    return f"[-]{name} failed: reason withheld" if failed else f"[+]{name} ok"


async def _failed(name: str, check: Check) -> bool:
    try:
        async with asyncio.timeout(CHECK_S):
            await check()
    except Exception as error:
        log.warning("a health check failed", check=name, error=f"{type(error).__name__}: {error}")
        return True
    return False
