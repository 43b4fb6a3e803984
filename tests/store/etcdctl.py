"""Debian's etcdctl for tests, as a user runs it."""

from __future__ import annotations

import os
import subprocess

import members

ENV = {**os.environ, "ETCDCTL_API": "3"}


def command(store: members.Store, *arguments: str) -> list[str]:
    return ["etcdctl", "--endpoints", store.address, "--command-timeout", "5s", *arguments]


def run(store: members.Store, *arguments: str, feed: str = "") -> subprocess.CompletedProcess[str]:
    """The command and how it ended."""
    return subprocess.run(command(store, *arguments), env=ENV, input=feed, capture_output=True, text=True, timeout=20)


def ctl(store: members.Store, *arguments: str, feed: str = "") -> list[str]:
    """The words of a command that succeeded."""
    done = run(store, *arguments, feed=feed)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def lines(store: members.Store, *arguments: str, feed: str = "") -> list[str]:
    """The lines of a command that succeeded, without those that are empty."""
    done = run(store, *arguments, feed=feed)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line.strip()]


def refusal(store: members.Store, *arguments: str, feed: str = "") -> str:
    """What a command that failed said last."""
    done = run(store, *arguments, feed=feed)
    assert done.returncode != 0, done.stdout
    return done.stderr.strip().splitlines()[-1].removeprefix("Error: ").strip()
