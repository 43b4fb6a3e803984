"""As what priority and fairness see a gRPC method: the namespace stays in the message, so it counts as any.

A rule for named namespaces speaks of no call over gRPC, and flows by namespace are one flow there.
"""

from __future__ import annotations

from raftsman.services.apiserver.kinds import Kind

from .schemas import Asked

_PARTS = {
    "GetScale": ("get", "scale"), "Bind": ("create", "binding"), "BindMany": ("create", "binding"),
    "Evict": ("create", "eviction"), "CreateToken": ("create", "token"), "Finalize": ("update", "finalize"),
}  # fmt: skip
_UPDATE = "Update"
ANY_NAMESPACE = "*"


def asked(service: str, verb: str, kind: Kind) -> Asked:
    """What a method of a kind's service, or of the server's own, does."""
    if service != kind.resource.service:
        return Asked("get", path="/version")
    word, part = _PARTS.get(verb, (verb.lower(), ""))
    if verb.startswith(_UPDATE) and verb != _UPDATE:
        word, part = "update", verb.removeprefix(_UPDATE).lower()
    name = kind.resource.name
    namespace = ANY_NAMESPACE if kind.resource.namespaced else ""
    return Asked(word, kind.resource.group, f"{name}/{part}" if part else name, namespace)
