"""Policies, classes and budgets as `describe` tells them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from raftsman import codec, manifests, resources
from raftsman.cli.describe import policies
from raftsman.cli.describe.text import Text


def told(writer: Callable[[Text, Any], None], text: str) -> str:
    (document,) = manifests.parse(text.encode())
    resource = resources.by_kind(document.api_version, document.kind)
    assert resource is not None
    decoded = codec.from_json(document.value, resource.message)
    assert not decoded.problems
    out = Text()
    writer(out, decoded.message)
    return out.rendered()


INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: default}
spec:
  ingressClassName: nginx
  tls: [{hosts: [a.b], secretName: cert}]
  rules: [{host: a.b, http: {paths: [{path: /x, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]
"""  # noqa: E501
POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: default}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{ports: [{port: 5432, endPort: 5433}], from: [{podSelector: {matchLabels: {app: web}}},
    {ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}]
  policyTypes: [Ingress, Egress]
"""


def test_an_ingress_shows_where_its_paths_lead() -> None:
    lines = [line.split() for line in told(policies.ingress, INGRESS).splitlines()]
    assert ["Ingress", "Class:", "nginx"] in lines
    assert ["cert", "terminates", "a.b"] in lines
    assert ["/x", "web:80"] in lines


def test_a_policy_shows_who_may_talk_to_whom() -> None:
    out = told(policies.network_policy, POLICY)
    assert "PodSelector:  app=db" in out
    assert "To Port: 5432-5433/TCP" in out
    assert "PodSelector: app=web" in out
    assert "CIDR: 10.0.0.0/8" in out
    assert "<none> (Selected pods are isolated for egress connectivity)" in out
    assert "Policy Types: Ingress, Egress" in out


@pytest.mark.parametrize(
    ("writer", "text", "expected"),
    [
        (
            policies.budget,
            "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: a, namespace: b}, spec: "
            "{minAvailable: 1, selector: {matchLabels: {a: b}}}, status: {disruptionsAllowed: 2}}",
            ["Min available:  1", "Selector:       a=b", "Allowed disruptions:  2"],
        ),
        (
            policies.priority_class,
            "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: a}, value: 7}",
            ["Value:             7", "GlobalDefault:     false"],
        ),
        (
            policies.storage_class,
            "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: a}, provisioner: x.y/z, "
            "parameters: {k: v}, allowedTopologies: [{matchLabelExpressions: [{key: zone, values: [a, b]}]}]}",
            ["IsDefaultClass:", "k=v", "AllowVolumeExpansion:  <unset>", "zone in [a, b]"],
        ),
        (
            policies.ingress_class,
            "{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: a}, spec: {controller: a.b/c, "
            "parameters: {kind: K, name: n, namespace: s, scope: Namespace}}}",
            ["Controller:   a.b/c", "s/n"],
        ),
        (
            policies.signing_request,
            "{apiVersion: certificates.k8s.io/v1, kind: CertificateSigningRequest, metadata: {name: a}, spec: "
            "{request: eA==, signerName: x.y/z, username: jane, expirationSeconds: 86400}}",
            ["jane", "x.y/z", "24h", "Pending"],
        ),
    ],
)
def test_others_are_told_in_a_few_lines(writer: Callable[[Text, Any], None], text: str, expected: list[str]) -> None:
    out = told(writer, text)
    assert [one for one in expected if one not in out] == []
