"""The group rbac.authorization.k8s.io."""

from __future__ import annotations

from raftsman.rbac import v1 as rbac
from raftsman.services.apiserver.defaulting import cluster as cluster_defaults
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.validation import names
from raftsman.services.apiserver.validation import rbac as roles

from .declaring import kind


def kinds() -> tuple[Kind, ...]:
    """Their declarations."""
    return (
        kind(
            rbac.Role, judges=True, name_rule=names.path_segment, validate=roles.role,
            validate_update=roles.role_update,
        ),
        kind(
            rbac.ClusterRole, judges=True, name_rule=names.path_segment, validate=roles.cluster_role,
            validate_update=roles.cluster_role_update,
        ),
        *(
            kind(
                message, judges=True, name_rule=names.path_segment, default=cluster_defaults.binding,
                validate=roles.binding, validate_update=roles.binding_update,
            )
            for message in (rbac.RoleBinding, rbac.ClusterRoleBinding)
        ),
    )  # fmt: skip
