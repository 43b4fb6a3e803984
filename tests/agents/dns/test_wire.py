"""DNS messages, read and written, against dnslib and against garbage."""

import contextlib

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from raftsman.agents.dns import wire
from raftsman.agents.dns.wire import Answer, Code, Record, Type

labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=20)
names = st.lists(labels, min_size=1, max_size=6).map(".".join)


@given(names, st.sampled_from(Type), st.integers(0, 65535))
def test_a_query_that_dnslib_wrote_is_read(name: str, kind: Type, identity: int) -> None:
    message = dnslib.DNSRecord(dnslib.DNSHeader(id=identity, rd=1), q=dnslib.DNSQuestion(name, kind)).pack()
    query = wire.parse_query(message)
    assert (query.id, query.name, query.type, query.udp_bytes) == (identity, name, kind, None)


@given(names, st.integers(512, 4096))
def test_an_answer_is_read_by_dnslib(name: str, size: int) -> None:
    query = wire.parse_query(wire.query(name, Type.A, identity=7, udp_bytes=size))
    record = Record(name, Type.A, 5, bytes([10, 96, 0, 7]))
    message = dnslib.DNSRecord.parse(wire.respond(query, Answer(records=(record,))))
    assert message.header.id == 7
    assert message.header.aa
    assert message.header.rcode == 0
    assert [str(answer.rdata) for answer in message.rr] == ["10.96.0.7"]
    assert [answer.rtype for answer in message.ar] == [Type.OPT]


@given(st.binary(max_size=600))
def test_garbage_is_malformed_and_nothing_else(message: bytes) -> None:
    try:
        query = wire.parse_query(message)
    except wire.Malformed as error:
        if error.query:
            wire.respond(error.query, Answer(error.code))
    else:
        wire.respond(query, Answer(Code.NO_SUCH_NAME))


@given(st.binary(min_size=1, max_size=300), st.integers(0, 300))
def test_names_in_garbage_end(message: bytes, offset: int) -> None:
    with contextlib.suppress(wire.Malformed):
        name, after = wire.read_name(message, offset)
        assert 0 < after <= len(message)
        assert len(wire.write_name(name)) <= wire.NAME_BYTES_MAX


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=3))
def test_any_name_reads_as_what_was_written_in_lower_case(parts: list[bytes]) -> None:
    encoded = b"".join(bytes((len(part),)) + part for part in parts) + b"\0"
    name, after = wire.read_name(encoded, 0)
    assert after == len(encoded)
    assert wire.write_name(name) == b"".join(bytes((len(part),)) + part.lower() for part in parts) + b"\0"


def test_a_dot_within_a_label_does_not_make_another_name() -> None:
    assert wire.read_name(b"\x03a.b\0", 0)[0] == "a\\046b"


def test_a_pointer_loop_is_malformed() -> None:
    with pytest.raises(wire.Malformed):
        wire.read_name(b"\xc0\x00", 0)


def test_two_questions_are_a_format_error_and_other_operations_are_not_implemented() -> None:
    plain = wire.query("a.b", Type.A, udp_bytes=None)
    for message, code in (
        (plain[:4] + b"\0\2" + plain[6:], Code.FORMAT_ERROR),
        (plain[:2] + b"\x28\0" + plain[4:], Code.NOT_IMPLEMENTED),
    ):
        with pytest.raises(wire.Malformed) as raised:
            wire.parse_query(message)
        assert raised.value.code == code
        assert raised.value.query is not None


def test_a_response_is_never_answered() -> None:
    with pytest.raises(wire.Malformed) as raised:
        wire.parse_query(b"\0\1\x80\0" + bytes(8))
    assert raised.value.query is None


def test_an_unknown_edns_version_is_told_so() -> None:
    message = bytearray(wire.query("a.b", Type.A))
    message[-5] = 1
    with pytest.raises(wire.Malformed) as raised:
        wire.parse_query(bytes(message))
    assert raised.value.query is not None
    answer = dnslib.DNSRecord.parse(wire.respond(raised.value.query, Answer(raised.value.code)))
    assert answer.ar[0].edns_rcode << 4 | answer.header.rcode == Code.BAD_VERSION


def test_an_answer_beyond_the_limit_is_truncated_to_nothing() -> None:
    query = wire.parse_query(wire.query("a.b", Type.A, udp_bytes=None))
    records = tuple(Record("a.b", Type.A, 5, bytes(4)) for _ in range(100))
    assert wire.udp_limit(query) == 512
    message = dnslib.DNSRecord.parse(wire.respond(query, Answer(records=records), limit=512))
    assert message.header.tc
    assert not message.rr
    assert len(dnslib.DNSRecord.parse(wire.respond(query, Answer(records=records))).rr) == 100
