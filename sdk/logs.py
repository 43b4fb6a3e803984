"""Structured logs: one event a line, key=value, to stderr.

`setup(level)` once per process; `get(__name__).info("pod started", pod="ns/name", ms=12)` anywhere. Values are
rendered with their `str`, quoted when they hold spaces or quotes; line breaks never split an event. Callers keep
secrets out: nothing here can tell a token from a word.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import MutableMapping
from typing import Any

LEVELS = ("debug", "info", "warning", "error")
_RESERVED = ("exc_info", "stack_info", "stacklevel")


def setup(level: str = "info") -> None:
    """Send every log record of this process to stderr, from `level` (one of LEVELS) up."""
    if level not in LEVELS:
        raise ValueError(f"log level {level!r} is not one of {', '.join(LEVELS)}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("grpc", "urllib3", "asyncio", "pysyncobj", "podman", "pyroute2"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def get(name: str) -> EventLogger:
    """The event logger of a module."""
    return EventLogger(logging.getLogger(name), {})


class EventLogger(logging.LoggerAdapter[logging.Logger]):
    """Takes an event's name and its fields as keywords."""

    def process(self, msg: str, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        standard = {key: kwargs.pop(key) for key in _RESERVED if key in kwargs}
        return msg, {**standard, "extra": {"fields": dict(kwargs)}}


class _LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        parts = [
            f"{stamp}.{int(record.msecs):03d}Z",
            record.levelname.lower(),
            record.name.removeprefix("raftsman."),
            _quoted(record.getMessage()),
        ]
        parts += [f"{key}={_quoted(value)}" for key, value in getattr(record, "fields", {}).items()]
        if record.exc_info:
            parts.append(f"traceback={json.dumps(self.formatException(record.exc_info))}")
        return " ".join(parts)


def _quoted(value: object) -> str:
    text = str(value)
    plain = text and not any(char in ' "=\n\r\t' for char in text)
    return text if plain else json.dumps(text, ensure_ascii=False)
