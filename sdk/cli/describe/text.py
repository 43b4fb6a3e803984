"""Labels and values in columns, as `kubectl describe` lays them out.

Values of neighbouring lines stand in one column; a line without a value ends that column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from raftsman import times
from raftsman.core import v1 as core
from raftsman.printers import cluster

NONE = "<none>"
_INDENT = "  "
_HIDDEN = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True)
class _Line:
    head: str
    value: str | None


class Text:
    """Collects lines; `level` is how far a line is indented."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []

    def field(self, label: str, value: object, level: int = 0) -> None:
        """`Label:  value`; a value of several lines continues in its column."""
        first, *rest = str(value).split("\n")
        self._lines.append(_Line(f"{_INDENT * level}{label}:", _printable(first)))
        self._lines += [_Line("", _printable(line)) for line in rest]

    def heading(self, label: str, level: int = 0) -> None:
        self._lines.append(_Line(f"{_INDENT * level}{label}:", None))

    def line(self, text: str, level: int = 0) -> None:
        self._lines.append(_Line(f"{_INDENT * level}{_printable(text)}", None))

    def mapping(self, label: str, found: Mapping[str, str], level: int = 0) -> None:
        """`Label:  a=b`, one pair a line."""
        pairs = [f"{key}={found[key]}" for key in sorted(found) if key != _HIDDEN]
        self.field(label, "\n".join(pairs) or NONE, level)

    def annotations(self, found: Mapping[str, str]) -> None:
        pairs = [f"{key}: {found[key]}" for key in sorted(found) if key != _HIDDEN]
        self.field("Annotations", "\n".join(line.replace("\n", " ") for line in pairs) or NONE)

    def table(self, rows: Iterable[Sequence[str]], level: int = 1, *, padding: int = 2) -> None:
        found = [[_printable(cell) for cell in row] for row in rows]
        widths = [max(len(cell) for cell in column) for column in zip(*found, strict=True)] if found else []
        for row in found:
            cells = [cell.ljust(width + padding) for cell, width in zip(row, widths, strict=True)]
            self.line("".join(cells).rstrip(), level)

    def rendered(self) -> str:
        out: list[str] = []
        at = 0
        while at < len(self._lines):
            end = at
            while end < len(self._lines) and self._lines[end].value is not None:
                end += 1
            run = self._lines[at:end]
            width = max((len(line.head) for line in run), default=0) + 2
            out += [f"{line.head.ljust(width)}{line.value}".rstrip() for line in run]
            if end < len(self._lines):
                out.append(self._lines[end].head.rstrip())
            at = end + 1
        return "\n".join(out) + "\n"


def _printable(text: str) -> str:
    """Control characters in an object must not move the terminal's cursor."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def moment(found: Any) -> str:
    """`Mon, 23 Nov 2026 01:02:03 +0000`, as RFC 1123 writes a time."""
    if times.is_zero(found):
        return "<unset>"
    return times.to_datetime(found).strftime("%a, %d %b %Y %H:%M:%S +0000")


def head(text: Text, obj: Any, *, namespaced: bool = True) -> None:
    """Name, namespace, labels and annotations, with which most descriptions begin."""
    text.field("Name", obj.metadata.name)
    if namespaced:
        text.field("Namespace", obj.metadata.namespace)
    text.mapping("Labels", obj.metadata.labels)
    text.annotations(obj.metadata.annotations)


def conditions(text: Text, found: Sequence[Any], columns: Sequence[str]) -> None:
    """A table of conditions with the columns Type and Status and those named."""
    if not found:
        return
    cells: dict[str, Callable[[Any], str]] = {
        "Type": lambda c: c.type,
        "Status": lambda c: c.status,
        "Reason": lambda c: c.reason,
        "Message": lambda c: c.message,
        "LastHeartbeatTime": lambda c: moment(c.last_heartbeat_time),
        "LastTransitionTime": lambda c: moment(c.last_transition_time),
    }
    text.heading("Conditions")
    rows = [list(columns), ["-" * min(len(name), 7) for name in columns]]
    text.table([*rows, *([cells[name](c) for name in columns] for c in found)])


def events_table(text: Text, found: Sequence[core.Event], *, now: datetime | None = None) -> None:
    """The events of an object, oldest first."""
    if not found:
        text.field("Events", NONE)
        return
    moment_now = now or datetime.now(UTC)
    text.heading("Events")
    rows = [["Type", "Reason", "Age", "From", "Message"], ["----", "------", "----", "----", "-------"]]
    for event in sorted(found, key=cluster.event_time_s):
        count = event.series.count if event.HasField("series") else event.count
        age = cluster.event_last_seen(event, moment_now)
        if count > 1:
            age += f" (x{count} over {cluster.event_first_seen(event, moment_now)})"
        source = event.source.component or event.reporting_component
        rows.append([event.type, event.reason, age, source, event.message.strip().replace("\n", " ")])
    text.table(rows)
