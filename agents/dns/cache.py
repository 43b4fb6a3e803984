"""Remember forwarded answers for as long as they allow. Pure but for the clock that is handed in.

Bounds: ENTRIES_MAX answers of at most ANSWER_BYTES_MAX bytes, each for at most POSITIVE_MAX_S (names that do not exist:
NEGATIVE_MAX_S) seconds; the oldest go first. Answers come out with their TTLs counted down. Keys are queries without
their id, so that clients with other flags or EDNS options never share an answer.
"""

import struct
from dataclasses import dataclass

from . import wire

ENTRIES_MAX = 4096
ANSWER_BYTES_MAX = 4096
POSITIVE_MAX_S = 300
NEGATIVE_MAX_S = 30

_TTL = struct.Struct("!I")
_TTL_OFFSET = 4
"""Of a record's TTL after its name: type and class come before it."""


@dataclass(frozen=True, slots=True)
class _Entry:
    answer: bytes
    ttls: tuple[int, ...]
    """Offsets of the TTLs in the answer."""
    stored_s: float
    expires_s: float


class Cache:
    def __init__(self, *, entries_max: int = ENTRIES_MAX) -> None:
        self._entries: dict[bytes, _Entry] = {}
        self._entries_max = entries_max

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, query: bytes, *, now_s: float) -> bytes | None:
        """The answer to a query (both with whatever id), or None."""
        entry = self._entries.get(query[2:])
        if entry is None:
            return None
        if now_s >= entry.expires_s:
            del self._entries[query[2:]]
            return None
        answer = bytearray(entry.answer)
        answer[:2] = query[:2]
        age_s = int(now_s - entry.stored_s)
        for offset in entry.ttls:
            (ttl_s,) = _TTL.unpack_from(answer, offset)
            _TTL.pack_into(answer, offset, max(ttl_s - age_s, 0))
        return bytes(answer)

    def put(self, query: bytes, answer: bytes, *, now_s: float) -> None:
        """Keep an answer, if it may be kept."""
        try:
            kept = _lifetime(answer)
        except wire.Malformed:
            return
        if kept is None:
            return
        lifetime_s, ttls = kept
        self._entries.pop(query[2:], None)
        while len(self._entries) >= self._entries_max:
            del self._entries[next(iter(self._entries))]
        self._entries[query[2:]] = _Entry(answer, ttls, now_s, now_s + lifetime_s)


def _lifetime(answer: bytes) -> tuple[int, tuple[int, ...]] | None:
    """How many seconds an answer may be kept, and where its TTLs are; None: not at all."""
    if not wire.HEADER.size <= len(answer) <= ANSWER_BYTES_MAX:
        return None
    _, flags, questions, answers, authorities, additionals = wire.HEADER.unpack_from(answer)
    code = flags & wire.RCODE_MASK
    if flags & wire.TC or questions != 1 or code not in (wire.Code.OK, wire.Code.NO_SUCH_NAME):
        return None
    _, offset = wire.read_name(answer, wire.HEADER.size)
    offset += 4
    positive = bool(answers) and code == wire.Code.OK
    bound_s, negative = POSITIVE_MAX_S if positive else NEGATIVE_MAX_S, positive
    ttls: list[int] = []
    for place in range(answers + authorities + additionals):
        start = offset
        _, kind, _, ttl_s, data, offset = wire.read_record(answer, start)
        if kind == wire.Type.OPT:
            continue
        ttls.append(data - 10 + _TTL_OFFSET)
        bound_s = min(bound_s, ttl_s)
        if kind == wire.Type.SOA and place >= answers and offset - data >= 20:
            # RFC 2308: a negative answer lives as long as the SOA says, and without one not at all.
            bound_s, negative = min(bound_s, _TTL.unpack_from(answer, offset - 4)[0]), True
    return (bound_s, tuple(ttls)) if bound_s > 0 and negative else None
