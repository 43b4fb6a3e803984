"""What a kind's strategy makes of a manifest, without a server: defaults, causes, cells."""

from __future__ import annotations

from typing import Any

from raftsman import codec, manifests, resources
from raftsman.services.apiserver import declarations
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.validation import metadata
from raftsman.services.apiserver.validation.causes import Causes


def kind(message: type[Any]) -> Kind:
    return declarations.table()[resources.by_message(message).qualified]


def decoded(message: type[Any], text: str) -> Any:
    (document,) = manifests.parse(text.encode())
    found = codec.from_json(document.value, message)
    assert not found.problems, found.problems
    return found.message


def created(message: type[Any], text: str) -> Any:
    """The object as it would be stored: what a client may not say dropped, defaults filled in."""
    obj, strategy = decoded(message, text), kind(message)
    strategy.prepare_create(obj)
    strategy.default(obj)
    strategy.complete_create(obj)
    return obj


def told(causes: Causes) -> dict[str, str]:
    return {cause.field: cause.message for cause in causes.found}


def wrong(message: type[Any], text: str) -> dict[str, str]:
    """What creating it is refused for, by field path."""
    obj, strategy, causes = created(message, text), kind(message), Causes()
    namespaced = strategy.resource.namespaced
    if namespaced:
        obj.metadata.namespace = "default"
    metadata.validate(obj.metadata, causes, namespaced=namespaced, rule=strategy.name_rule)
    strategy.validate(obj, causes)
    return told(causes)


def changed(message: type[Any], before: str, after: str) -> dict[str, str]:
    """What an update is refused for."""
    strategy, causes = kind(message), Causes()
    old, new = created(message, before), decoded(message, after)
    strategy.prepare_update(new, old)
    strategy.default(new)
    strategy.validate_update(new, old, causes)
    return told(causes)


def observed(message: type[Any], before: str, after: str) -> dict[str, str]:
    """What an update of the status is refused for."""
    causes = Causes()
    kind(message).validate_status(decoded(message, after), decoded(message, before), causes)
    return told(causes)
