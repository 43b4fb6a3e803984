"""A kopf operator: says in the status how a raft was built and rebuilt, and keeps a log book of those that sank."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import kopf


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.watching.server_timeout = 5


@kopf.on.create("clients.example", "v1", "rafts")
def built(body: kopf.Body, spec: kopf.Spec, **_: Any) -> dict[str, int]:
    kopf.event(body, type="Normal", reason="Built", message=f"of {spec['logs']} logs")
    return {"logs": spec["logs"]}


@kopf.on.field("clients.example", "v1", "rafts", field="spec.logs", old=kopf.PRESENT)
def rebuilt(old: int, new: int, patch: kopf.Patch, **_: Any) -> None:
    patch.status["rebuilt"] = f"from {old} to {new}"


@kopf.on.delete("clients.example", "v1", "rafts")
def sank(name: str | None, **_: Any) -> None:
    Path(os.environ["LOG_BOOK"]).write_text(f"{name} sank\n")


@kopf.index("clients.example", "v1", "rafts")
def by_size(name: str, spec: kopf.Spec, **_: Any) -> dict[int, str]:
    return {spec["logs"]: name}


@kopf.timer("clients.example", "v1", "rafts", interval=1)
def counted(patch: kopf.Patch, by_size: kopf.Index, spec: kopf.Spec, **_: Any) -> None:
    patch.status["alike"] = len(by_size.get(spec["logs"], []))
