"""Definitions to test with."""

from __future__ import annotations

import secrets
from typing import Any

CRON_SPEC = r"^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$"

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["cronSpec"],
            "properties": {
                "cronSpec": {"type": "string", "pattern": CRON_SPEC},
                "image": {"type": "string", "default": "busybox"},
                "replicas": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1},
                "note": {"type": "string", "nullable": True},
                "port": {"x-kubernetes-int-or-string": True},
                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                "steps": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": {"type": "string"}, "run": {"type": "string"}},
                    },
                },
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
        },
        "status": {
            "type": "object",
            "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}},
        },
    },
}


def definition(
    schema: dict[str, Any] | None = None, *, plural: str = "crontabs", kind: str = "CronTab", group: str = "",
    scope: str = "Namespaced", **version: Any,
) -> dict[str, Any]:  # fmt: skip
    """A definition of one version, v1, in a group of its own."""
    group = group or f"g{secrets.token_hex(4)}.example.com"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"plural": plural, "kind": kind},
            "versions": [
                {
                    "name": "v1", "served": True, "storage": True,
                    "schema": {"openAPIV3Schema": SCHEMA if schema is None else schema}, **version,
                }
            ],
        },
    }  # fmt: skip


def crontab(group: str, name: str, namespace: str = "default", **spec: Any) -> dict[str, Any]:
    wanted = {"cronSpec": "* * * * */5", **spec}
    return {
        "apiVersion": f"{group}/v1", "kind": "CronTab", "metadata": {"name": name, "namespace": namespace},
        "spec": wanted,
    }  # fmt: skip
