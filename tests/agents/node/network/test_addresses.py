"""Pods' addresses: never two pods with one, whatever happens to the agent."""

from __future__ import annotations

import ipaddress
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raftsman.agents.node.network import addresses


def test_reserved_addresses_are_never_given_and_the_range_ends(tmp_path):
    book = addresses.Addresses(tmp_path / "a.json", "10.1.2.0/29")
    given_out = [book.assign(f"pod{number}") for number in range(5)]
    assert given_out == [f"10.1.2.{number}" for number in range(2, 7)]
    assert book.gateway == "10.1.2.1"
    with pytest.raises(addresses.Exhausted, match=r"all 5 addresses of 10\.1\.2\.0/29"):
        book.assign("one more")
    book.release("pod3")
    assert book.assign("one more") == "10.1.2.5"


def test_an_address_just_released_waits_for_its_turn(tmp_path):
    book = addresses.Addresses(tmp_path / "a.json", "10.1.2.0/28")
    first = book.assign("a")
    book.release("a")
    assert book.assign("b") != first


def test_a_changed_or_damaged_file_starts_afresh(tmp_path):
    path = tmp_path / "a.json"
    addresses.Addresses(path, "10.1.2.0/24").assign("a")
    assert addresses.Addresses(path, "10.1.3.0/24").held() == {}
    path.write_text("{half")
    assert addresses.Addresses(path, "10.1.2.0/24").held() == {}


def test_a_range_without_room_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least a /30"):
        addresses.Addresses(tmp_path / "a.json", "10.1.2.0/31")


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from("+-r"), st.integers(0, 9)), max_size=40))
def test_no_two_pods_share_an_address_across_restarts(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("book") / "a.json"
    book = addresses.Addresses(path, "10.1.2.0/28")
    expected: dict[str, str] = {}
    for step, pod in steps:
        if step == "+":
            expected[str(pod)] = book.assign(str(pod))
        elif step == "-":
            book.release(str(pod))
            expected.pop(str(pod), None)
        else:
            book = addresses.Addresses(path, "10.1.2.0/28")
        assert book.held() == expected
        assert len(set(expected.values())) == len(expected)
    assert all(ipaddress.ip_address(one) in ipaddress.ip_network("10.1.2.0/28") for one in expected.values())
    assert not path.exists() or json.loads(path.read_text())["pods"] == expected
