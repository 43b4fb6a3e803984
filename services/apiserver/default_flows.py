"""The default priority levels and flow schemas: interface facts of Kubernetes 1.36.

LEVELS: name, type, shares, lendable percent, and queues, hand size and length of a queue of a level that queues.
SCHEMAS: name, level, precedence, what tells flows apart; then who, and indented what: resource rules as
`verbs groups resources namespaces` (`!` for objects of the cluster), others as `verbs urls`; ALL is everything.
The first two of each are fixed; what else is there may be changed once it is not updated automatically.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from raftsman.flowcontrol import v1 as flowcontrol

LEVELS = """
exempt Exempt 0 0
catch-all Limited 5 0
system Limited 30 33 64 6 50
node-high Limited 40 25 64 6 50
leader-election Limited 10 0 16 4 50
workload-high Limited 40 50 128 6 50
workload-low Limited 100 90 128 6 50
global-default Limited 20 50 128 6 50
"""

SCHEMAS = """
exempt exempt 1 - Group:system:masters
  ALL
catch-all catch-all 10000 ByUser Group:system:unauthenticated Group:system:authenticated
  ALL
system-nodes system 500 ByUser Group:system:nodes
  ALL
system-node-high node-high 400 ByUser Group:system:nodes
  * - nodes,nodes/status *!
  * coordination.k8s.io leases *
probes exempt 2 - Group:system:unauthenticated Group:system:authenticated
  get /healthz,/readyz,/livez
system-leader-election leader-election 100 ByUser User:system:kube-controller-manager User:system:kube-scheduler ServiceAccount:kube-system/*
  get,create,update coordination.k8s.io leases *
endpoint-controller workload-high 150 ByUser User:system:kube-controller-manager ServiceAccount:kube-system/endpoint-controller ServiceAccount:kube-system/endpointslicemirroring-controller
  get,create,update - endpoints *
workload-leader-election leader-election 200 ByUser ServiceAccount:kube-system/*
  get,create,update coordination.k8s.io leases *
kube-controller-manager workload-high 800 ByNamespace User:system:kube-controller-manager
  ALL
kube-scheduler workload-high 800 ByNamespace User:system:kube-scheduler
  ALL
kube-system-service-accounts workload-high 900 ByNamespace ServiceAccount:kube-system/*
  ALL
service-accounts workload-low 9000 ByUser Group:system:serviceaccounts
  ALL
global-default global-default 9900 ByUser Group:system:unauthenticated Group:system:authenticated
  ALL
"""  # noqa: E501

MANDATORY = ("exempt", "catch-all")
AUTO_UPDATE = "apf.kubernetes.io/autoupdate-spec"


def levels() -> Iterator[flowcontrol.PriorityLevelConfiguration]:
    """Those of LEVELS."""
    for line in LEVELS.strip().splitlines():
        name, type_, shares, lendable, *queuing = line.split()
        level = flowcontrol.PriorityLevelConfiguration()
        level.metadata.name, level.spec.type = name, type_
        level.metadata.annotations[AUTO_UPDATE] = "true"
        part = level.spec.exempt if type_ == "Exempt" else level.spec.limited
        part.nominal_concurrency_shares, part.lendable_percent = int(shares), int(lendable)
        if type_ == "Limited":
            response = level.spec.limited.limit_response
            response.type = "Queue" if queuing else "Reject"
            if queuing:
                queues, hand, length = map(int, queuing)
                response.queuing.MergeFrom(
                    flowcontrol.QueuingConfiguration(queues=queues, hand_size=hand, queue_length_limit=length)
                )
        yield level


def schemas() -> Iterator[flowcontrol.FlowSchema]:
    """Those of SCHEMAS."""
    found: list[flowcontrol.FlowSchema] = []
    for line in SCHEMAS.strip().splitlines():
        if line.startswith(" "):
            _rule(found[-1].spec.rules[0], line.split())
        else:
            found.append(_schema(*line.split()))
    yield from found


def mended(found: Any, wanted: Any) -> Any:
    """What is there with the spec that it has by default, or None if it has it or its owner has taken it over.

    What exempt requests count for is always its owner's.
    """
    if found.metadata.name not in MANDATORY and found.metadata.annotations.get(AUTO_UPDATE) != "true":
        return None
    new = type(found)()
    new.CopyFrom(found)
    new.spec.CopyFrom(wanted.spec)
    if isinstance(found, flowcontrol.PriorityLevelConfiguration) and found.spec.HasField("exempt"):
        new.spec.exempt.CopyFrom(found.spec.exempt)
    return None if new == found else new


def _schema(name: str, level: str, precedence: str, method: str, *subjects: str) -> flowcontrol.FlowSchema:
    schema = flowcontrol.FlowSchema()
    schema.metadata.name = name
    schema.metadata.annotations[AUTO_UPDATE] = "true"
    schema.spec.priority_level_configuration.name = level
    schema.spec.matching_precedence = int(precedence)
    if method != "-":
        schema.spec.distinguisher_method.type = method
    rule = schema.spec.rules.add()
    for subject in subjects:
        kind, _, who = subject.partition(":")
        added = rule.subjects.add(kind=kind)
        if kind == "ServiceAccount":
            added.service_account.namespace, _, added.service_account.name = who.partition("/")
        elif kind == "User":
            added.user.name = who
        else:
            added.group.name = who
    return schema


def _rule(rule: flowcontrol.PolicyRulesWithSubjects, words: list[str]) -> None:
    if words == ["ALL"]:
        rule.resource_rules.add(verbs="*", api_groups="*", resources="*", namespaces="*", cluster_scope=True)
        rule.non_resource_rules.add(verbs="*", non_resource_urls="*")
    elif len(words) == 2:
        verbs, urls = (word.split(",") for word in words)
        rule.non_resource_rules.add(verbs=verbs, non_resource_urls=urls)
    else:
        verbs, groups, resources, namespaces = (word.split(",") for word in words)
        everywhere = namespaces[-1].endswith("!")
        rule.resource_rules.add(
            verbs=verbs, api_groups=["" if group == "-" else group for group in groups], resources=resources,
            namespaces=[namespace.rstrip("!") for namespace in namespaces],
        )  # fmt: skip
        if everywhere:
            rule.resource_rules[-1].cluster_scope = True
