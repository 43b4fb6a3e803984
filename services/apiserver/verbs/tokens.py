"""CreateToken: a service account's token, on request (KEP-542)."""

from __future__ import annotations

from raftsman import errors
from raftsman.authentication import v1 as authentication
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.access.tokens import EXPIRATION_MAX_S, EXPIRATION_MIN_S, Bound, Tokens
from raftsman.services.apiserver.admission import chain, node_restriction
from raftsman.services.apiserver.admission.attributes import Operation
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.rpc import Call
from raftsman.services.apiserver.validation.causes import Causes

from . import read

DEFAULT_LIFETIME_S = 3600
_BINDABLE = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}


async def create(api: Api, tokens: Tokens | None, call: Call, raw: bytes) -> bytes:
    """errors.Conflict if the pod or secret that it shall be bound to has another uid or another service account."""
    request = authentication.TokenWriteRequest.FromString(raw)
    sent = request.object
    namespace = request.namespace or sent.metadata.namespace
    name = request.name or sent.metadata.name
    api.allow(call.user, "create", call.kind, namespace=namespace, name=name, subresource="token")
    if tokens is None:
        raise errors.MethodNotSupported("tokens are not issued: this server has no service account key")
    account = await read.fetch(api, call.kind, meta.GetRequest(namespace=namespace, name=name))
    uid = account.parsed().metadata.uid
    lifetime_s = _lifetime(call.kind, name, sent.spec)
    bounds = await _bounds(api, call, namespace, name, sent.spec.bound_object_ref)
    await chain.admit(api, call, Operation.CREATE, namespace=namespace, name=name, new=sent, subresource="token")
    token, expires = tokens.issue(
        Bound("serviceaccounts", name, uid), namespace=namespace, audiences=tuple(sent.spec.audiences),
        lifetime_s=lifetime_s, bounds=bounds,
    )  # fmt: skip
    sent.metadata.namespace, sent.metadata.name = namespace, name
    sent.spec.expiration_seconds = lifetime_s
    if not sent.spec.audiences:
        sent.spec.audiences.append(tokens.issuer)
    sent.status.token = token
    sent.status.expiration_timestamp.seconds = expires
    return bytes(sent.SerializeToString())


def _lifetime(kind: Kind, name: str, spec: authentication.TokenRequestSpec) -> int:
    if not spec.HasField("expiration_seconds"):
        return DEFAULT_LIFETIME_S
    causes = Causes()
    if spec.expiration_seconds < EXPIRATION_MIN_S:
        causes.invalid(
            "spec.expirationSeconds", spec.expiration_seconds, "may not specify a duration less than 10 minutes"
        )
    elif spec.expiration_seconds > EXPIRATION_MAX_S:
        causes.invalid(
            "spec.expirationSeconds", spec.expiration_seconds, "may not specify a duration larger than 2^32 seconds"
        )
    if causes:
        raise failures.invalid(kind.resource, name, causes.found)
    return spec.expiration_seconds


async def _bounds(
    api: Api, call: Call, namespace: str, account: str, ref: authentication.BoundObjectReference
) -> dict[str, Bound]:
    """What the token stands and falls with: a pod (and the node that it is on), a secret, a node."""
    if not ref.kind:
        node_restriction.admit_token(call, account, None)
        return {}
    resource = _BINDABLE.get(ref.kind)
    if resource is None or ref.api_version not in ("", "v1"):
        what = f"{ref.api_version} {ref.kind}"
        raise errors.BadRequest(f"cannot bind a token to {what}: only to a v1 Pod, Secret or Node")
    kind = api.kinds[resource]
    found = await read.fetch(api, kind, meta.GetRequest(namespace=namespace, name=ref.name))
    obj = found.parsed()
    if ref.uid and ref.uid != obj.metadata.uid:
        why = f"the UID in the bound object reference ({ref.uid}) does not match the UID in record ({obj.metadata.uid})"
        raise failures.conflict(call.kind.resource, ref.name, why)
    node_restriction.admit_token(call, account, obj if isinstance(obj, core.Pod) else None)
    bounds = {ref.kind.lower(): Bound(resource, ref.name, obj.metadata.uid)}
    if isinstance(obj, core.Pod):
        if obj.spec.service_account_name != account:
            raise errors.BadRequest(
                f"cannot bind token for serviceaccount {account!r} to pod running with different serviceaccount name."
            )
        node = api.cache(api.kinds["nodes"]).get("", obj.spec.node_name)
        if node is not None:
            bounds["node"] = Bound("nodes", node.name, node.parsed().metadata.uid)
    return bounds
