"""Objects as YAML and JSON text, as `kubectl get -o yaml|json` writes them: keys sorted, managed fields left out."""

from __future__ import annotations

import json
from typing import Any

import yaml
from raftsman import codec, manifests


class _Dumper(yaml.cyaml.CSafeDumper):
    """Block style for text of several lines; an object that occurs twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: Any, value: str) -> Any:
    block = "\n" in value and not any(line != line.rstrip() for line in value.split("\n"))
    style = "|" if block else None if manifests.reads_as_text(value) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(value: Any) -> str:
    text: str = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=False, sort_keys=True, allow_unicode=True, width=2**20
    )
    return text


def to_json(value: Any) -> str:
    return json.dumps(value, indent=4, sort_keys=True, ensure_ascii=False) + "\n"


def shown(obj: Any) -> dict[str, Any]:
    """An object as it is shown to people: without its managed fields."""
    value = codec.to_json(obj)
    value.get("metadata", {}).pop("managedFields", None)
    return value


def listed(values: list[dict[str, Any]]) -> dict[str, Any]:
    """Several objects as one List."""
    return {"apiVersion": "v1", "items": values, "kind": "List", "metadata": {"resourceVersion": ""}}
