"""What `get` shows of an object: one cell a column, as Kubernetes prints it; of every kind that is served."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from raftsman import codec, manifests, printers, resources
from raftsman.printers import table

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CREATED = (NOW - timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(text: str) -> list[Any]:
    (document,) = manifests.parse(text.encode())
    resource = resources.by_kind(document.api_version, document.kind)
    assert resource is not None
    document.value["metadata"]["creationTimestamp"] = CREATED
    decoded = codec.from_json(document.value, resource.message)
    assert not decoded.problems
    found = printers.cells(resource, decoded.message, wide=True, now=NOW)
    typed = printers.typed_cells(resource, decoded.message)
    assert len(typed) == len(found) == len(printers.definitions(resource))
    return found


def kind(api_version: str, name: str, rest: str) -> str:
    return f"{{apiVersion: {api_version}, kind: {name}, metadata: {{name: a}}, {rest}}}"


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        (
            kind("networking.k8s.io/v1", "Ingress", "spec: {ingressClassName: web, tls: [{}], rules: [{host: a.b}, "
                 "{host: c.d}, {host: e.f}, {host: g.h}]}, status: {loadBalancer: {ingress: [{ip: 10.0.0.2}, "
                 "{hostname: 10.0.0.1}]}}"),
            ["a", "web", "a.b,c.d,e.f + 1 more...", "10.0.0.1,10.0.0.2", "80, 443", "3h"],
        ),
        (kind("networking.k8s.io/v1", "Ingress", "spec: {}"), ["a", "<none>", "*", "", "80", "3h"]),
        (
            kind("networking.k8s.io/v1", "IngressClass", "spec: {controller: a.b/c, parameters: {apiGroup: g.h, "
                 "kind: K, name: n}}"),
            ["a", "a.b/c", "K.g.h/n", "3h"],
        ),
        (
            kind("networking.k8s.io/v1", "NetworkPolicy", "spec: {podSelector: {matchLabels: {a: b}}}"),
            ["a", "a=b", "3h"],
        ),
        (kind("networking.k8s.io/v1", "NetworkPolicy", "spec: {podSelector: {}}"), ["a", "<none>", "3h"]),
        (
            kind("networking.k8s.io/v1", "IPAddress", "spec: {parentRef: {resource: services, namespace: default, "
                 "name: kubernetes}}"),
            ["a", "services/default/kubernetes"],
        ),
        (kind("networking.k8s.io/v1", "ServiceCIDR", "spec: {cidrs: [10.0.0.0/8, 'fd00::/112']}"),
         ["a", "10.0.0.0/8,fd00::/112", "3h"]),
        (
            kind("policy/v1", "PodDisruptionBudget", "spec: {maxUnavailable: 30%}, status: {disruptionsAllowed: 2}"),
            ["a", "N/A", "30%", "2", "3h"],
        ),
        (
            kind("scheduling.k8s.io/v1", "PriorityClass", "value: -5, globalDefault: true, preemptionPolicy: Never"),
            ["a", "-5", "true", "3h", "Never"],
        ),
        (
            "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: a, annotations: "
            "{storageclass.kubernetes.io/is-default-class: 'true'}}, provisioner: x.y/z, allowVolumeExpansion: true}",
            ["a (default)", "x.y/z", "Delete", "Immediate", "true", "3h"],
        ),
        (
            kind("storage.k8s.io/v1", "CSIDriver", "spec: {podInfoOnMount: true, tokenRequests: [{audience: x}]}"),
            ["a", "true", "true", "false", "x", "false", "<none>", "3h"],
        ),
        (kind("storage.k8s.io/v1", "CSINode", "spec: {drivers: [{name: x, nodeID: y}]}"), ["a", "1", "3h"]),
        (kind("storage.k8s.io/v1", "CSIStorageCapacity", "storageClassName: x"), ["a", CREATED]),
        (
            kind("storage.k8s.io/v1", "VolumeAttachment", "spec: {attacher: x, nodeName: n, source: "
                 "{persistentVolumeName: pv}}, status: {attached: true}"),
            ["a", "x", "pv", "n", "true", "3h"],
        ),
        (kind("storage.k8s.io/v1", "VolumeAttributesClass", "driverName: x"), ["a", "x", "3h"]),
        (
            kind("certificates.k8s.io/v1", "CertificateSigningRequest", "spec: {request: '', signerName: x.y/z, "
                 "username: jane, expirationSeconds: 3600}, status: {certificate: eA==, conditions: "
                 "[{type: Approved, status: 'True'}]}"),
            ["a", "3h", "x.y/z", "jane", "60m", "Approved,Issued"],
        ),
        (
            kind("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", "spec: {priorityLevelConfiguration: {name: system}, "
                 "matchingPrecedence: 500, distinguisherMethod: {type: ByUser}}"),
            ["a", "system", "500", "ByUser", "3h", "?"],
        ),
        (
            kind("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration", "spec: {type: Limited, limited: "
                 "{nominalConcurrencyShares: 5, limitResponse: {type: Queue, queuing: {queues: 64, handSize: 6, "
                 "queueLengthLimit: 50}}}}"),
            ["a", "Limited", "5", "64", "6", "50", "3h"],
        ),
        (kind("node.k8s.io/v1", "RuntimeClass", "handler: runc"), ["a", "runc", "3h"]),
    ],
)  # fmt: skip
def test_the_cells_of_a_kind(text: str, cells: list[str]) -> None:
    assert shown(text) == cells


def test_numbers_and_truths_are_typed_in_tables() -> None:
    resource = resources.by_kind("scheduling.k8s.io/v1", "PriorityClass")
    assert resource is not None
    found = resource.message(value=-5)
    assert printers.typed_cells(resource, found)[1:3] == [-5, False]


@pytest.mark.parametrize(
    "resource",
    [one for one in resources.known() if one.service and "list" in one.facts.verbs],
    ids=lambda one: one.qualified,
)
def test_every_kind_has_its_columns(resource: resources.Resource) -> None:
    assert resource.qualified in table._PRINTERS or [column.name for column in resource.facts.columns] in (
        ["Name", "Age"], ["Name", "Created At"],
    )  # fmt: skip
    found = printers.cells(resource, resource.message(), wide=True, now=NOW)
    assert len(found) == len(printers.definitions(resource))
