"""SPDY/3.1 frames (draft-mbelshe-httpbis-spdy-00 and 3.1): bytes in, frames out, and frames to bytes. No I/O.

    control  1 version(15) type(16) flags(8) length(24) …      data  0 stream(31) flags(8) length(24) bytes

Header blocks are compressed by one zlib stream a direction, which begins with a dictionary of both sides. The payload
of a DATA frame is given on as it arrives: no frame is ever held whole but control frames, which have at most
CONTROL_BYTES_MAX, and HEADER_BYTES_MAX in HEADERS_MAX headers once unpacked. What breaks a rule raises Malformed, after
which the direction cannot be read on: the compression has lost its place.
"""

from __future__ import annotations

import enum
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

VERSION = 3
CONTROL_BYTES_MAX = 16 << 10
HEADER_BYTES_MAX = 64 << 10
HEADERS_MAX = 64
SETTINGS_MAX = 64
DATA_BYTES_MAX = (1 << 24) - 1
STREAM_MAX = (1 << 31) - 1
FIN = 1
UNIDIRECTIONAL = 2

PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, CANCEL, INTERNAL_ERROR = 1, 2, 3, 5, 6

_HEAD = struct.Struct(">II")
_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
)
_LAST_WORDS = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = (
    b"".join(struct.pack(">I", len(word)) + word.encode() for word in (*_WORDS.split(), *_LAST_WORDS)) + _TAIL.encode()
)


class Type(enum.IntEnum):
    """Of a control frame."""

    SYN_STREAM = 1
    SYN_REPLY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    HEADERS = 8
    WINDOW_UPDATE = 9


class Malformed(Exception):
    """The other side's bytes are no SPDY, or more than is allowed."""


@dataclass(frozen=True, slots=True)
class SynStream:
    """A new stream. Header names are in lower case; a value that came in parts is comma-separated."""

    stream: int
    headers: Mapping[str, str] = field(default_factory=dict)
    fin: bool = False
    unidirectional: bool = False
    priority: int = 0


@dataclass(frozen=True, slots=True)
class SynReply:
    stream: int
    headers: Mapping[str, str] = field(default_factory=dict)
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Headers:
    stream: int
    headers: Mapping[str, str] = field(default_factory=dict)
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    stream: int
    status: int


@dataclass(frozen=True, slots=True)
class Settings:
    """(number, value) of each."""

    values: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Ping:
    number: int


@dataclass(frozen=True, slots=True)
class GoAway:
    last_stream: int
    status: int = 0


@dataclass(frozen=True, slots=True)
class WindowUpdate:
    stream: int
    delta: int


@dataclass(frozen=True, slots=True)
class Data:
    """Some bytes of a stream: a whole frame when it is written, a piece of one when it is read."""

    stream: int
    data: bytes = b""
    fin: bool = False


Frame = SynStream | SynReply | Headers | Reset | Settings | Ping | GoAway | WindowUpdate | Data


class Writer:
    """One direction's frames as bytes, in the order in which they are sent."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def encoded(self, frame: Frame) -> bytes:
        match frame:
            case Data(stream, data, fin):
                assert len(data) <= DATA_BYTES_MAX
                return _HEAD.pack(stream, (FIN if fin else 0) << 24 | len(data)) + data
            case SynStream(stream, headers, fin, unidirectional, priority):
                flags = (FIN if fin else 0) | (UNIDIRECTIONAL if unidirectional else 0)
                body = struct.pack(">IIBB", stream, 0, priority << 5, 0) + self._packed(headers)
                return _control(Type.SYN_STREAM, flags, body)
            case SynReply(stream, headers, fin):
                return _control(Type.SYN_REPLY, FIN if fin else 0, struct.pack(">I", stream) + self._packed(headers))
            case Headers(stream, headers, fin):
                return _control(Type.HEADERS, FIN if fin else 0, struct.pack(">I", stream) + self._packed(headers))
            case Reset(stream, status):
                return _control(Type.RST_STREAM, 0, struct.pack(">II", stream, status))
            case Settings(values):
                entries = b"".join(struct.pack(">II", number, value) for number, value in values)
                return _control(Type.SETTINGS, 0, struct.pack(">I", len(values)) + entries)
            case Ping(number):
                return _control(Type.PING, 0, struct.pack(">I", number))
            case GoAway(last_stream, status):
                return _control(Type.GOAWAY, 0, struct.pack(">II", last_stream, status))
            case WindowUpdate(stream, delta):
                return _control(Type.WINDOW_UPDATE, 0, struct.pack(">II", stream, delta))

    def _packed(self, headers: Mapping[str, str]) -> bytes:
        block = bytearray(struct.pack(">I", len(headers)))
        for name, value in headers.items():
            for text in (name.lower(), value):
                raw = text.encode("latin-1", "replace")
                block += struct.pack(">I", len(raw)) + raw
        return self._deflate.compress(bytes(block)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


class Reader:
    """The other direction: feed what arrived, take the frames."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._buffer = bytearray()
        # Of a DATA frame that is arriving: its stream, the bytes still to come, whether it is the last.
        self._arriving: tuple[int, int, bool] | None = None

    def frames(self, data: bytes) -> Iterator[Frame]:
        """What is complete with `data`. Malformed."""
        self._buffer += data
        while (frame := self._next()) is not None:
            if not isinstance(frame, _Skipped):
                yield frame

    def _next(self) -> Frame | _Skipped | None:
        if self._arriving is not None:
            return self._piece(*self._arriving)
        if len(self._buffer) < _HEAD.size:
            return None
        first, second = _HEAD.unpack_from(self._buffer)
        flags, length = second >> 24, second & 0xFFFFFF
        if not first >> 31:
            return self._data(first, flags, length)
        if length > CONTROL_BYTES_MAX:
            raise Malformed(f"a control frame of {length} bytes: at most {CONTROL_BYTES_MAX} are read")
        if len(self._buffer) < _HEAD.size + length:
            return None
        body = bytes(self._buffer[_HEAD.size : _HEAD.size + length])
        del self._buffer[: _HEAD.size + length]
        version, kind = (first >> 16) & 0x7FFF, first & 0xFFFF
        if version != VERSION:
            raise Malformed(f"SPDY version {version}: {VERSION} is spoken here")
        return self._control(kind, flags, body)

    def _data(self, stream: int, flags: int, length: int) -> Frame | _Skipped:
        if not stream:
            raise Malformed("a data frame of stream 0")
        del self._buffer[: _HEAD.size]
        if not length:
            return Data(stream, b"", bool(flags & FIN))
        self._arriving = (stream, length, bool(flags & FIN))
        return _Skipped()

    def _piece(self, stream: int, left: int, fin: bool) -> Data | None:
        if not self._buffer:
            return None
        data = bytes(self._buffer[:left])
        del self._buffer[: len(data)]
        left -= len(data)
        self._arriving = (stream, left, fin) if left else None
        return Data(stream, data, fin and not left)

    def _control(self, kind: int, flags: int, body: bytes) -> Frame | _Skipped:
        fin = bool(flags & FIN)
        try:
            match kind:
                case Type.SYN_STREAM:
                    (stream, _, priority, _) = struct.unpack_from(">IIBB", body)
                    one_way = bool(flags & UNIDIRECTIONAL)
                    return SynStream(_id(stream), self._unpacked(body[10:]), fin, one_way, priority >> 5)
                case Type.SYN_REPLY:
                    return SynReply(_id(_word(body, 0)), self._unpacked(body[4:]), fin)
                case Type.RST_STREAM:
                    return Reset(_id(_word(body, 0)), _word(body, 4))
                case Type.SETTINGS:
                    return _settings(body)
                case Type.PING:
                    return Ping(_word(body, 0))
                case Type.GOAWAY:
                    return GoAway(_word(body, 0) & STREAM_MAX, _word(body, 4) if len(body) >= 8 else 0)
                case Type.HEADERS:
                    return Headers(_id(_word(body, 0)), self._unpacked(body[4:]), fin)
                case Type.WINDOW_UPDATE:
                    return WindowUpdate(_word(body, 0) & STREAM_MAX, _word(body, 4) & STREAM_MAX)
        except (struct.error, zlib.error) as error:
            raise Malformed(f"a control frame of type {kind} cannot be read: {error}") from None
        # The specification: frames of other types are passed over.
        return _Skipped()

    def _unpacked(self, block: bytes) -> dict[str, str]:
        plain = self._inflate.decompress(block, HEADER_BYTES_MAX + 1)
        if len(plain) > HEADER_BYTES_MAX or self._inflate.unconsumed_tail:
            raise Malformed(f"headers of more than {HEADER_BYTES_MAX} bytes")
        (count,) = struct.unpack_from(">I", plain)
        if count > HEADERS_MAX:
            raise Malformed(f"{count} headers: at most {HEADERS_MAX} are read")
        at, found = 4, {}
        for _ in range(count):
            name, at = _text(plain, at)
            value, at = _text(plain, at)
            found[name.lower()] = value.replace("\0", ",")
        return found


class _Skipped:
    """A step that gave no frame."""


def _control(kind: Type, flags: int, body: bytes) -> bytes:
    return _HEAD.pack(0x80000000 | VERSION << 16 | kind, flags << 24 | len(body)) + body


def _word(body: bytes, at: int) -> int:
    (value,) = struct.unpack_from(">I", body, at)
    return int(value)


def _id(value: int) -> int:
    stream = value & STREAM_MAX
    if not stream:
        raise Malformed("stream 0")
    return stream


def _text(plain: bytes, at: int) -> tuple[str, int]:
    end = at + 4 + _word(plain, at)
    if end > len(plain):
        raise Malformed("a header that is longer than its block")
    return plain[at + 4 : end].decode("latin-1"), end


def _settings(body: bytes) -> Settings:
    count = _word(body, 0)
    if count > SETTINGS_MAX or len(body) < 4 + 8 * count:
        raise Malformed(f"{count} settings in {len(body)} bytes: at most {SETTINGS_MAX}")
    return Settings(tuple((_word(body, at) & 0xFFFFFF, _word(body, at + 4)) for at in range(4, 4 + 8 * count, 8)))
