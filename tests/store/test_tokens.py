"""Tokens and passwords by themselves: what they live by, what the flags take, what is bounded."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from raftsman.store import apply, errors, flags, passwords, signed, tokens
from raftsman.store.commands import Kind
from raftsman.store.mvcc import State
from raftsman.store.mvcc.auth import Who
from raftsman.store.raft import clock


class Alone:
    """A replica whose log is a function call."""

    def __init__(self) -> None:
        self.state = State()
        self.applied = 7
        auth = self.state.auth
        for name in ("root", "u"):
            auth.user_add(name, b"hash")
        auth.user_grant_role("root", "root")
        auth.enable()

    async def propose(self, kind: Kind, payload: bytes, *, who: Who) -> object:
        return apply.execute(self.state, kind, payload, who)


class Clocks:
    """A wall clock and a monotonic one that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1_000_000.0
        monkeypatch.setattr(clock, "now", lambda: self.seconds)

    def wall(self) -> float:
        return self.seconds


def simple(alone: Alone, clocks: Clocks) -> tokens.Simple:
    return tokens.Simple(alone, ttl_s=300, wall=clocks.wall)  # type: ignore[arg-type]


async def valid(issuer: tokens.Tokens, token: str) -> bool:
    try:
        return bool((await issuer.who(token)).user)
    except errors.StoreError as error:
        if error.text != "etcdserver: invalid auth token":
            raise
        return False


async def test_a_token_lives_from_its_last_use(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, clocks = Alone(), Clocks(monkeypatch)
    issuer = simple(alone, clocks)
    token = await issuer.issue("u", alone.state.auth.revision)
    for _ in range(5):
        clocks.seconds += 290
        assert await issuer.who(token) == Who("u", alone.state.auth.revision)
    clocks.seconds += 301
    assert not await valid(issuer, token)


async def test_a_restart_makes_no_token_younger(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, clocks = Alone(), Clocks(monkeypatch)
    token = await simple(alone, clocks).issue("u", alone.state.auth.revision)
    clocks.seconds += 200
    assert await valid(simple(alone, clocks), token)
    clocks.seconds += 200
    assert not await valid(simple(alone, clocks), token)


async def test_a_member_that_is_behind_waits_for_the_token_it_should_know(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead, behind = Alone(), Alone()
    ahead.applied, behind.applied = 9, 8
    issuer, other = (tokens.Simple(each, ttl_s=300) for each in (ahead, behind))  # type: ignore[arg-type]
    token = await issuer.issue("u", ahead.state.auth.revision)

    def catch_up() -> None:
        behind.state.auth.tokens.update(ahead.state.auth.tokens)
        behind.applied = 9

    asyncio.get_running_loop().call_later(0.1, catch_up)
    assert await valid(other, token)


@pytest.mark.parametrize("token", ["", ".", "a.b.c", "x.", "x.99999999999999999999999", "ü.1", "x.-1", "x.²"])
async def test_what_is_no_token_is_refused(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setattr(tokens, "WAIT_S", 0.05)
    assert not await valid(tokens.Simple(Alone(), ttl_s=300), token)  # type: ignore[arg-type]


async def test_a_token_is_not_issued_for_what_changed_meanwhile() -> None:
    alone = Alone()
    issuer = tokens.Simple(alone, ttl_s=300)  # type: ignore[arg-type]
    before = alone.state.auth.revision
    alone.state.auth.user_change_password("u", b"other")
    with pytest.raises(errors.StoreError, match="revision of auth store is old"):
        await issuer.issue("u", before)


def write_key(folder: Path, name: str) -> Any:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / f"{name}.pub").write_bytes(
        key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return key


async def test_with_a_public_key_tokens_are_known_and_not_issued(tmp_path: Path) -> None:
    key = write_key(tmp_path, "a")
    keys = signed.keys({"sign-method": "ES256", "pub-key": str(tmp_path / "a.pub")}, ttl_s=60)
    issuer = signed.Signed(keys)
    claims = {"username": "u", "revision": 3, "exp": int(time.time()) + 60, "aud": "etcd"}
    assert await issuer.who(jwt.encode(claims, key, "ES256")) == Who("u", 3)
    with pytest.raises(errors.StoreError, match="tokens are signed elsewhere"):
        await issuer.issue("u", 3)


@pytest.mark.parametrize("revision", [0, -1, 1.5, "3", None, True, float("inf")])
async def test_a_signed_token_names_a_revision(tmp_path: Path, revision: object) -> None:
    key = write_key(tmp_path, "a")
    issuer = signed.Signed(signed.Keys("ES256", key, key.public_key(), 60))
    assert not await valid(issuer, jwt.encode({"username": "u", "revision": revision}, key, "ES256"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("jwt", "sign-method '' is none of"),
        ("jwt,sign-method=none", "sign-method 'none' is none of"),
        ("jwt,sign-method=HS256", "HS256 needs priv-key=FILE"),
        ("jwt,sign-method=ES256", "ES256 needs priv-key=FILE"),
        ("jwt,sign-method=ES256,priv-key=/nowhere", "/nowhere cannot be read"),
        ("jwt,sign-method=ES256,priv-key={0}/a.key,pub-key={0}/b.pub", "do not belong together"),
        ("jwt,sign-method=RS256,priv-key={0}/a.key", "the keys do not fit RS256"),
        ("jwt,sign-method=ES256,priv-key={0}/a.pub", "the keys do not fit ES256"),
        ("jwt,sign-method=ES256,priv-key={0}/a.key,ttl=soon", "soon"),
        ("jwt,sign-method=ES256,colour=red", "'colour=red' is no option"),
        ("simple,ttl=1m", "is neither simple nor jwt"),
        ("opaque", "is neither simple nor jwt"),
    ],
)
def test_a_flag_that_makes_no_sense_gets_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, sentence: str
) -> None:
    write_key(tmp_path, "a")
    write_key(tmp_path, "b")
    with pytest.raises(SystemExit):
        flags.parse(["--data-dir", str(tmp_path), "--auth-token", text.format(tmp_path)])
    told = capsys.readouterr().err
    assert sentence in told
    assert "BEGIN" not in told


@pytest.mark.parametrize("given", [("--bcrypt-cost", "3"), ("--bcrypt-cost", "32"), ("--auth-token-ttl", "0")])
def test_costs_and_times_have_bounds(tmp_path: Path, given: tuple[str, str]) -> None:
    with pytest.raises(SystemExit):
        flags.parse(["--data-dir", str(tmp_path), *given])


async def test_passwords_are_compared_off_the_loop_and_no_more_than_a_bound_wait() -> None:
    slow = passwords.Passwords(cost=4)
    hashed = (await slow.hash("secret")).encode()
    assert await slow.matches("secret", hashed)
    assert not await slow.matches("other", hashed)
    assert not await slow.matches("", b"")
    assert not await slow.matches("secret", b"")
    assert not await slow.matches("s" * 73, hashed)
    with pytest.raises(errors.StoreError, match="longer than 72 bytes"):
        await slow.hash("s" * 73)
    asked = (slow.matches("other", hashed) for _ in range(passwords.WAITING_MAX + 10))
    told = await asyncio.gather(*asked, return_exceptions=True)
    refused = [each for each in told if isinstance(each, errors.StoreError)]
    assert (len(refused), {each.text for each in refused}) == (10, {"etcdserver: too many requests"})
    slow.close()


async def test_a_signed_token_that_was_recognised_runs_out_all_the_same(tmp_path: Path) -> None:
    key = write_key(tmp_path, "a")
    issuer = signed.Signed(signed.Keys("ES256", key, key.public_key(), 60))
    short, lasting = (
        jwt.encode({"username": "u", "revision": 2, **claims}, key, "ES256")
        for claims in ({"exp": int(time.time()) + 1}, {})
    )
    for token in (short, short, lasting, lasting):
        assert await issuer.who(token) == Who("u", 2)
    await asyncio.sleep(2.1)
    assert not await valid(issuer, short)
    assert await valid(issuer, lasting)
    for number in range(signed.KNOWN_MAX + 1):
        await issuer.who(jwt.encode({"username": "u", "revision": 2, "n": number}, key, "ES256"))
    assert len(issuer._known) == signed.KNOWN_MAX
