"""The libnftables binding, on a real ruleset in a network namespace of its own."""

import ctypes
import secrets
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from raftsman.agents import nft

CLONE_NEWNET = 0x40000000

pytestmark = pytest.mark.root


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"rm-{secrets.token_hex(4)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield f"/run/netns/{name}"
    subprocess.run(["ip", "netns", "del", name], check=True)


def inside(path: str, body: Callable[[], None]) -> None:
    """Run `body` on a thread that has moved into the namespace at `path`; re-raise what it raised."""
    failures: list[BaseException] = []

    def enter() -> None:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            with Path(path).open() as handle:
                assert libc.setns(handle.fileno(), CLONE_NEWNET) == 0
            body()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def test_a_transaction_is_applied_and_listed(namespace: str) -> None:
    def body() -> None:
        with nft.Nft() as rules:
            rules.run("add table inet rm_test")
            rules.run("add set inet rm_test ports { type inet_service; elements = { 80, 443 }; }")
            assert "elements = { 80, 443 }" in rules.run("list table inet rm_test")

    inside(namespace, body)


def test_a_failed_transaction_leaves_nothing_behind_and_says_why(namespace: str) -> None:
    def body() -> None:
        with nft.Nft() as rules:
            with pytest.raises(nft.NftError) as raised:
                rules.run("add table inet rm_test\ndelete table inet rm_absent")
            assert "No such file or directory" in raised.value.message
            assert "rm_absent" in raised.value.commands
            assert "rm_test" not in rules.run("list tables")

    inside(namespace, body)


def test_a_syntax_error_is_an_nft_error_and_the_context_lives_on(namespace: str) -> None:
    def body() -> None:
        with nft.Nft() as rules:
            with pytest.raises(nft.NftError, match="syntax error"):
                rules.run("make it so")
            assert rules.run("list tables") == ""

    inside(namespace, body)


def test_json_listings_are_parsed(namespace: str) -> None:
    def body() -> None:
        with nft.Nft(json_output=True) as rules, nft.Nft() as plain:
            plain.run("add table inet rm_test")
            tables = [member["table"]["name"] for member in rules.query("list tables") if "table" in member]
            assert tables == ["rm_test"]

    inside(namespace, body)


def test_the_excerpt_in_an_error_is_bounded(namespace: str) -> None:
    def body() -> None:
        with nft.Nft() as rules, pytest.raises(nft.NftError) as raised:
            rules.run("wrong " * 1000)
        assert len(raised.value.commands) <= nft.EXCERPT_MAX + 1

    inside(namespace, body)


def test_closing_twice_is_harmless(namespace: str) -> None:
    def body() -> None:
        rules = nft.Nft()
        rules.close()
        rules.close()

    inside(namespace, body)
