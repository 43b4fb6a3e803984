"""What the cluster runs by: leases, priorities, budgets, runtimes, certificates, flow control."""

from __future__ import annotations

from raftsman.certificates import v1 as certificates
from raftsman.coordination import v1 as coordination
from raftsman.flowcontrol import v1 as flowcontrol
from raftsman.node import v1 as node
from raftsman.policy import v1 as policy
from raftsman.scheduling import v1 as scheduling
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.validation import cluster, names

from .declaring import WITH_STATUS, kind


def kinds() -> tuple[Kind, ...]:
    """Their declarations."""
    return (
        kind(
            coordination.Lease, name_rule=names.dns_subdomain, validate=cluster.lease,
            validate_update=cluster.lease_update,
        ),
        kind(scheduling.PriorityClass, judges=True, name_rule=names.dns_subdomain, has_generation=True),
        kind(policy.PodDisruptionBudget, name_rule=names.dns_subdomain, **WITH_STATUS, has_generation=True),
        kind(node.RuntimeClass, name_rule=names.dns_subdomain),
        kind(certificates.CertificateSigningRequest, name_rule=names.dns_subdomain, **WITH_STATUS),
        kind(flowcontrol.FlowSchema, name_rule=names.dns_subdomain, **WITH_STATUS, has_generation=True),
        kind(flowcontrol.PriorityLevelConfiguration, name_rule=names.dns_subdomain, **WITH_STATUS, has_generation=True),
    )  # fmt: skip
