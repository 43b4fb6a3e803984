"""A SPDY connection's streams: each read on its own, bounded, and ended from either side."""

from __future__ import annotations

import asyncio

import pytest
from raftsman.services.apiserver.rest import spdy, spdy_session
from raftsman.services.apiserver.rest.spdy_session import Session, Stream


class Pipe:
    """What was sent, as frames; whether reading is paused."""

    def __init__(self) -> None:
        self._reader = spdy.Reader()
        self.sent: list[spdy.Frame] = []
        self.paused = False

    async def send(self, data: bytes) -> None:
        self.send_soon(data)

    def send_soon(self, data: bytes) -> None:
        self.sent += self._reader.frames(data)

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


class Client:
    """The other side."""

    def __init__(self) -> None:
        self.pipe = Pipe()
        self.session = Session(self.pipe, ping=False)
        self._writer = spdy.Writer()

    def send(self, *frames: spdy.Frame) -> None:
        for frame in frames:
            self.session.received(self._writer.encoded(frame))

    async def open(self, number: int = 1, **headers: str) -> Stream:
        self.send(spdy.SynStream(number, headers))
        stream = await self.session.accept()
        assert stream is not None
        return stream


async def test_a_stream_is_answered_and_carries_bytes_both_ways() -> None:
    client = Client()
    stream = await client.open(streamtype="data")
    assert stream.headers == {"streamtype": "data"}
    client.send(spdy.Data(1, b"in"), spdy.Data(1, fin=True))
    assert [await stream.receive(), await stream.receive()] == [b"in", None]
    await stream.send(b"out")
    await stream.finish()
    assert client.pipe.sent == [spdy.SynReply(1), spdy.Data(1, b"out"), spdy.Data(1, b"", fin=True)]


async def test_reading_stops_while_one_stream_is_full_and_goes_on_when_it_is_not() -> None:
    client = Client()
    slow, other = await client.open(1), await client.open(3)
    client.send(spdy.Data(3, b"x"), spdy.Data(1, bytes(spdy_session.STREAM_BYTES_MAX)))
    assert client.pipe.paused
    assert await other.receive() == b"x"
    assert client.pipe.paused
    await slow.receive()
    assert not client.pipe.paused


async def test_what_nobody_wants_fills_nothing() -> None:
    client = Client()
    stream = await client.open()
    stream.ignore()
    client.send(*[spdy.Data(1, bytes(60_000))] * 20)
    assert not client.pipe.paused


async def test_a_full_stream_that_is_reset_lets_the_others_go_on() -> None:
    client = Client()
    await client.open()
    client.send(spdy.Data(1, bytes(spdy_session.STREAM_BYTES_MAX)), spdy.Reset(1, spdy.CANCEL))
    assert not client.pipe.paused


async def test_the_end_of_the_connection_ends_every_stream() -> None:
    client = Client()
    stream = await client.open()
    waiting = asyncio.create_task(stream.receive())
    accepting = asyncio.create_task(client.session.accept())
    await asyncio.sleep(0)
    client.session.received(b"")
    assert await waiting is None
    assert await accepting is None
    assert stream.broken
    with pytest.raises(spdy_session.Gone):
        await stream.send(b"x")


async def test_one_stream_too_many_is_refused_and_the_rest_go_on() -> None:
    client = Client()
    for number in range(spdy_session.STREAMS_MAX + 1):
        client.send(spdy.SynStream(2 * number + 1))
    assert client.pipe.sent[-1] == spdy.Reset(2 * spdy_session.STREAMS_MAX + 1, spdy.REFUSED_STREAM)
    assert not client.session.gone.is_set()


@pytest.mark.parametrize("number", [2, 1])
async def test_a_stream_whose_number_is_not_next_ends_the_connection(number: int) -> None:
    client = Client()
    await client.open(1)
    client.send(spdy.SynStream(number))
    assert client.session.gone.is_set()
    assert client.pipe.sent[-1] == spdy.GoAway(1, 1)


async def test_garbage_ends_the_connection_and_what_follows_is_not_read() -> None:
    client = Client()
    client.session.received(b"GET / HTTP/1.1\r\n\r\n" + b"\xff" * 40)
    client.session.received(b"\xff" * 40)
    assert client.session.gone.is_set()


async def test_pings_are_answered() -> None:
    client = Client()
    client.send(spdy.Ping(7), spdy.Ping(2))
    assert client.pipe.sent == [spdy.Ping(7)]


async def test_streams_that_are_over_are_forgotten() -> None:
    client = Client()
    for number in range(1, 4 * spdy_session.STREAMS_MAX, 2):
        stream = await client.open(number)
        client.send(spdy.Data(number, fin=True))
        await stream.finish()
    assert not any(isinstance(frame, spdy.Reset) for frame in client.pipe.sent)
