"""What clients did and were told, in etcd's own messages; on disk as one JSON object a line.

Times are of one clock that all clients share (monotonic seconds, or simulated ones). An operation whose outcome is
unknown (time-out, lost leader, lost connection) has no answer and no end: it may take effect at any later time, or
never. One that was refused is not part of a history: it did not happen.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from google.protobuf.message import Message
from raftsman.etcd import rpc_pb2

_UNKNOWN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.ABORTED,
}
NEVER_SENT = "failed to connect to all addresses"
"""gRPC's words for a request that no connection took."""


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One request. `answer` is None and `end` infinite when the outcome is unknown."""

    client: str
    call: float
    end: float
    request: Message
    answer: Message | None

    def __str__(self) -> str:
        end = "unknown" if self.answer is None else f"{self.end:.6f}"
        said = "" if self.answer is None else f" -> {_line(self.answer)}"
        name = type(self.request).__name__.removesuffix("Request")
        return f"[{self.client} {self.call:.6f}..{end}] {name} {_line(self.request)}{said}"


@dataclass(slots=True)
class History:
    """Collects operations as they end."""

    operations: list[Operation] = field(default_factory=list)

    def answered(self, client: str, request: Message, answer: Message, *, call: float, end: float) -> None:
        self.operations.append(Operation(client, call, end, request, answer))

    def unknown(self, client: str, request: Message, *, call: float) -> None:
        """It may have happened, or happen later."""
        self.operations.append(Operation(client, call, math.inf, request, None))

    def failed(self, client: str, request: Message, code: grpc.StatusCode, text: str, *, call: float) -> None:
        """A gRPC error: unknown, unless it says that nothing happened."""
        if code in _UNKNOWN and NEVER_SENT not in text:
            self.unknown(client, request, call=call)

    def may_expire(self, lease_id: int, *, earliest: float) -> None:
        """The store itself may revoke a lease, not before `earliest`."""
        self.unknown("lessor", rpc_pb2.LeaseRevokeRequest(ID=lease_id), call=earliest)


def save(path: Path, operations: Iterable[Operation]) -> None:
    with path.open("w") as file:
        for operation in operations:
            file.write(json.dumps(_written(operation)) + "\n")


def load(path: Path) -> list[Operation]:
    return [_read(json.loads(line)) for line in path.read_text().splitlines()]


def _written(operation: Operation) -> dict[str, object]:
    written: dict[str, object] = {"client": operation.client, "call": operation.call}
    written["request"] = [type(operation.request).__name__, _encoded(operation.request)]
    if operation.answer is not None:
        written["end"] = operation.end
        written["answer"] = [type(operation.answer).__name__, _encoded(operation.answer)]
    return written


def _encoded(message: Message) -> str:
    return base64.b64encode(message.SerializeToString()).decode()


def _read(written: dict[str, object]) -> Operation:
    answer = _decoded(written["answer"]) if "answer" in written else None
    end = float(str(written.get("end", "inf")))
    return Operation(str(written["client"]), float(str(written["call"])), end, _decoded(written["request"]), answer)


def _decoded(named: object) -> Message:
    assert isinstance(named, list)
    name, encoded = named
    message: Message = getattr(rpc_pb2, name).FromString(base64.b64decode(encoded))
    return message


def _line(message: Message) -> str:
    return " ".join(str(message).split())
