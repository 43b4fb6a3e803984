"""SPDY frames: what is written is read, however it is cut; what is no SPDY is refused, and costs nothing."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raftsman.services.apiserver.rest import spdy

streams = st.integers(1, spdy.STREAM_MAX)
words = st.integers(0, 2**32 - 1)
names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20)
values = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40)
headers = st.dictionaries(names, values, max_size=8)
frames = st.one_of(
    st.builds(spdy.SynStream, streams, headers, st.booleans(), st.booleans(), st.integers(0, 7)),
    st.builds(spdy.SynReply, streams, headers, st.booleans()),
    st.builds(spdy.Headers, streams, headers, st.booleans()),
    st.builds(spdy.Reset, streams, words),
    st.builds(spdy.Settings, st.lists(st.tuples(st.integers(0, 2**24 - 1), words), max_size=5).map(tuple)),
    st.builds(spdy.Ping, words),
    st.builds(spdy.GoAway, st.integers(0, spdy.STREAM_MAX), words),
    st.builds(spdy.WindowUpdate, st.integers(0, spdy.STREAM_MAX), st.integers(0, spdy.STREAM_MAX)),
    st.builds(spdy.Data, streams, st.binary(max_size=300), st.booleans()),
)


def cut(data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        yield data[at : at + size]
        at += size
    yield data[at:]


def joined(found: Iterable[spdy.Frame]) -> list[spdy.Frame]:
    """With the pieces of a data frame put together."""
    whole: list[spdy.Frame] = []
    for frame in found:
        last = whole[-1] if whole else None
        if (
            isinstance(frame, spdy.Data)
            and isinstance(last, spdy.Data)
            and last.stream == frame.stream
            and not last.fin
        ):
            whole[-1] = spdy.Data(frame.stream, last.data + frame.data, frame.fin)
        else:
            whole.append(frame)
    return whole


@given(st.lists(frames, max_size=8), st.lists(st.integers(0, 40), max_size=40))
def test_frames_are_read_as_they_were_written_however_they_are_cut(sent: list[spdy.Frame], sizes: list[int]) -> None:
    writer, reader = spdy.Writer(), spdy.Reader()
    data = b"".join(writer.encoded(frame) for frame in sent)
    found = [frame for piece in cut(data, sizes) for frame in reader.frames(piece)]
    assert joined(found) == joined(sent)


@given(st.binary(max_size=400))
@settings(max_examples=300)
def test_garbage_is_refused_or_waited_for(garbage: bytes) -> None:
    try:
        list(spdy.Reader().frames(garbage))
    except spdy.Malformed:
        return


@given(st.lists(frames, min_size=1, max_size=4), st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_read_as_something_else(sent: list[spdy.Frame], at: int, by: int) -> None:
    writer = spdy.Writer()
    data = bytearray(b"".join(writer.encoded(frame) for frame in sent))
    data[at % len(data)] ^= by
    try:
        list(spdy.Reader().frames(bytes(data)))
    except spdy.Malformed:
        return


def test_the_dictionary_is_that_of_the_specification() -> None:
    assert zlib.adler32(spdy.DICTIONARY) == 0xE3C6A7C2


def test_the_payload_of_a_data_frame_is_given_on_as_it_arrives() -> None:
    reader = spdy.Reader()
    head = struct.pack(">II", 1, 0x01 << 24 | 1_000_000)
    assert list(reader.frames(head + b"a")) == [spdy.Data(1, b"a")]
    assert list(reader.frames(b"b" * 999_998)) == [spdy.Data(1, b"b" * 999_998)]
    assert list(reader.frames(b"c")) == [spdy.Data(1, b"c", fin=True)]


def test_a_control_frame_that_is_too_long_is_refused_by_its_head() -> None:
    with pytest.raises(spdy.Malformed, match="at most"):
        list(spdy.Reader().frames(struct.pack(">II", 0x80030001, spdy.CONTROL_BYTES_MAX + 1)))


def test_headers_that_swell_when_unpacked_are_refused() -> None:
    deflate = zlib.compressobj(zdict=spdy.DICTIONARY)
    plain = struct.pack(">II", 1, 1) + b"n" + struct.pack(">I", 2_000_000) + bytes(2_000_000)
    block = deflate.compress(plain) + deflate.flush(zlib.Z_SYNC_FLUSH)
    body = struct.pack(">I", 1) + block
    with pytest.raises(spdy.Malformed, match="more than"):
        list(spdy.Reader().frames(struct.pack(">II", 0x80030002, len(body)) + body))


def test_frames_of_unknown_types_are_passed_over() -> None:
    writer, reader = spdy.Writer(), spdy.Reader()
    unknown = struct.pack(">II", 0x8003000B, 4) + b"abcd"
    assert list(reader.frames(unknown + writer.encoded(spdy.Ping(1)))) == [spdy.Ping(1)]
