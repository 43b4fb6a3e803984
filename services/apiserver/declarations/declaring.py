"""What every declaration is made with."""

from __future__ import annotations

from typing import Any

from raftsman import resources
from raftsman.services.apiserver.kinds import Kind


def kind(message: type[Any], **facts: Any) -> Kind:
    """The declaration of a message's kind."""
    return Kind(resources.by_message(message), **facts)


def drop_status(obj: Any) -> None:
    """A client does not say what was observed."""
    obj.ClearField("status")


WITH_STATUS: dict[str, Any] = {"has_status": True, "prepare_create": drop_status}
"""Facts of a kind whose status is written by itself."""
