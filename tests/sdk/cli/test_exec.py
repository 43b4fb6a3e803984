"""`exec` and `logs` with a client that only pretends: terminals, exit codes, endings."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

# Runs the command line on a client whose one pod answers in capitals, says its terminal's size, and ends with 5 at a q.
CHILD = """
import asyncio, sys
from raftsman.cli import main, session
from raftsman.core import v1 as core

async def drained(source):
    async for _ in source:
        pass

class Client:
    async def get(self, message, name, **_):
        pod = core.Pod()
        pod.metadata.name, pod.metadata.namespace = name, "default"
        pod.spec.containers.add(name="app")
        return pod

    async def close(self):
        pass

    async def logs(self, name, **_):
        yield b"one\\n"
        while True:
            await asyncio.sleep(0.01)
            yield b"more\\n"

    async def exec(self, name, command, *, stdin=None, tty=False, sizes=None, **_):
        if sizes is not None and command != ["later"]:
            size = await anext(sizes)
            yield core.ExecResponse(stdout=f"{size.columns}x{size.rows} {command}\\r\\n".encode())
        if command == ["later"]:
            reading = asyncio.ensure_future(drained(stdin))
            await asyncio.sleep(0.3)
            reading.cancel()
        elif stdin is None:
            yield core.ExecResponse(stderr=b"no input\\n")
        else:
            async for data in stdin:
                yield core.ExecResponse(stdout=data.upper())
                if b"q" in data:
                    break
        yield core.ExecResponse(exit=core.ExecExit(code=5))

session.Session.client = property(lambda self: Client())
session.Session.namespace = "default"
main.main(sys.argv[1:])
"""


def command(*words: str) -> list[str]:
    return [sys.executable, "-c", CHILD, *words]


def test_an_exit_code_is_passed_on() -> None:
    done = subprocess.run(command("exec", "p", "--", "true"), capture_output=True, timeout=20, check=False)
    assert done.returncode == 5
    assert done.stderr == b"no input\ncommand terminated with exit code 5\n"


def test_input_comes_from_pipes_and_files(tmp_path: Path) -> None:
    done = subprocess.run(
        command("exec", "-i", "p", "--", "x"), input=b"abc", capture_output=True, timeout=20, check=False
    )
    assert done.stdout == b"ABC"
    (tmp_path / "input").write_bytes(b"from a file")
    with (tmp_path / "input").open("rb") as file:
        done = subprocess.run(
            command("exec", "-i", "p", "--", "x"), stdin=file, capture_output=True, timeout=20, check=False
        )
    assert done.stdout == b"FROM A FILE"


def test_a_terminal_is_raw_while_the_command_runs_and_restored_after_it() -> None:
    # Not pty.fork(): this process has threads by now, and a child that goes on in Python after a fork may crash.
    master, slave = pty.openpty()
    before = termios.tcgetattr(master)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 91, 0, 0))
    words = command("exec", "-it", "p", "--", "sh")
    child = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    seen = read_until(master, b"91x33")
    assert not termios.tcgetattr(master)[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
    # A Ctrl-C is the command's business, not ours.
    os.write(master, b"\x03hello")
    seen = read_until(master, b"HELLO")
    assert b"\x03" in seen
    os.write(master, b"q")
    read_until(master, b"exit code 5")
    assert child.wait(20) == 5
    assert termios.tcgetattr(master)[3] == before[3]
    os.close(slave)
    os.close(master)


def test_a_terminal_whose_input_ended_at_once_hangs_nobody() -> None:
    words = shlex.join(command("exec", "-it", "p", "--", "later"))
    done = subprocess.run(
        ["script", "--quiet", "--return", "--command", words, "/dev/null"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False,
    )  # fmt: skip
    assert done.returncode == 5


def read_until(master: int, wanted: bytes) -> bytes:
    seen, deadline = b"", time.monotonic() + 20
    while wanted not in seen:
        readable, _, _ = select.select([master], [], [], max(0, deadline - time.monotonic()))
        assert readable, seen
        seen += os.read(master, 4096)
    return seen


def test_ctrl_c_ends_logs_quietly() -> None:
    child = subprocess.Popen(command("logs", "-f", "p"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"one\n"
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=20)
    assert child.returncode == 130
    assert err.strip() == b""


def test_ctrl_c_ends_a_command_quietly() -> None:
    words = command("exec", "-i", "p", "--", "cat")
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdin.write(b"here\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"HERE\n"
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=20) == 130  # its input is still open: the end of that would be an end too
        assert child.stderr.read().strip() == b""


def test_a_closed_pipe_ends_quietly() -> None:
    child = subprocess.Popen(command("logs", "-f", "p"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    child.stdout.close()
    assert child.wait(timeout=20) == 1
    assert child.stderr is not None
    assert child.stderr.read() == b""
    child.stderr.close()
