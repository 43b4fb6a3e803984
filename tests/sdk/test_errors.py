"""Errors: one class a reason, and there and back over the wire."""

from __future__ import annotations

import grpc
import pytest
from raftsman import errors
from raftsman.meta import v1 as meta

REASONS = (
    "Unauthorized", "Forbidden", "NotFound", "AlreadyExists", "Conflict", "Gone", "Invalid", "ServerTimeout",
    "StorageReadError", "Timeout", "TooManyRequests", "BadRequest", "MethodNotAllowed", "NotAcceptable",
    "RequestEntityTooLarge", "UnsupportedMediaType", "InternalError", "Expired", "ServiceUnavailable",
)  # fmt: skip


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_of_kubernetes_has_its_class_with_its_code(reason: str) -> None:
    found = errors.from_status(meta.Status(reason=reason, message="m"))
    assert type(found) is errors.REASONS[reason]
    assert (found.reason, str(found)) == (reason, "m")
    assert isinstance(found.grpc_code, grpc.StatusCode)


def test_an_unknown_reason_is_an_error_that_keeps_it() -> None:
    found = errors.from_status(meta.Status(reason="Tired", message="m"))
    assert (type(found), found.status.reason) == (errors.ApiError, "Tired")


def test_no_reason_hides_another() -> None:
    assert set(errors.REASONS) == set(REASONS)
    assert errors._BY_CODE[grpc.StatusCode.OUT_OF_RANGE] is errors.Expired
    assert errors._BY_CODE[grpc.StatusCode.DEADLINE_EXCEEDED] is errors.Timeout
    assert errors._BY_CODE[grpc.StatusCode.INVALID_ARGUMENT] is errors.BadRequest
