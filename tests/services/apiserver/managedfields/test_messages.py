"""What a message's fields are, and what differs between two messages."""

from __future__ import annotations

from raftsman import codec
from raftsman.apps import v1 as apps
from raftsman.core import v1 as core
from raftsman.services.apiserver.managedfields import messages, trees


def a_deployment() -> apps.Deployment:
    tree = {
        "metadata": {"name": "d", "labels": {"a": "b"}, "finalizers": ["x/y"]},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"spec": {"containers": [
                {"name": "web", "image": "i:1", "ports": [{"containerPort": 80, "protocol": "TCP"}]},
            ]}},
        },
    }  # fmt: skip
    found: apps.Deployment = codec.from_json(tree, apps.Deployment).message
    return found


CONTAINER = 'k:{"name":"web"}'
PORT = 'k:{"containerPort":80,"protocol":"TCP"}'


def test_fields_are_those_that_kubernetes_names() -> None:
    assert messages.fields(a_deployment()).to_json() == {
        "f:metadata": {
            "f:name": {},
            "f:labels": {".": {}, "f:a": {}},
            "f:finalizers": {".": {}, 'v:"x/y"': {}},
        },
        "f:spec": {
            "f:replicas": {},
            "f:selector": {},
            "f:template": {"f:spec": {"f:containers": {CONTAINER: {
                ".": {}, "f:name": {}, "f:image": {},
                "f:ports": {".": {}, PORT: {".": {}, "f:containerPort": {}, "f:protocol": {}}},
            }}}},
        },
    }  # fmt: skip


def test_a_change_deep_inside_is_that_field_alone() -> None:
    old, new = a_deployment(), a_deployment()
    new.spec.template.spec.containers[0].image = "i:2"
    found = messages.compared(old, new)
    deep = {"f:spec": {"f:template": {"f:spec": {"f:containers": {CONTAINER: {"f:image": {}}}}}}}
    assert (found.changed.to_json(), bool(found.added), bool(found.removed)) == (deep, False, False)


def test_what_comes_and_goes_is_told_apart() -> None:
    old, new = a_deployment(), a_deployment()
    new.metadata.labels["c"] = "d"
    del new.metadata.labels["a"]
    new.metadata.finalizers.append("z/z")
    new.spec.template.spec.containers.add(name="more", image="x")
    new.spec.ClearField("replicas")
    found = messages.compared(old, new)
    assert found.added.to_json() == {
        "f:metadata": {"f:labels": {"f:c": {}}, "f:finalizers": {'v:"z/z"': {}}},
        "f:spec": {"f:template": {"f:spec": {"f:containers": {
            'k:{"name":"more"}': {".": {}, "f:name": {}, "f:image": {}},
        }}}},
    }  # fmt: skip
    assert found.removed.to_json() == {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:replicas": {}}}
    assert not found.changed


def test_the_order_of_a_list_with_keys_is_no_change() -> None:
    old, new = core.Pod(), core.Pod()
    for pod, names in ((old, "ab"), (new, "ba")):
        for name in names:
            pod.spec.containers.add(name=name)
    found = messages.compared(old, new)
    assert not (found.added)
    assert not (found.changed)
    assert not (found.removed)


def test_a_configuration_owns_the_zeros_that_it_names() -> None:
    tree = {"spec": {"paused": False, "template": {"spec": {"containers": [{"name": "web", "command": []}]}}}}
    assert trees.fields(tree, apps.Deployment.DESCRIPTOR).to_json() == {
        "f:spec": {
            "f:paused": {},
            "f:template": {"f:spec": {"f:containers": {CONTAINER: {".": {}, "f:name": {}, "f:command": {}}}}},
        }
    }


def test_a_port_without_a_protocol_is_the_tcp_one() -> None:
    tree = {"spec": {"containers": [{"name": "web", "ports": [{"containerPort": 80}]}]}}
    found = trees.fields(tree, core.Pod.DESCRIPTOR).to_json()
    assert PORT in found["f:spec"]["f:containers"][CONTAINER]["f:ports"]
