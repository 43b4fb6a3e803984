"""What the cluster runs by: leases, priorities, budgets, runtimes, certificates, flow control."""

from __future__ import annotations

from raftsman.certificates import v1 as certificates
from raftsman.coordination import v1 as coordination
from raftsman.flowcontrol import v1 as flowcontrol
from raftsman.node import v1 as node
from raftsman.policy import v1 as policy
from raftsman.scheduling import v1 as scheduling
from raftsman.services.apiserver import selectable
from raftsman.services.apiserver.defaulting import flowcontrol as flow_defaults
from raftsman.services.apiserver.defaulting import scheduling as scheduling_defaults
from raftsman.services.apiserver.kinds import Kind, Part
from raftsman.services.apiserver.validation import certificates as requests
from raftsman.services.apiserver.validation import cluster, names, runtime_classes
from raftsman.services.apiserver.validation import flowcontrol as flows
from raftsman.services.apiserver.validation import scheduling as priorities

from .declaring import WITH_STATUS, kind

_KEPT_PRIORITIES = dict.fromkeys(priorities.SYSTEM_PRIORITIES, "this is a system priority class and cannot be deleted")


def kinds() -> tuple[Kind, ...]:
    """Their declarations."""
    return (
        kind(
            coordination.Lease, name_rule=names.dns_subdomain, unconditional_update=False, validate=cluster.lease,
            validate_update=cluster.lease_update,
        ),
        kind(
            scheduling.PriorityClass, judges=True, name_rule=names.dns_subdomain, has_generation=True,
            undeletable=_KEPT_PRIORITIES,
            default=scheduling_defaults.priority_class,
            validate=priorities.priority_class, validate_update=priorities.priority_class_update,
        ),
        kind(
            policy.PodDisruptionBudget, name_rule=names.dns_subdomain, **WITH_STATUS, has_generation=True,
            unconditional_update=False, validate=priorities.budget, validate_update=priorities.budget_update,
            validate_status=priorities.budget_status,
        ),
        kind(
            node.RuntimeClass, name_rule=names.dns_subdomain, unconditional_update=False,
            validate=runtime_classes.runtime_class, validate_update=runtime_classes.runtime_class_update,
        ),
        kind(
            certificates.CertificateSigningRequest, name_rule=requests.any_name, **WITH_STATUS,
            prepare_update=requests.keep_all, prepare_status=requests.keep_decision,
            parts={"approval": Part(requests.take_decision, requests.approval)},
            selectable=selectable.SIGNING_REQUEST, fields_of=selectable.signing_request,
            validate=requests.request, validate_update=requests.update, validate_status=requests.status,
        ),
        kind(
            flowcontrol.FlowSchema, name_rule=names.dns_subdomain, **WITH_STATUS, has_generation=True,
            default=flow_defaults.schema, validate=flows.schema, validate_update=flows.schema_update,
            validate_status=flows.status,
        ),
        kind(
            flowcontrol.PriorityLevelConfiguration, name_rule=names.dns_subdomain, **WITH_STATUS, has_generation=True,
            default=flow_defaults.level, validate=flows.level, validate_update=flows.level_update,
            validate_status=flows.status,
        ),
    )  # fmt: skip
