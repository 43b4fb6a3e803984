"""The recount of a quota, decided."""

from __future__ import annotations

from raftsman.core import v1 as core
from raftsman.services.controllers.resource_quotas import Observed, decide


def a_quota(**hard: str) -> core.ResourceQuota:
    quota = core.ResourceQuota()
    for resource, amount in hard.items():
        quota.spec.hard[resource].string = amount
    return quota


def test_a_new_quota_is_counted() -> None:
    status = decide(Observed(a_quota(pods="5", unheard="1"), {"pods": [core.Pod(), core.Pod()]}), now=0)
    assert status is not None
    assert {name: status.hard[name].string for name in status.hard} == {"pods": "5", "unheard": "1"}
    assert {name: status.used[name].string for name in status.used} == {"pods": "2"}


def test_a_quota_that_is_right_is_left_alone() -> None:
    quota = a_quota(pods="1k")
    quota.status.hard["pods"].string, quota.status.used["pods"].string = "1000", "0"
    assert decide(Observed(quota, {"pods": []}), now=0) is None


def test_what_was_charged_and_went_is_given_back() -> None:
    quota = a_quota(pods="3")
    quota.status.hard["pods"].string, quota.status.used["pods"].string = "3", "3"
    status = decide(Observed(quota, {"pods": [core.Pod()]}), now=0)
    assert status is not None
    assert status.used["pods"].string == "1"
