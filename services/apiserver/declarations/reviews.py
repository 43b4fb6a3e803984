"""Questions: created, answered, never stored."""

from __future__ import annotations

from raftsman.authentication import v1 as authentication
from raftsman.authorization import v1 as authorization
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.validation import names

from .declaring import kind


def kinds() -> tuple[Kind, ...]:
    """Their declarations."""
    return tuple(
        kind(message, name_rule=names.dns_subdomain)
        for message in (
            authentication.SelfSubjectReview, authentication.TokenReview, authorization.LocalSubjectAccessReview,
            authorization.SelfSubjectAccessReview, authorization.SelfSubjectRulesReview,
            authorization.SubjectAccessReview,
        )
    )  # fmt: skip
