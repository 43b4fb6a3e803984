"""What `explain` says, and where it knows it from."""

from __future__ import annotations

import secrets

import pytest

from .conftest import CommandLine

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.example.com}}
spec:
  group: example.com
  scope: Namespaced
  names: {{plural: {plural}, singular: {plural}x, kind: Raft, listKind: RaftList}}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        description: Floats.
        properties:
          spec:
            type: object
            required: [logs]
            properties:
              logs: {{type: integer, description: How many., default: 3}}
              color: {{type: string, enum: [red, blue]}}
              parts: {{type: array, items: {{type: object, properties: {{name: {{type: string}}}}}}}}
"""


def test_a_field_is_explained_with_its_type_values_and_what_is_below(bare: CommandLine) -> None:
    said = bare.ok("explain", "pod.spec.restartPolicy")
    assert "FIELD: restartPolicy <string>" in said
    assert "ENUM: Always, Never, OnFailure" in said
    said = bare.ok("explain", "svc.spec.ports")
    assert "FIELD: ports <[]ServicePort>" in said
    assert "DEFAULT: TCP" in said
    assert "appProtocol\t<string>" in said


def test_a_kind_is_named_as_elsewhere_with_group_and_version(bare: CommandLine) -> None:
    for name in ("deploy", "deployments.apps", "deployments.v1.apps"):
        said = bare.ok("explain", f"{name}.spec.replicas")
        assert said.startswith("GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n")
        assert "FIELD: replicas <integer>" in said
    said = bare.ok("explain", "hpa.spec", "--api-version=autoscaling/v1")
    assert "targetCPUUtilizationPercentage" in said
    assert "metrics\t<[]MetricSpec>" in bare.ok("explain", "hpa.spec", "--api-version=autoscaling/v2")


@pytest.mark.parametrize("kind", ["pod", "crd", "deployment"])
def test_all_fields_below_are_listed_even_where_a_message_contains_itself(bare: CommandLine, kind: str) -> None:
    lines = bare.ok("explain", kind, "--recursive").splitlines()
    assert 100 < len(lines) < 5000
    assert any(line.startswith("      ") and "\t<" in line for line in lines)


def test_what_does_not_exist_is_named(bare: CommandLine) -> None:
    assert 'field "nope" does not exist' in bare.fails("explain", "pod.spec.nope")


def test_a_custom_kind_is_explained_by_its_schema(cli: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> None:
    plural = f"rafts{secrets.token_hex(3)}"
    path = tmp_path_factory.mktemp("crd") / "crd.yaml"
    path.write_text(CRD.format(plural=plural))
    cli.ok("apply", "-f", str(path))
    said = cli.ok("explain", f"{plural}.spec")
    assert "GROUP:      example.com\nKIND:       Raft" in said
    assert "logs\t<integer> -required-" in said
    assert "DEFAULT: 3" in said
    assert "ENUM: red, blue" in said
    assert "FIELD: name <string>" in cli.ok("explain", f"{plural}.example.com.spec.parts.name")
    assert 'doesn\'t have a resource type "frobs"' in cli.fails("explain", "frobs")
