"""DNS messages on the wire: questions in, answers out (RFC 1035, RFC 6891). Pure.

Built by hand because this is the hot path of every name lookup in the cluster. Names are text in lower case without
the final dot; a byte of a label that is not a plain printable character, or is a dot or backslash, stands as `\\DDD`,
so that a name never reads as another. Everything read is bounds-checked; what is wrong raises `Malformed`.
"""

import enum
import struct
from collections.abc import Iterable
from dataclasses import dataclass

NAME_BYTES_MAX = 255
LABEL_BYTES_MAX = 63
MESSAGE_BYTES_MAX = 65535
UDP_BYTES_PLAIN = 512
UDP_BYTES_MAX = 1232
"""The largest UDP answer: fits any path without fragments (DNS Flag Day 2020)."""

HEADER = struct.Struct("!HHHHHH")
_PAIR = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")
_QUESTION_POINTER = b"\xc0\x0c"

QR, AA, TC, RD, RA, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0010
OPCODE_MASK, RCODE_MASK = 0x7800, 0x000F
DNSSEC_OK = 0x8000


class Type(enum.IntEnum):
    """Record types that are handled by name; any other number is answered or forwarded as a number."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    TXT = 16
    AAAA = 28
    SRV = 33
    OPT = 41
    ANY = 255


class Code(enum.IntEnum):
    """Response codes."""

    OK = 0
    FORMAT_ERROR = 1
    SERVER_FAILURE = 2
    NO_SUCH_NAME = 3
    NOT_IMPLEMENTED = 4
    REFUSED = 5
    BAD_VERSION = 16


CLASS_IN = 1


class Malformed(Exception):
    """A message that cannot be read. With a `query` there is somebody to tell `code`; without, it is dropped."""

    def __init__(self, reason: str, *, code: Code = Code.FORMAT_ERROR, query: "Query | None" = None) -> None:
        self.code, self.query = code, query
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Query:
    id: int
    flags: int
    name: str
    type: int
    class_: int
    question: bytes
    """The question section as it came, letter case included, to be repeated in the answer."""
    udp_bytes: int | None = None
    """What the client takes over UDP; None: it knows no EDNS."""
    dnssec_ok: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    name: str
    type: int
    ttl_s: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    code: Code = Code.OK
    records: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    authoritative: bool = True


def parse_query(message: bytes) -> Query:
    """Read a query of one question. Raises Malformed."""
    if len(message) < HEADER.size:
        raise Malformed("shorter than a header")
    identity, flags, questions, answers, authorities, additionals = HEADER.unpack_from(message)
    if flags & QR:
        raise Malformed("a response, not a query")
    empty = Query(identity, flags, "", 0, 0, b"")
    if flags & OPCODE_MASK:
        raise Malformed("not a standard query", code=Code.NOT_IMPLEMENTED, query=empty)
    if questions != 1 or answers or authorities:
        raise Malformed("not exactly one question", query=empty)
    try:
        name, after = read_name(message, HEADER.size)
        kind, class_ = _PAIR.unpack_from(message, after)
    except (Malformed, struct.error):
        raise Malformed("the question cannot be read", query=empty) from None
    end = after + _PAIR.size
    query = Query(identity, flags, name, kind, class_, message[HEADER.size : end])
    return _with_edns(query, message, end, additionals) if additionals else query


def _with_edns(query: Query, message: bytes, offset: int, count: int) -> Query:
    found: Query | None = None
    for _ in range(count):
        try:
            name, kind, size, ttl, _, offset = read_record(message, offset)
        except Malformed as error:
            raise Malformed(str(error), query=query) from None
        if kind != Type.OPT:
            continue
        if name or found:
            raise Malformed("more than one OPT record, or one with a name", query=query)
        found = Query(
            query.id, query.flags, query.name, query.type, query.class_, query.question, size, bool(ttl & DNSSEC_OK)
        )
        if ttl >> 16 & 0xFF:
            raise Malformed("an EDNS version that is not known", code=Code.BAD_VERSION, query=found)
    return found or query


def respond(query: Query, answer: Answer, *, limit: int = MESSAGE_BYTES_MAX) -> bytes:
    """The answer to a query; without records and marked as truncated when it would exceed `limit` bytes."""
    code = answer.code
    flags = QR | RA | (query.flags & (OPCODE_MASK | RD | CD)) | (code & RCODE_MASK)
    if answer.authoritative:
        flags |= AA
    option = b""
    if query.udp_bytes is not None:
        extended = (code >> 4) << 24 | (DNSSEC_OK if query.dnssec_ok else 0)
        option = b"\0" + _RECORD.pack(Type.OPT, UDP_BYTES_MAX, extended, 0)
    sections = (answer.records, answer.authority, answer.additional)
    body = b"".join(_encode(record, query.name) for section in sections for record in section)
    counts = [len(section) for section in sections]
    if HEADER.size + len(query.question) + len(body) + len(option) > limit:
        flags, body, counts = flags | TC, b"", [0, 0, 0]
    counts[2] += bool(option)
    header = HEADER.pack(query.id, flags, 1 if query.question else 0, *counts)
    return b"".join((header, query.question, body, option))


def udp_limit(query: Query) -> int:
    """How many bytes may be sent back over UDP."""
    return min(max(query.udp_bytes or 0, UDP_BYTES_PLAIN), UDP_BYTES_MAX)


def _encode(record: Record, question: str) -> bytes:
    owner = _QUESTION_POINTER if record.name == question else write_name(record.name)
    return owner + _RECORD.pack(record.type, CLASS_IN, record.ttl_s, len(record.data)) + record.data


def read_record(message: bytes, offset: int) -> tuple[str, int, int, int, int, int]:
    """The record at `offset`: name, type, class, TTL in seconds, offset of its data, offset after it."""
    name, after = read_name(message, offset)
    data = after + _RECORD.size
    if data > len(message):
        raise Malformed("a record ends early")
    kind, class_, ttl, size = _RECORD.unpack_from(message, after)
    if data + size > len(message):
        raise Malformed("a record's data ends early")
    return name, kind, class_, ttl, data, data + size


def read_name(message: bytes, offset: int) -> tuple[str, int]:
    """The name at `offset` as text, and the offset after it. Pointers may only point backwards."""
    labels: list[str] = []
    after, total, barrier = 0, 0, len(message)
    while True:
        if offset >= len(message):
            raise Malformed("a name ends early")
        size = message[offset]
        if size >= 0xC0:
            if offset + 1 >= len(message):
                raise Malformed("a name ends early")
            target = (size & 0x3F) << 8 | message[offset + 1]
            after = after or offset + 2
            if target >= min(offset, barrier):
                raise Malformed("a name points forwards")
            offset = barrier = target
            continue
        if size > LABEL_BYTES_MAX:
            raise Malformed("a label of a kind that is not known")
        total += size + 1
        if total > NAME_BYTES_MAX:
            raise Malformed("a name is too long")
        offset += 1
        if size == 0:
            return ".".join(labels), after or offset
        if offset + size > len(message):
            raise Malformed("a label ends early")
        labels.append(_text(message[offset : offset + size]))
        offset += size


def _text(label: bytes) -> str:
    text = label.decode("latin-1").lower() if label.isascii() else ""
    if text and text.isprintable() and "." not in text and "\\" not in text:
        return text
    return "".join(
        chr(byte) if 0x21 <= byte < 0x7F and byte not in b".\\" else f"\\{byte:03d}" for byte in label.lower()
    )


def write_name(name: str) -> bytes:
    """A name's uncompressed wire form. Raises ValueError for one that no message can carry."""
    if not name:
        return b"\0"
    labels = [_bytes(label) for label in name.split(".")]
    if not all(0 < len(label) <= LABEL_BYTES_MAX for label in labels):
        raise ValueError(f"{name!r} has an empty label or one of more than {LABEL_BYTES_MAX} bytes")
    encoded = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if len(encoded) > NAME_BYTES_MAX:
        raise ValueError(f"{name!r} is longer than {NAME_BYTES_MAX} bytes")
    return encoded


def _bytes(label: str) -> bytes:
    if "\\" not in label:
        return label.encode("latin-1")
    first, *rest = label.split("\\")
    return first.encode() + b"".join(bytes((int(part[:3]),)) + part[3:].encode() for part in rest)


def query(name: str, kind: int, *, identity: int = 0, udp_bytes: int | None = UDP_BYTES_MAX) -> bytes:
    """A recursive query of our own."""
    header = HEADER.pack(identity, RD, 1, 0, 0, 0 if udp_bytes is None else 1)
    option = b"" if udp_bytes is None else b"\0" + _RECORD.pack(Type.OPT, udp_bytes, 0, 0)
    return header + write_name(name) + _PAIR.pack(kind, CLASS_IN) + option


def text_data(strings: Iterable[str]) -> bytes:
    """The data of a TXT record."""
    return b"".join(bytes((len(part),)) + part for part in (string.encode() for string in strings))
