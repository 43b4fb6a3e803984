"""Debian's etcdctl against a real process."""

from __future__ import annotations

import subprocess
import time

import members
import pytest
from etcdctl import ENV, command, ctl

pytestmark = pytest.mark.etcdctl


@pytest.fixture(scope="module", autouse=True)
def _ready(store: members.Store) -> None:
    deadline = time.monotonic() + 10
    while subprocess.run(command(store, "endpoint", "health"), env=ENV, capture_output=True).returncode:
        assert time.monotonic() < deadline, store.log


def test_put_get_delete(store: members.Store) -> None:
    assert ctl(store, "put", "c/a", "1") == ["OK"]
    assert ctl(store, "put", "c/b", "2") == ["OK"]
    assert ctl(store, "get", "--prefix", "c/") == ["c/a", "1", "c/b", "2"]
    assert ctl(store, "get", "--prefix", "c/", "--sort-by=MODIFY", "--order=DESCEND", "--limit=1") == ["c/b", "2"]
    assert ctl(store, "get", "--prefix", "c/", "--keys-only") == ["c/a", "c/b"]
    assert ctl(store, "del", "--prefix", "c/") == ["2"]


def test_txn(store: members.Store) -> None:
    ctl(store, "put", "t", "1")
    answer = ctl(store, "txn", feed='value("t") = "1"\n\nput t 2\nget t\n\nput t 3\n\n')
    assert answer == ["SUCCESS", "OK", "t", "2"]


def test_watch_from_a_revision(store: members.Store) -> None:
    ctl(store, "put", "w", "first")
    watch = subprocess.Popen(
        command(store, "watch", "--prefix", "w", "--rev", "1"), env=ENV, stdout=subprocess.PIPE, text=True
    )
    try:
        assert watch.stdout is not None
        assert [watch.stdout.readline().strip() for _ in range(3)] == ["PUT", "w", "first"]
        ctl(store, "put", "w", "second")
        assert [watch.stdout.readline().strip() for _ in range(3)] == ["PUT", "w", "second"]
    finally:
        watch.kill()
        watch.wait()


def test_lease(store: members.Store) -> None:
    lease = ctl(store, "lease", "grant", "60")[1]
    ctl(store, "put", "leased", "x", f"--lease={lease}")
    assert "attached" in ctl(store, "lease", "timetolive", lease, "--keys")
    assert "keepalived" in ctl(store, "lease", "keep-alive", "--once", lease)
    ctl(store, "lease", "revoke", lease)
    assert ctl(store, "get", "leased") == []


def test_members_status_and_compaction(store: members.Store) -> None:
    assert "started," in ctl(store, "member", "list")
    assert "true," in ctl(store, "endpoint", "status")
    ctl(store, "put", "z", "1")
    ctl(store, "put", "z", "2")
    assert ctl(store, "compact", "2") == ["compacted", "revision", "2"]


def test_elections_and_locks_work(store: members.Store) -> None:
    assert ctl(store, "lock", "mutex", "echo", "held") == ["held"]
