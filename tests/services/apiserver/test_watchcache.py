"""The cache's parts by themselves: bytes, windows, watchers."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raftsman import errors
from raftsman.core import v1 as core
from raftsman.services.apiserver.declarations import table
from raftsman.services.apiserver.storage import keys, wire
from raftsman.services.apiserver.storage.envelope import CorruptValue, Sealer
from raftsman.services.apiserver.watchcache import kind_cache, watcher
from raftsman.services.apiserver.watchcache.kind_cache import KindCache
from raftsman.services.apiserver.watchcache.object import CachedObject
from raftsman.services.apiserver.watchcache.selection import Selection

KINDS = table()
CONFIG_MAPS = KINDS["configmaps"]
SECRETS = KINDS["secrets"]


def cached(name: str, revision: int, *, namespace: str = "default", data: str = "") -> CachedObject:
    config = core.ConfigMap(data={"a": data})
    config.metadata.namespace, config.metadata.name = namespace, name
    return CachedObject(CONFIG_MAPS, namespace, name, config.SerializeToString(), revision)


@given(st.text(max_size=300), st.integers(1, 1 << 62), st.binary(max_size=50), st.booleans())
def test_a_spliced_revision_is_read_by_protobuf_and_taken_out_again(
    name: str, revision: int, data: bytes, bare: bool
) -> None:
    secret = core.Secret()
    if not bare:
        secret.metadata.name = name
        secret.data["k"] = data
    stored = secret.SerializeToString(deterministic=True)
    spliced = wire.with_revision(stored, revision)
    parsed = core.Secret.FromString(spliced)
    assert parsed.metadata.resource_version == str(revision)
    parsed.metadata.ClearField("resource_version")
    secret.metadata.SetInParent()
    assert parsed == secret
    again = core.Secret.FromString(wire.without_revision(spliced, revision))
    assert again == secret


@given(st.binary(max_size=200), st.binary(min_size=1, max_size=20))
def test_a_sealed_secret_opens_only_under_its_own_key(body: bytes, name: bytes) -> None:
    sealer = Sealer(b"k" * 32)
    sealed = sealer.seal(SECRETS.resource, name, body)
    assert sealer.open(name, sealed) == body
    assert len(body) < 8 or body not in sealed
    for other, key in ((sealer, name + b"x"), (Sealer(b"o" * 32), name), (Sealer(), name)):
        with pytest.raises(CorruptValue):
            other.open(key, sealed)
    with pytest.raises(CorruptValue):
        sealer.open(name, sealed[:-1] + bytes((sealed[-1] ^ 1,)))


def test_keys_tell_resource_namespace_and_name() -> None:
    assert keys.parse(keys.of(CONFIG_MAPS.resource, "a", "b")) == ("configmaps", "a", "b")
    roles = KINDS["clusterroles.rbac.authorization.k8s.io"].resource
    assert keys.parse(keys.of(roles, "", "system:node")) == (
        "clusterroles.rbac.authorization.k8s.io",
        "",
        "system:node",
    )
    assert keys.end_of(b"/a/") == b"/a0"


async def test_a_watcher_that_does_not_keep_up_is_closed_and_told() -> None:
    cache = KindCache(CONFIG_MAPS)
    slow = cache.watch(Selection(), since=0, bookmarks=False)
    for revision in range(1, watcher.EVENTS_MAX + 2):
        cache.apply("default", "a", cached("a", revision), revision=revision)
    with pytest.raises(errors.Unavailable, match=f"more than {watcher.EVENTS_MAX} events behind"):
        await slow.next()


async def test_waiting_changes_go_out_in_one_message() -> None:
    cache = KindCache(CONFIG_MAPS)
    watching = cache.watch(Selection("default"), since=0, bookmarks=False)
    for revision in range(1, 6):
        cache.apply("default", f"n{revision}", cached(f"n{revision}", revision), revision=revision)
    cache.apply("other", "x", cached("x", 6, namespace="other"), revision=6)
    answer = core.ConfigMapWatchResponse.FromString(await watching.next())
    assert [event.object.metadata.name for event in answer.events] == ["n1", "n2", "n3", "n4", "n5"]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watching.next(), 0.02)


def test_the_window_is_bounded_and_says_what_it_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind_cache, "WINDOW_CHANGES_MAX", 10)
    cache = KindCache(CONFIG_MAPS)
    for revision in range(1, 31):
        cache.apply("default", "a", cached("a", revision), revision=revision)
    with pytest.raises(errors.Expired):
        cache.watch(Selection(), since=19, bookmarks=False)
    cache.watch(Selection(), since=20, bookmarks=False)


def test_a_removed_pod_leaves_every_index() -> None:
    pods = KindCache(KINDS["pods"])
    pod = core.Pod()
    pod.metadata.name, pod.metadata.namespace, pod.spec.node_name = "p", "default", "n1"
    pods.apply("default", "p", CachedObject(pods.kind, "default", "p", pod.SerializeToString(), 1), revision=1)
    assert [one.name for one in pods.select(Selection(node="n1"))] == ["p"]
    pods.apply("default", "p", None, revision=2)
    assert pods.select(Selection(node="n1")) == []
    assert pods.select(Selection()) == []


async def test_a_watcher_that_left_is_forgotten() -> None:
    cache = KindCache(KINDS["pods"])
    for selection in (Selection(), Selection("a"), Selection(node="n")):
        watching = cache.watch(selection, since=0, bookmarks=False)
        assert cache.watchers() == [watching]
        cache.unwatch(watching)
        assert cache.watchers() == []
        assert not cache._in_namespace
        assert not cache._on_node


class Hose:
    """A pipe that is full after so many pieces, until it is drained."""

    def __init__(self, room: int) -> None:
        self.pieces: list[bytes] = []
        self.room = room
        self.empty = asyncio.Event()

    def put(self, data: bytes) -> bool:
        self.pieces.append(data)
        self.room -= 1
        return self.room > 0

    async def drained(self) -> None:
        await self.empty.wait()
        self.empty.clear()

    @property
    def names(self) -> list[list[str]]:
        answers = map(core.ConfigMapWatchResponse.FromString, self.pieces)
        return [[event.object.metadata.name for event in answer.events] for answer in answers]


async def test_a_pipe_gets_at_the_end_of_a_turn_what_came_in_it_and_nothing_while_it_is_full() -> None:
    cache = KindCache(CONFIG_MAPS)
    watching, hose = cache.watch(Selection(), since=0, bookmarks=False), Hose(2)
    running = asyncio.create_task(watching.run(hose))
    await asyncio.sleep(0)
    for revision in range(1, 7):
        cache.apply("default", f"n{revision}", cached(f"n{revision}", revision), revision=revision)
        if revision % 2 == 0:
            for _ in range(3):
                await asyncio.sleep(0)
    assert hose.names == [["n1", "n2"], ["n3", "n4"]]
    hose.room = 9
    hose.empty.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert hose.names[2:] == [["n5", "n6"]]
    watching.close(errors.Unavailable("the server stops"))
    with pytest.raises(errors.Unavailable, match="stops"):
        await running


async def test_a_watcher_whose_stream_has_ended_puts_nothing_more() -> None:
    cache = KindCache(CONFIG_MAPS)
    watching, hose = cache.watch(Selection(), since=0, bookmarks=False), Hose(9)
    running = asyncio.create_task(watching.run(hose))
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    cache.apply("default", "a", cached("a", 1), revision=1)
    await asyncio.sleep(0)
    assert hose.names == []
