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


def no_leader() -> StoreError:
    return StoreError(_Code.UNAVAILABLE, "etcdserver: no leader")


def timed_out() -> StoreError:
    return StoreError(_Code.UNAVAILABLE, "etcdserver: request timed out")


def leader_lost() -> StoreError:
    return StoreError(_Code.UNAVAILABLE, "etcdserver: request timed out, possibly due to previous leader failure")


def stopped() -> StoreError:
    return StoreError(_Code.UNAVAILABLE, "etcdserver: server stopped")


def unsupported(what: str) -> StoreError:
    return StoreError(_Code.UNIMPLEMENTED, f"raftsman store does not support {what}")
