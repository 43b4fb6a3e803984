"""Verbs on custom resources, which the command line learns of from the server."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .conftest import CommandLine

DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: widgets.{group}}}
spec:
  group: {group}
  scope: Namespaced
  names: {{plural: widgets, singular: widget, kind: Widget, shortNames: [wd]}}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              size: {{type: integer, minimum: 1}}
              parts: {{type: array, items: {{type: string}}}}
    subresources: {{status: {{}}}}
    additionalPrinterColumns:
    - {{name: Size, type: integer, jsonPath: .spec.size}}
    - {{name: Parts, type: string, jsonPath: ".spec.parts[*]", priority: 1}}
"""


@pytest.fixture
def group(cli: CommandLine, tmp_path: Path) -> Iterator[str]:
    name = f"g{secrets.token_hex(4)}.example.com"
    path = tmp_path / "definition.yaml"
    path.write_text(DEFINITION.format(group=name))
    cli.ok("apply", "-f", str(path))
    cli.ok("wait", "--for=condition=Established", f"crd/widgets.{name}")
    yield name
    cli.ok("delete", "crd", f"widgets.{name}")


def manifest(group: str, folder: Path, **spec: object) -> str:
    path = folder / "widget.yaml"
    path.write_text(yaml.safe_dump(
        {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": spec}
    ))  # fmt: skip
    return str(path)


def test_custom_resources_are_applied_printed_changed_and_deleted(cli: CommandLine, group: str, tmp_path: Path) -> None:
    named = f"widget.{group}/a"
    kind = f"widgets.{group}"
    assert cli.ok("apply", "-f", manifest(group, tmp_path, size=1, parts=["x", "y"])) == f"{named} created\n"
    assert cli.ok("apply", "-f", manifest(group, tmp_path, size=1, parts=["x", "y"])) == f"{named} unchanged\n"
    assert cli.ok("apply", "-f", manifest(group, tmp_path, size=2)) == f"{named} configured\n"
    assert json.loads(cli.ok("get", kind, "a", "-o", "json"))["spec"] == {"size": 2}
    assert cli.ok("get", kind).splitlines()[0].split() == ["NAME", "SIZE"]
    assert cli.ok("get", kind).splitlines()[1].split() == ["a", "2"]
    cli.ok("patch", kind, "a", "--type", "merge", "-p", '{"spec": {"parts": ["z"]}}')
    assert cli.ok("get", kind, "-o", "wide").splitlines()[1].split() == ["a", "2", "z"]
    cli.ok("label", kind, "a", "color=red")
    assert cli.ok("get", kind, "-l", "color=red", "-o", "name") == f"{named}\n"
    assert "spec.size in body should be greater than or equal to 1" in cli.fails(
        "patch", kind, "a", "--type", "merge", "-p", '{"spec": {"size": 0}}'
    )
    assert "Size:" in cli.ok("describe", kind, "a")
    assert f"{named} serverside-applied" in cli.ok(
        "apply", "--server-side", "--force-conflicts", "-f", manifest(group, tmp_path, size=3)
    )
    assert cli.ok("delete", kind, "a") == f"{named.replace('/', ' ')} deleted\n".replace(" a ", ' "a" ')
    assert kind.partition(".")[0] in cli.ok("api-resources", "--api-group", group)


def test_what_nobody_knows_is_still_told(cli: CommandLine) -> None:
    assert 'the server doesn\'t have a resource type "gadgets"' in cli.fails("get", "gadgets")
