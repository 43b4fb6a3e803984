"""Bring a one-machine cluster up, and say how it goes.

Nothing is done twice: keys and settings that exist stay, and a cluster that runs already is only waited for.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from . import caller, preflight, state, supervisor
from . import settings as settings_module
from .layout import Layout
from .settings import Settings, SettingsError

READY_TIMEOUT_S = 120.0
PARTS = ("store", "apiserver", "control", "agent")
PRIVATE_FOLDERS = ("logs", "store", "podman", "pods", "network")
LOG_TAIL_LINES = 5
FALLBACK_DEVICE = "raftsman0"
FALLBACK_ADDRESS = "169.254.255.1"


class UpError(Exception):
    """The cluster did not come up; the text says why and where to look."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asked for; None: what the cluster was made with, or the default."""

    data_dir: Path
    node_name: str | None = None
    node_ip: str | None = None
    pod_cidr: str | None = None
    service_cidr: str | None = None
    secure_port: int | None = None
    log_level: str | None = None


def resolve(wanted: Wanted) -> tuple[Layout, Settings]:
    """The settings to run with: asked for, else kept from last time, else the default."""
    layout = Layout.of(wanted.data_dir)
    kept = settings_module.kept(layout.settings_file)
    asked = {
        name: value
        for name in ("node_name", "node_ip", "pod_cidr", "service_cidr", "secure_port", "log_level")
        if (value := getattr(wanted, name)) is not None
    }
    defaults = {"node_name": kept.get("node_name") or _host_name(), "node_ip": ""}
    chosen = Settings(**{**defaults, **{k: v for k, v in kept.items() if k != "node_ip"}, **asked})
    if not chosen.node_ip:
        chosen = replace(chosen, node_ip=preflight.default_address() or FALLBACK_ADDRESS)
    chosen.check()
    return layout, chosen


def prepare(layout: Layout, settings: Settings) -> None:
    """Check the machine, then make folders, keys and kubeconfigs. PreflightError, SettingsError, UpError."""
    preflight.check(layout, settings)
    from . import pki  # slow to import, and not needed where a cluster runs already

    try:
        layout.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        for name in PRIVATE_FOLDERS:
            (layout.data_dir / name).mkdir(mode=0o700, exist_ok=True)
        settings.remember(layout.settings_file)
        pki.ensure(layout, settings)
        caller.own(layout.kubeconfig())
    except OSError as error:
        raise UpError(f"Cannot write to {layout.data_dir}: {error.strerror}.") from error
    if settings.node_ip == FALLBACK_ADDRESS:
        _add_fallback_address()


def detach(layout: Layout, settings: Settings, show: Callable[[str], None]) -> float:
    """Start the supervisor in the background and wait until the node is Ready; the seconds that it took."""
    started = time.monotonic()
    reader, writer = os.pipe()
    log_path = layout.logs / "supervisor.log"
    descriptor = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    command = [sys.executable, "-m", supervisor.__name__, "--data-dir", str(layout.data_dir)]
    process = subprocess.Popen(
        [*command, f"--progress-fd={writer}"],
        stdin=subprocess.DEVNULL, stdout=descriptor, stderr=descriptor, pass_fds=(writer,), start_new_session=True,
        cwd="/",
    )  # fmt: skip
    os.close(writer)
    os.close(descriptor)
    try:
        _follow(reader, layout, show)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        os.close(reader)
    return time.monotonic() - started


def wait_ready(settings: Settings, timeout_s: float = READY_TIMEOUT_S) -> None:
    """Until the node of a cluster that runs already is Ready. UpError at the time-out."""
    deadline = time.monotonic() + timeout_s
    url = f"http://127.0.0.1:{settings.agent_health_port}/readyz"
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise UpError(
                    f"The cluster runs, but its node is not Ready after {timeout_s:.0f} s: {error}."
                ) from None
        time.sleep(0.2)


def start(wanted: Wanted, show: Callable[[str], None]) -> tuple[Layout, Settings, float | None]:
    """`up --detach`: seconds until Ready, or None if the cluster ran already."""
    preflight.check_privileges()
    layout, settings = resolve(wanted)
    if state.running(layout) is not None:
        kept = Settings(**settings_module.kept(layout.settings_file))  # type: ignore[arg-type]
        _refuse_changes(wanted, kept)
        wait_ready(kept)
        caller.add_context(layout)
        return layout, kept, None
    prepare(layout, settings)
    took_s = detach(layout, settings, show)
    caller.add_context(layout)
    return layout, settings, took_s


def run_foreground(wanted: Wanted, show: Callable[[str], None]) -> None:
    """`up` without --detach: supervise in this process until it is told to stop."""
    preflight.check_privileges()
    layout, settings = resolve(wanted)
    if state.running(layout) is not None:
        raise UpError(f"The cluster of {layout.data_dir} runs already, in the background.")
    prepare(layout, settings)
    caller.add_context(layout)
    show(f"Kubeconfig: {layout.kubeconfig()}; logs: {layout.logs}; stop with Ctrl-C.")
    supervisor.run(layout, settings)


def _refuse_changes(wanted: Wanted, kept: Settings) -> None:
    for name in ("node_name", "node_ip", "pod_cidr", "service_cidr", "secure_port"):
        asked = getattr(wanted, name)
        if asked is not None and asked != getattr(kept, name):
            raise SettingsError(
                f"The cluster runs with {name}={getattr(kept, name)}; stop it before changing that to {asked}."
            )


def _follow(reader: int, layout: Layout, show: Callable[[str], None]) -> None:
    waiting, failures, pending = set(PARTS), dict.fromkeys(PARTS, 0), b""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while waiting:
        ready, _, _ = select.select([reader], [], [], max(0.0, deadline - time.monotonic()))
        data = os.read(reader, 4096) if ready else b""
        if not data:
            why = "the supervisor stopped" if ready else f"not ready after {READY_TIMEOUT_S:.0f} s"
            raise UpError(_story(layout, f"Waiting for {', '.join(sorted(waiting))}: {why}.", sorted(waiting)))
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            event, name, detail = line.decode().split(" ")
            if event == "ready" and name in waiting:
                waiting.discard(name)
                show(f"  {name:<10} ready after {detail} s")
            elif event == "exited":
                failures[name] += 1
                if failures[name] == 3:
                    raise UpError(_story(layout, f"{name} exited three times (code {detail}).", [name]))


def _story(layout: Layout, headline: str, names: list[str]) -> str:
    lines = [headline]
    for name in names:
        path = layout.logs / f"{name}.log"
        tail = path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:] if path.exists() else []
        lines += [f"{path}:", *(f"  {line[:300]}" for line in tail)]
    return "\n".join(lines)


def _host_name() -> str:
    return socket.gethostname().lower().replace("_", "-") or "node-1"


def _add_fallback_address() -> None:
    """A machine without any address but loopback: give it one that pods can reach."""
    run = ["ip", "link", "add", FALLBACK_DEVICE, "type", "dummy"]
    subprocess.run(run, check=False, capture_output=True)
    for words in (["addr", "replace", f"{FALLBACK_ADDRESS}/32", "dev"], ["link", "set", "up", "dev"]):
        done = subprocess.run(["ip", *words, FALLBACK_DEVICE], capture_output=True, text=True, check=False)
        if done.returncode:
            raise UpError(f"This machine has no address but loopback, and none can be added: {done.stderr.strip()}.")
