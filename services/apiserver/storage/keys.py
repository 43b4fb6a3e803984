"""Where things are in the store.

/registry/pods/default/web            a namespaced object
/registry/clusterroles.rbac.authorization.k8s.io/view    a cluster-scoped one
/registry/allocations/clusterips/10.96.0.1               the object that holds an address or a port
"""

from __future__ import annotations

from raftsman.resources import Resource

ROOT = b"/registry/"
ROOT_END = b"/registry0"
ALLOCATIONS = "allocations"
CLUSTER_IPS = f"/registry/{ALLOCATIONS}/clusterips/"
NODE_PORTS = f"/registry/{ALLOCATIONS}/nodeports/"


def prefix(resource: Resource, namespace: str = "") -> bytes:
    """Of all objects of a kind, or of those in one namespace."""
    text = f"/registry/{resource.qualified}/"
    return (f"{text}{namespace}/" if namespace else text).encode()


def of(resource: Resource, namespace: str, name: str) -> bytes:
    if resource.namespaced:
        return f"/registry/{resource.qualified}/{namespace}/{name}".encode()
    return f"/registry/{resource.qualified}/{name}".encode()


def parse(key: bytes) -> tuple[str, str, str]:
    """The qualified resource, the namespace ("" if cluster-scoped) and the name."""
    parts = key.decode().split("/")
    if len(parts) == 5:
        return parts[2], parts[3], parts[4]
    return parts[2], "", parts[-1]


def end_of(start: bytes) -> bytes:
    """The first key after all that begin with `start`."""
    return start[:-1] + bytes((start[-1] + 1,))
