"""The store's errors: etcd's gRPC codes and texts, which clients match on. One list, nothing is raised beside it.

StoreError ── code, text
"""

from __future__ import annotations

import grpc


class StoreError(Exception):
    """An answer that refuses. `code` and `text` go to the client as they are."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


_Code = grpc.StatusCode


def empty_key() -> StoreError:
    return StoreError(_Code.INVALID_ARGUMENT, "etcdserver: key is not provided")


def key_not_found() -> StoreError:
    return StoreError(_Code.INVALID_ARGUMENT, "etcdserver: key not found")


def value_provided() -> StoreError:
    return StoreError(_Code.INVALID_ARGUMENT, "etcdserver: value is provided")


def lease_provided() -> StoreError:
    return StoreError(_Code.INVALID_ARGUMENT, "etcdserver: lease is provided")


def too_many_operations() -> StoreError:
    return StoreError(_Code.INVALID_ARGUMENT, "etcdserver: too many operations in txn request")


def duplicate_key() -> StoreError:
    return StoreError(_Code.INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request")


def invalid_sort_option() -> StoreError:
    return StoreError(_Code.INVALID_ARGUMENT, "etcdserver: invalid sort option")


def invalid_request(text: str) -> StoreError:
    return StoreError(_Code.INVALID_ARGUMENT, f"etcdserver: {text}")


def request_too_large() -> StoreError:
    return StoreError(_Code.INVALID_ARGUMENT, "etcdserver: request is too large")


def compacted() -> StoreError:
    return StoreError(_Code.OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted")


def future_revision() -> StoreError:
    return StoreError(_Code.OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision")


def lease_not_found() -> StoreError:
    return StoreError(_Code.NOT_FOUND, "etcdserver: requested lease not found")


def lease_exists() -> StoreError:
    return StoreError(_Code.FAILED_PRECONDITION, "etcdserver: lease already exists")


def lease_ttl_too_large() -> StoreError:
    return StoreError(_Code.OUT_OF_RANGE, "etcdserver: too large lease TTL")


def too_many_requests() -> StoreError:
    return StoreError(_Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests")


def no_space() -> StoreError:
    return StoreError(_Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded")


def corrupt() -> StoreError:
    return StoreError(_Code.DATA_LOSS, "etcdserver: corrupt cluster")


def root_user_missing() -> StoreError:
    return StoreError(_Code.FAILED_PRECONDITION, "etcdserver: root user does not exist")


def root_role_missing() -> StoreError:
    return StoreError(_Code.FAILED_PRECONDITION, "etcdserver: root user does not have root role")


def user_exists() -> StoreError:
    return StoreError(_Code.FAILED_PRECONDITION, "etcdserver: user name already exists")


def user_empty() -> StoreError:
    """No name was given; also what a request without a user is told while authentication is on."""
    return StoreError(_Code.INVALID_ARGUMENT, "etcdserver: user name is empty")


def user_not_found() -> StoreError:
    return StoreError(_Code.FAILED_PRECONDITION, "etcdserver: user name not found")


def role_exists() -> StoreError:
    return StoreError(_Code.FAILED_PRECONDITION, "etcdserver: role name already exists")


def role_empty() -> StoreError:
    return StoreError(_Code.INVALID_ARGUMENT, "etcdserver: role name is empty")


def role_not_found() -> StoreError:
    return StoreError(_Code.FAILED_PRECONDITION, "etcdserver: role name not found")


def role_not_granted() -> StoreError:
    return StoreError(_Code.FAILED_PRECONDITION, "etcdserver: role is not granted to the user")


def permission_not_given() -> StoreError:
    return StoreError(_Code.INVALID_ARGUMENT, "etcdserver: permission not given")


def permission_not_granted() -> StoreError:
    return StoreError(_Code.FAILED_PRECONDITION, "etcdserver: permission is not granted to the role")


def permission_denied() -> StoreError:
    return StoreError(_Code.PERMISSION_DENIED, "etcdserver: permission denied")


def authentication_failed() -> StoreError:
    return StoreError(_Code.INVALID_ARGUMENT, "etcdserver: authentication failed, invalid user ID or password")


def authentication_off() -> StoreError:
    return StoreError(_Code.FAILED_PRECONDITION, "etcdserver: authentication is not enabled")


def invalid_auth_token() -> StoreError:
    return StoreError(_Code.UNAUTHENTICATED, "etcdserver: invalid auth token")


def invalid_auth_management() -> StoreError:
    return StoreError(_Code.INVALID_ARGUMENT, "etcdserver: invalid auth management")


def old_auth_revision() -> StoreError:
    return StoreError(_Code.INVALID_ARGUMENT, "etcdserver: revision of auth store is old")


def session_unknown() -> StoreError:
    return StoreError(_Code.ABORTED, "raftsman: the session is not known, or was forgotten because it was not used")


def answer_forgotten() -> StoreError:
    return StoreError(_Code.ABORTED, "raftsman: the session keeps no answer to an operation of that number any more")


def lock_lost() -> StoreError:
    return StoreError(_Code.UNKNOWN, "mutex: session is expired")


def not_elected() -> StoreError:
    return StoreError(_Code.UNKNOWN, "election: not leader")


def nobody_elected() -> StoreError:
    return StoreError(_Code.UNKNOWN, "election: no leader")


def leader_not_given() -> StoreError:
    return StoreError(_Code.UNKNOWN, '"leader" field must be provided')


def member_exists() -> StoreError:
    return StoreError(_Code.FAILED_PRECONDITION, "etcdserver: member ID already exist")


def peer_url_exists() -> StoreError:
    return StoreError(_Code.FAILED_PRECONDITION, "etcdserver: Peer URLs already exists")


def bad_member_urls() -> StoreError:
    return StoreError(_Code.INVALID_ARGUMENT, "etcdserver: given member URLs are invalid")


def member_not_found() -> StoreError:
    return StoreError(_Code.NOT_FOUND, "etcdserver: member not found")


def member_not_learner() -> StoreError:
    return StoreError(_Code.FAILED_PRECONDITION, "etcdserver: can only promote a learner member")


def learner_not_ready() -> StoreError:
    text = "etcdserver: can only promote a learner member which is in sync with leader"
    return StoreError(_Code.FAILED_PRECONDITION, text)


def too_many_learners() -> StoreError:
    return StoreError(_Code.FAILED_PRECONDITION, "etcdserver: too many learner members in cluster")


def not_enough_started() -> StoreError:
    text = "etcdserver: re-configuration failed due to not enough started members"
    return StoreError(_Code.FAILED_PRECONDITION, text)


def unhealthy_cluster() -> StoreError:
    return StoreError(_Code.UNAVAILABLE, "etcdserver: unhealthy cluster")


def not_for_learner() -> StoreError:
    return StoreError(_Code.FAILED_PRECONDITION, "etcdserver: rpc not supported for learner")


def not_leader() -> StoreError:
    return StoreError(_Code.FAILED_PRECONDITION, "etcdserver: not leader")


def bad_transferee() -> StoreError:
    return StoreError(_Code.FAILED_PRECONDITION, "etcdserver: bad leader transferee")


def transfer_timed_out() -> StoreError:
    return StoreError(_Code.UNAVAILABLE, "etcdserver: request timed out, leader transfer took too long")


def no_leader() -> StoreError:
    return StoreError(_Code.UNAVAILABLE, "etcdserver: no leader")


def timed_out() -> StoreError:
    return StoreError(_Code.UNAVAILABLE, "etcdserver: request timed out")


def leader_lost() -> StoreError:
    return StoreError(_Code.UNAVAILABLE, "etcdserver: request timed out, possibly due to previous leader failure")


def stopped() -> StoreError:
    return StoreError(_Code.UNAVAILABLE, "etcdserver: server stopped")


def backup_failed() -> StoreError:
    return StoreError(_Code.INTERNAL, "raftsman: the backup could not be made; the log of the member says why")


def unsupported(what: str) -> StoreError:
    return StoreError(_Code.UNIMPLEMENTED, f"raftsman store does not support {what}")
