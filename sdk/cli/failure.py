"""How failures read: kubectl's words for the API's errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from raftsman import errors
from raftsman.client.config import ConfigError

from .verb import Failure, Reported


def text(error: errors.ApiError, *, doing: str = "") -> str:
    """What to print about an error of the API; `doing` says what was tried, as in `error when creating "x.yaml"`."""
    prefix = f"{doing}: " if doing else ""
    if isinstance(error, errors.Unavailable) and not error.status.HasField("details"):
        return f"Unable to connect to the server: {error.message}"
    details = error.status.details
    if error.reason == "Invalid" and details.kind and error.causes:
        lines = [_cause(cause) for cause in error.causes]
        what = f'The {details.kind} "{details.name}" is invalid: '
        return prefix + what + (lines[0] if len(lines) == 1 else "".join(f"\n* {line}" for line in lines))
    reason = error.status.reason or error.reason
    return f"Error from server ({reason}): {prefix}{error.message}"


def _cause(cause: errors.Cause) -> str:
    if not cause.field or cause.message.startswith(f"{cause.field}:"):
        return cause.message
    return f"{cause.field}: {cause.message}"


@contextlib.contextmanager
def worded() -> Iterator[None]:
    """Turn what a verb may raise into what the command line prints."""
    try:
        yield
    except errors.ApiError as error:
        raise Reported(text(error)) from None
    except ConfigError as error:
        raise Failure(str(error)) from None
    except BaseExceptionGroup as group:
        raise _first(group) from None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure of a group of tasks that says most."""
    found = group.exceptions[0]
    if isinstance(found, BaseExceptionGroup):
        return _first(found)
    if isinstance(found, errors.ApiError):
        return Reported(text(found))
    return found


@contextlib.contextmanager
def local() -> Iterator[None]:
    """Around work on the user's own input: what is wrong with it did not come from a server."""
    try:
        yield
    except errors.ApiError as error:
        raise Failure(error.message) from None
